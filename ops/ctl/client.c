/* SPDX-License-Identifier: Apache-2.0
 *
 * The request, its retries, and what an answer means. */
#include "ops/ctl/client.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <curl/curl.h>
#include <event2/util.h>
#include <jansson.h>

#include "core/backoff.h"

#define ATTEMPTS  4
#define WAIT_MAX  60 /* seconds that a 429 may ask for */
#define SILENCE_S 60 /* an answer that streams may be silent so long; the API's heartbeat is shorter */

struct client {
	const struct settings *settings;
	CURL *curl;
	char base[CONFIG_TEXT_MAX];
	char error[CURL_ERROR_SIZE];
};

/* One attempt: what the callbacks need. */
struct attempt {
	struct client *client;
	const struct call *call;
	struct reply *reply;
	bool head_ended, sunk, stopped, too_large;
};

static const struct {
	long status;
	enum err_code code;
} status_table[] = {
	{401, ERR_UNAUTHORIZED}, {403, ERR_FORBIDDEN}, {404, ERR_NOT_FOUND}, {409, ERR_CONFLICT}, {412, ERR_CONFLICT},
	{428, ERR_CONFLICT},     {502, ERR_SYSTEM},    {503, ERR_SYSTEM},    {504, ERR_SYSTEM},
};

/* After these the request may have been carried out, or not: nobody can tell. */
static bool is_cut(CURLcode code)
{
	static const CURLcode cuts[] = {CURLE_GOT_NOTHING, CURLE_RECV_ERROR, CURLE_SEND_ERROR, CURLE_PARTIAL_FILE};

	for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++)
		if (code == cuts[i])
			return true;
	return false;
}

struct client *client_new(const struct settings *s, struct err *e)
{
	struct client *c = calloc(1, sizeof(*c));
	bool is_unix = strncasecmp(s->api, "unix:", 5) == 0;

	if (c == NULL || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK || (c->curl = curl_easy_init()) == NULL)
		abort();
	c->settings = s;
	snprintf(c->base, sizeof(c->base), "%s", is_unix ? "http://localhost" : s->api);
	for (size_t len = strlen(c->base); len > 0 && c->base[len - 1] == '/'; len--)
		c->base[len - 1] = '\0';
	/* Only https looks at the certificates; a wrong path would otherwise be a riddle of libcurl's. */
	if (s->ca[0] != '\0' && strncasecmp(s->api, "https:", 6) == 0 && access(s->ca, R_OK) != 0) {
		err_set(e, ERR_CONFIG, "--ca %s: expected a file of certificates that can be read", s->ca);
		client_free(&c);
	}
	return c;
}

void client_free(struct client **c)
{
	if (*c == NULL)
		return;
	curl_easy_cleanup((*c)->curl);
	curl_global_cleanup();
	free(*c);
	*c = NULL;
}

void reply_free(struct reply *r)
{
	free(r->body);
	memset(r, 0, sizeof(*r));
}

static bool collect(struct reply *r, const char *data, size_t len)
{
	if (len > CLIENT_BODY_MAX - r->len)
		return false;
	char *grown = realloc(r->body, r->len + len + 1);
	if (grown == NULL)
		abort();
	r->body = grown;
	memcpy(r->body + r->len, data, len);
	r->len += len;
	r->body[r->len] = '\0';
	return true;
}

/* The empty line. libcurl takes a head that breaks off behind its first line for a whole answer without a body. */
static size_t on_field(char *data, size_t size, size_t count, void *arg)
{
	struct attempt *a = arg;

	a->head_ended = size * count <= 2 && data[0] == '\r';
	return size * count;
}

static size_t on_data(char *data, size_t size, size_t count, void *arg)
{
	struct attempt *a = arg;
	size_t len = size * count;
	long status = 0;

	curl_easy_getinfo(a->client->curl, CURLINFO_RESPONSE_CODE, &status);
	if (a->call->sink == NULL || status / 100 != 2) {
		a->too_large = !collect(a->reply, data, len);
		return a->too_large ? 0 : len;
	}
	a->sunk = true;
	a->stopped = !a->call->sink(a->call->arg, data, len);
	return a->stopped ? 0 : len;
}

static int on_progress(void *arg, curl_off_t dl_total, curl_off_t dl, curl_off_t ul_total, curl_off_t ul)
{
	struct attempt *a = arg;

	(void)dl_total;
	(void)dl;
	a->call->sent(a->call->arg, (size_t)ul, (size_t)ul_total);
	return 0;
}

static void add_field(struct curl_slist **fields, const char *name, const char *value)
{
	char line[CONFIG_TEXT_MAX + 64];

	if (value == NULL)
		return;
	snprintf(line, sizeof(line), *value != '\0' ? "%s: %s" : "%s:%s", name, value);
	struct curl_slist *longer = curl_slist_append(*fields, line);
	if (longer == NULL)
		abort();
	*fields = longer;
}

static struct curl_slist *fields_of(const struct client *c, const struct call *call, const char *key)
{
	struct curl_slist *fields = NULL;
	char bearer[CONFIG_TEXT_MAX + 16];

	snprintf(bearer, sizeof(bearer), "Bearer %s", c->settings->token);
	add_field(&fields, "Authorization", c->settings->token[0] != '\0' ? bearer : NULL);
	add_field(&fields, "Accept", call->accept != NULL ? call->accept : "application/json");
	add_field(&fields, "Content-Type", call->content_type);
	add_field(&fields, "If-Match", call->if_match);
	add_field(&fields, "Last-Event-ID", call->last_event_id);
	add_field(&fields, "Idempotency-Key", key);
	/* Without a value libcurl leaves out what it would add: a question before the body, and a type of none. */
	add_field(&fields, "Expect", "");
	if (call->content_type == NULL)
		add_field(&fields, "Content-Type", "");
	return fields;
}

static void set_transport(struct client *c, const struct call *call)
{
	const struct settings *s = c->settings;

	if (strncasecmp(s->api, "unix:", 5) == 0)
		curl_easy_setopt(c->curl, CURLOPT_UNIX_SOCKET_PATH, s->api + 5);
	if (strncasecmp(s->api, "https:", 6) != 0)
		curl_easy_setopt(c->curl, CURLOPT_PROXY, ""); /* this machine needs none */
	else if (s->ca[0] != '\0')
		curl_easy_setopt(c->curl, CURLOPT_CAINFO, s->ca);
	curl_easy_setopt(c->curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	curl_easy_setopt(c->curl, CURLOPT_CONNECTTIMEOUT_MS, (long)(s->timeout * 1e3));
	if (call->sink == NULL) {
		curl_easy_setopt(c->curl, CURLOPT_TIMEOUT_MS, (long)(s->timeout * 1e3));
	} else {
		curl_easy_setopt(c->curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
		curl_easy_setopt(c->curl, CURLOPT_LOW_SPEED_TIME, (long)SILENCE_S);
	}
}

static void set_request(struct client *c, const struct call *call, struct attempt *a, const char *url)
{
	curl_easy_setopt(c->curl, CURLOPT_URL, url);
	curl_easy_setopt(c->curl, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(c->curl, CURLOPT_USERAGENT, "coldfleetctl/" COLDFLEET_VERSION);
	curl_easy_setopt(c->curl, CURLOPT_ACCEPT_ENCODING, "");
	curl_easy_setopt(c->curl, CURLOPT_ERRORBUFFER, c->error);
	curl_easy_setopt(c->curl, CURLOPT_HEADERFUNCTION, on_field);
	curl_easy_setopt(c->curl, CURLOPT_HEADERDATA, a);
	curl_easy_setopt(c->curl, CURLOPT_WRITEFUNCTION, on_data);
	curl_easy_setopt(c->curl, CURLOPT_WRITEDATA, a);
	if (call->body != NULL || (call->method != NULL && strcmp(call->method, "POST") == 0)) {
		curl_easy_setopt(c->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body_len);
		curl_easy_setopt(c->curl, CURLOPT_POSTFIELDS, call->body != NULL ? call->body : "");
	}
	if (call->method != NULL)
		curl_easy_setopt(c->curl, CURLOPT_CUSTOMREQUEST, call->method);
	if (call->sent != NULL) {
		curl_easy_setopt(c->curl, CURLOPT_NOPROGRESS, 0L);
		curl_easy_setopt(c->curl, CURLOPT_XFERINFOFUNCTION, on_progress);
		curl_easy_setopt(c->curl, CURLOPT_XFERINFODATA, a);
	}
}

static void copy_field(CURL *curl, const char *name, char *to, size_t size)
{
	struct curl_header *field;

	to[0] = '\0';
	if (curl_easy_header(curl, name, 0, CURLH_HEADER, -1, &field) == CURLHE_OK)
		snprintf(to, size, "%s", field->value);
}

static CURLcode try(struct client *c, const struct call *call, const char *key, struct attempt *a)
{
	struct curl_slist *fields = fields_of(c, call, key);
	char url[CONFIG_TEXT_MAX + 8192];

	reply_free(a->reply);
	collect(a->reply, "", 0);
	snprintf(url, sizeof(url), "%s%s", c->base, call->target);
	curl_easy_reset(c->curl);
	c->error[0] = '\0';
	set_transport(c, call);
	set_request(c, call, a, url);
	curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, fields);
	CURLcode code = curl_easy_perform(c->curl);
	if (code == CURLE_OK && !a->head_ended)
		code = CURLE_PARTIAL_FILE;
	curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &a->reply->status);
	copy_field(c->curl, "X-Request-Id", a->reply->request_id, sizeof(a->reply->request_id));
	copy_field(c->curl, "ETag", a->reply->etag, sizeof(a->reply->etag));
	copy_field(c->curl, "Location", a->reply->location, sizeof(a->reply->location));
	curl_slist_free_all(fields);
	return code;
}

/* "urn:coldfleet:problem:not-found" → "404 not-found: no device has the serial x" */
static bool problem(const struct reply *r, struct err *e)
{
	enum err_code code = ERR_REQUEST;
	json_t *body = json_loadb(r->body, r->len, 0, NULL);
	const char *type = json_string_value(json_object_get(body, "type"));
	const char *detail = json_string_value(json_object_get(body, "detail"));
	const char *slug = type != NULL ? strrchr(type, ':') : NULL;

	for (size_t i = 0; i < sizeof(status_table) / sizeof(status_table[0]); i++)
		if (status_table[i].status == r->status)
			code = status_table[i].code;
	if (slug != NULL && detail != NULL)
		err_set(e, code, "%ld %s: %s", r->status, slug + 1, detail);
	else
		err_set(e, code, "%ld, without a problem document: is this the API?", r->status);
	json_decref(body);
	return false;
}

static bool failed(const struct client *c, const struct attempt *a, CURLcode code, struct err *e)
{
	const char *what = c->error[0] != '\0' ? c->error : curl_easy_strerror(code);

	if (a->too_large)
		return err_set(e, ERR_TOO_LARGE, "the answer is larger than %zu MiB; ask for less",
			       CLIENT_BODY_MAX >> 20);
	if (a->sunk)
		return err_set(e, ERR_SYSTEM, "the answer broke off: %s", what);
	return err_set(e, ERR_SYSTEM, "%s: %s", c->settings->api, what);
}

static void random_key(char key[33])
{
	unsigned char bytes[16];

	evutil_secure_rng_get_bytes(bytes, sizeof(bytes));
	for (size_t i = 0; i < sizeof(bytes); i++)
		snprintf(key + 2 * i, 3, "%02x", bytes[i]);
}

static void pause_for(struct timeval tv)
{
	struct timespec ts = {.tv_sec = tv.tv_sec, .tv_nsec = tv.tv_usec * 1000};
	nanosleep(&ts, NULL);
}

/* How a 429 asks for patience: true when it was waited for. */
static bool waited(const struct client *c)
{
	curl_off_t seconds = 0;

	curl_easy_getinfo(c->curl, CURLINFO_RETRY_AFTER, &seconds);
	if (seconds < 1 || seconds > WAIT_MAX)
		return false;
	pause_for((struct timeval){.tv_sec = seconds});
	return true;
}

bool client_call(struct client *c, const struct call *call, struct reply *r, struct err *e)
{
	struct backoff backoff = {.first = 0.2, .limit = 2};
	bool is_post = call->method != NULL && strcmp(call->method, "POST") == 0;
	bool again = call->method == NULL || is_post, was_cut = false;
	char key[33] = "";

	if (is_post)
		random_key(key);
	for (int left = ATTEMPTS - 1;; left--) {
		struct attempt a = {.client = c, .call = call, .reply = r};
		CURLcode code = try(c, call, is_post ? key : NULL, &a);
		if ((code == CURLE_OK && r->status / 100 == 2) || a.stopped)
			return true;
		if (code == CURLE_OK && r->status == 429 && left > 0 && waited(c))
			continue;
		if (code == CURLE_OK)
			return problem(r, e);
		/* Who was there and went may be starting anew: then its port refuses for a moment. */
		bool gone = is_cut(code) || (was_cut && code == CURLE_COULDNT_CONNECT);
		if (!again || !gone || a.sunk || left == 0)
			return failed(c, &a, code, e);
		was_cut = true;
		pause_for(backoff_fail(&backoff));
	}
}
