/* SPDX-License-Identifier: Apache-2.0
 *
 * A request as its handler sees it, and the answer to it: status line, the fields that every answer carries, body. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "api/gzip.h"
#include "api/http_internal.h"
#include "core/log.h"

#define GZIP_LEAST 1024 /* bytes: less fits into one packet anyway */

static const struct {
	int status;
	const char *reason;
} reason_table[] = {
	{200, "OK"},
	{201, "Created"},
	{202, "Accepted"},
	{204, "No Content"},
	{304, "Not Modified"},
	{400, "Bad Request"},
	{401, "Unauthorized"},
	{403, "Forbidden"},
	{404, "Not Found"},
	{405, "Method Not Allowed"},
	{408, "Request Timeout"},
	{409, "Conflict"},
	{411, "Length Required"},
	{412, "Precondition Failed"},
	{413, "Content Too Large"},
	{414, "URI Too Long"},
	{415, "Unsupported Media Type"},
	{417, "Expectation Failed"},
	{422, "Unprocessable Content"},
	{428, "Precondition Required"},
	{429, "Too Many Requests"},
	{431, "Request Header Fields Too Large"},
	{500, "Internal Server Error"},
	{503, "Service Unavailable"},
	{505, "HTTP Version Not Supported"},
};

static const char *reason_of(int status)
{
	for (size_t i = 0; i < sizeof(reason_table) / sizeof(reason_table[0]); i++)
		if (reason_table[i].status == status)
			return reason_table[i].reason;
	return "Unknown"; /* the phrase has no meaning in HTTP */
}

static void end_span(struct http_request *r, struct http_span s)
{
	r->bytes[s.at + s.len] = '\0'; /* over the space, tab or CR that follows it */
}

/* A client may name its request, within what is safe in a log line and a header. */
static void choose_id(struct http_server *s, struct http_request *r)
{
	static const char safe[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
	const char *given = r->bytes != NULL ? http_field(r, HTTP_REQUEST_ID) : NULL;
	size_t len = given != NULL ? strlen(given) : 0;
	if (len > 0 && len < sizeof(r->id) && strspn(given, safe) == len)
		memcpy(r->id, given, len + 1);
	else
		snprintf(r->id, sizeof(r->id), "%s-%llx", s->id_prefix, (unsigned long long)s->id_next++);
}

struct http_request *http_request_new(struct http_server *s, struct http_conn *c, const char *bytes,
				      const struct http_head *head, const struct timeval *started)
{
	struct http_request *r = calloc(1, sizeof(*r));
	if (r == NULL || (r->body = evbuffer_new()) == NULL)
		abort();
	r->server = s;
	s->requests++;
	r->conn = c;
	r->head = *head;
	r->started = *started;
	if (bytes != NULL) {
		r->bytes = malloc(head->length);
		if (r->bytes == NULL)
			abort();
		memcpy(r->bytes, bytes, head->length);
		end_span(r, head->method);
		end_span(r, head->target);
		for (int i = 0; i < HTTP_FIELDS; i++)
			if (head->present[i])
				end_span(r, head->field[i]);
	}
	choose_id(s, r);
	return r;
}

void http_request_free(struct http_request **rp)
{
	struct http_request *r = *rp;
	if (r == NULL)
		return;
	free(r->bytes);
	evbuffer_free(r->body);
	gzip_free(&r->gzip);
	if (r->fields != NULL)
		evbuffer_free(r->fields);
	r->server->requests--;
	http_server_counted(r->server);
	free(r);
	*rp = NULL;
}

const char *http_method(const struct http_request *r)
{
	return r->bytes != NULL ? r->bytes + r->head.method.at : "-";
}

const char *http_target(const struct http_request *r)
{
	return r->bytes != NULL ? r->bytes + r->head.target.at : "-";
}

const char *http_field(const struct http_request *r, enum http_field field)
{
	return r->bytes != NULL && r->head.present[field] ? r->bytes + r->head.field[field].at : NULL;
}

const char *http_id(const struct http_request *r)
{
	return r->id;
}

struct evbuffer *http_body(const struct http_request *r)
{
	return r->body;
}

uint64_t http_body_most(const struct http_request *r)
{
	return r->server->options.limits.body;
}

const struct in6_addr *http_from(const struct http_request *r)
{
	return &r->conn->from;
}

double http_age(const struct http_request *r)
{
	struct timeval now;
	evutil_gettimeofday(&now, NULL);
	return (double)(now.tv_sec - r->started.tv_sec) + (double)(now.tv_usec - r->started.tv_usec) / 1e6;
}

void http_add_field(struct http_request *r, const char *name, const char *fmt, ...)
{
	va_list ap;
	r->tagged = r->tagged || strcmp(name, "ETag") == 0;
	if (r->fields == NULL && (r->fields = evbuffer_new()) == NULL)
		abort();
	evbuffer_add_printf(r->fields, "%s: ", name);
	va_start(ap, fmt);
	evbuffer_add_vprintf(r->fields, fmt, ap);
	va_end(ap);
	evbuffer_add(r->fields, "\r\n", 2);
}

#define CHUNKED SIZE_MAX /* a length that is not known yet */

static void write_head(struct http_request *r, struct evbuffer *to, int status, const char *type, size_t length)
{
	char date[64];
	time_t now = time(NULL);
	struct tm tm;
	strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&now, &tm));
	evbuffer_add_printf(to, "HTTP/1.1 %d %s\r\nDate: %s\r\n", status, reason_of(status), date);
	if (length == CHUNKED)
		evbuffer_add_printf(to, "Content-Type: %s\r\nTransfer-Encoding: chunked\r\n", type);
	else if (status != 204 && status != 304)
		evbuffer_add_printf(to, "Content-Type: %s\r\nContent-Length: %zu\r\n", type, length);
	evbuffer_add_printf(
		to,
		"Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n"
		"X-Request-Id: %s\r\n",
		r->id);
	/* Data is nothing for a browser to run or to show inside another page; a document brings its style with it. */
	evbuffer_add_printf(to, "Content-Security-Policy: default-src 'none'; %sframe-ancestors 'none'\r\n",
			    type != NULL && strncmp(type, "text/html", 9) == 0 ? "style-src 'unsafe-inline'; " : "");
	if (r->fields != NULL)
		evbuffer_add_buffer(to, r->fields);
	if (r->server->options.tls != NULL)
		evbuffer_add_printf(to, "Strict-Transport-Security: max-age=31536000\r\n");
	r->conn->told = r->conn->last;
	evbuffer_add_printf(to, "%s\r\n", r->conn->told ? "Connection: close\r\n" : "");
}

/* Failures are for operators to see; what goes well is many lines, so they are for whoever asks. */
static void log_answer(const struct http_request *r, int status, size_t length)
{
	enum log_level level = status >= 500 ? LOG_LEVEL_WARN : status >= 400 ? LOG_LEVEL_INFO : LOG_LEVEL_DEBUG;
	if (level <= log_level_get())
		log_line(level, "http", "request=%s method=%s target=%.200s status=%d bytes=%zu ms=%.1f%s", r->id,
			 http_method(r), http_target(r), status, length, http_age(r) * 1e3,
			 r->conn == NULL ? " client=gone" : "");
}

static bool is_get(const struct http_request *r)
{
	return strcmp(http_method(r), "GET") == 0 || strcmp(http_method(r), "HEAD") == 0;
}

/* Says so in the answer's head. Events are sent one by one, and would wait in the compressor. */
static bool compresses(struct http_request *r, const char *type)
{
	if (!is_get(r) || r->tagged || strcmp(type, "text/event-stream") == 0)
		return false;
	http_add_field(r, "Vary", "Accept-Encoding");
	if (!gzip_accepted(http_field(r, HTTP_ACCEPT_ENCODING)))
		return false;
	http_add_field(r, "Content-Encoding", "gzip");
	return true;
}

void http_reply(struct http_request *r, int status, const char *type, struct evbuffer *body)
{
	if (body != NULL && r->conn != NULL && evbuffer_get_length(body) >= GZIP_LEAST && compresses(r, type))
		gzip_whole(body);
	size_t length = body != NULL ? evbuffer_get_length(body) : 0;
	log_answer(r, status, length);
	if (r->conn != NULL) {
		http_server_observe(r->server, HTTP_ANSWERED, status, http_age(r));
		struct evbuffer *answer = evbuffer_new();
		if (answer == NULL)
			abort();
		write_head(r, answer, status, type, length);
		if (length > 0 && strcmp(http_method(r), "HEAD") != 0)
			evbuffer_add_buffer(answer, body);
		http_conn_answer(r->conn, answer);
		evbuffer_free(answer);
	}
	if (body != NULL)
		evbuffer_drain(body, evbuffer_get_length(body));
	http_request_free(&r);
}

bool http_gone(const struct http_request *r)
{
	return r->conn == NULL;
}

static bool is_head(const struct http_request *r)
{
	return strcmp(http_method(r), "HEAD") == 0;
}

void http_stream_begin(struct http_request *r, int status, const char *type, http_wanted *wanted, void *arg)
{
	r->wanted = wanted;
	r->wanted_arg = arg;
	r->status = status;
	if (r->conn == NULL)
		return;
	http_server_observe(r->server, HTTP_ANSWERED, status, http_age(r));
	struct evbuffer *head = evbuffer_new();
	if (head == NULL)
		abort();
	if (compresses(r, type) && !is_head(r))
		r->gzip = gzip_new();
	write_head(r, head, status, type, CHUNKED);
	http_conn_stream_begin(r->conn, head);
	evbuffer_free(head);
}

void http_live_begin(struct http_request *r, const char *type, http_wanted *gone, void *arg)
{
	r->live = true;
	http_stream_begin(r, 200, type, gone, arg);
}

size_t http_live_waiting(const struct http_request *r)
{
	return r->conn != NULL ? evbuffer_get_length(bufferevent_get_output(r->conn->bev)) : 0;
}

/* As a chunk of chunked coding. */
static void frame(struct evbuffer *piece)
{
	char size[24];
	snprintf(size, sizeof(size), "%zx\r\n", evbuffer_get_length(piece));
	evbuffer_prepend(piece, size, strlen(size));
	evbuffer_add(piece, "\r\n", 2);
}

bool http_live_write(struct http_request *r, struct evbuffer *piece, size_t most)
{
	size_t length = evbuffer_get_length(piece), waiting = http_live_waiting(r);
	bool fits = waiting == 0 || waiting + length <= most;
	if (r->conn == NULL || length == 0 || !fits) {
		evbuffer_drain(piece, length);
		return fits;
	}
	r->streamed += length;
	frame(piece);
	http_conn_live_write(r->conn, piece);
	return true;
}

static void zip(struct http_request *r, struct evbuffer *piece, bool last)
{
	struct evbuffer *zipped = evbuffer_new();
	if (zipped == NULL)
		abort();
	gzip_add(r->gzip, piece, zipped, last);
	evbuffer_add_buffer(piece, zipped);
	evbuffer_free(zipped);
}

/* What the compressor still holds, as the last chunk. */
static void zip_end(struct http_request *r)
{
	struct evbuffer *rest = evbuffer_new();
	if (rest == NULL)
		abort();
	zip(r, rest, true);
	struct evbuffer *output = bufferevent_get_output(r->conn->bev);
	evbuffer_add_printf(output, "%zx\r\n", evbuffer_get_length(rest));
	evbuffer_add_buffer(output, rest);
	evbuffer_add(output, "\r\n", 2);
	evbuffer_free(rest);
}

void http_stream_write(struct http_request *r, struct evbuffer *piece)
{
	if (r->conn != NULL && r->gzip != NULL)
		zip(r, piece, false);
	size_t length = evbuffer_get_length(piece);
	if (r->conn == NULL || is_head(r)) {
		evbuffer_drain(piece, length);
		length = 0;
	}
	r->streamed += length;
	if (length > 0)
		frame(piece);
	r->due = true;
	if (r->conn != NULL)
		http_conn_stream_write(r->conn, piece);
}

void http_stream_end(struct http_request *r, bool whole)
{
	log_answer(r, r->status, r->streamed);
	r->due = r->live = false; /* nobody is told of what follows */
	if (!whole && r->conn != NULL)
		log_warn("http", "request=%s broken off after bytes=%zu", r->id, r->streamed);
	if (r->conn != NULL && r->gzip != NULL && whole)
		zip_end(r);
	if (r->conn != NULL)
		http_conn_stream_end(r->conn, !whole ? NULL : is_head(r) ? "" : "0\r\n\r\n");
	http_request_free(&r);
}
