/* SPDX-License-Identifier: Apache-2.0
 *
 * The state machine over the bytes of a request head (RFC 9112), and the checks on the few fields that decide how the
 * request is framed. Stricter than the RFC where it leaves a choice: no empty line before the request, origin-form
 * targets only, no transfer coding, no repeated field of those that are looked at. */
#include "api/http_head.h"

#include <string.h>
#include <strings.h>

enum state {
	METHOD,
	TARGET,
	ESCAPE_1, /* after '%' in the target: two hexadecimal digits follow */
	ESCAPE_2,
	VERSION,
	LINE_FEED, /* after the CR of the request line or of a field */
	FIELD,     /* the first byte of a field line, or of the empty line */
	NAME,
	SPACE, /* between the colon and the value */
	VALUE,
	LAST_FEED /* after the CR of the empty line */
};

static const struct http_fault_text fault_table[HTTP_FAULTS] = {
	[HTTP_FAULT_NONE] = {200, "OK", "none", "no fault"},
	[HTTP_FAULT_METHOD] = {400, "Bad Request", "bad-request",
			       "the method must be a token of 1 to 16 letters, followed by one space"},
	[HTTP_FAULT_TARGET] = {400, "Bad Request", "bad-request",
			       "the request target must be a path that begins with '/', of URI characters and %XX"},
	[HTTP_FAULT_VERSION] = {400, "Bad Request", "bad-request", "the request line must end with HTTP/1.1"},
	[HTTP_FAULT_VERSION_UNSUPPORTED] = {505, "HTTP Version Not Supported", "http-version",
					    "only HTTP/1.1 is spoken here"},
	[HTTP_FAULT_LINE_END] = {400, "Bad Request", "bad-request", "every line of the head must end with CR LF"},
	[HTTP_FAULT_FIELD_NAME] = {400, "Bad Request", "bad-request",
				   "a field name must be a token that is followed by a colon"},
	[HTTP_FAULT_FIELD_SPACE] = {400, "Bad Request", "bad-request",
				    "no white space is allowed between a field name and its colon"},
	[HTTP_FAULT_FIELD_FOLDED] = {400, "Bad Request", "bad-request",
				     "a field line must not begin with white space (folded lines are refused)"},
	[HTTP_FAULT_FIELD_VALUE] = {400, "Bad Request", "bad-request", "a field value has a control character in it"},
	[HTTP_FAULT_FIELD_TWICE] = {400, "Bad Request", "bad-request",
				    "Host, Content-Length, Authorization and the like may appear once"},
	[HTTP_FAULT_HOST_MISSING] = {400, "Bad Request", "bad-request", "the Host field is missing"},
	[HTTP_FAULT_HOST] = {400, "Bad Request", "bad-request", "Host must be a name or an address, then maybe a port"},
	[HTTP_FAULT_LENGTH] = {400, "Bad Request", "bad-request",
			       "Content-Length must be one decimal number without a sign, of at most 15 digits"},
	[HTTP_FAULT_LENGTH_AND_CODING] = {400, "Bad Request", "bad-request",
					  "Content-Length and Transfer-Encoding exclude each other"},
	[HTTP_FAULT_CODING] = {400, "Bad Request", "bad-request", "no transfer coding is understood here"},
	[HTTP_FAULT_CHUNKED] = {411, "Length Required", "length-required",
				"send the body with a Content-Length; chunked bodies are not taken"},
	[HTTP_FAULT_EXPECT] = {417, "Expectation Failed", "expectation-failed",
			       "the only expectation that is understood is 100-continue"},
	[HTTP_FAULT_TARGET_LONG] = {414, "URI Too Long", "target-too-long", "the request target is too long"},
	[HTTP_FAULT_HEAD_LONG] = {431, "Request Header Fields Too Large", "head-too-large",
				  "the head of the request is too large"},
	[HTTP_FAULT_FIELDS_MANY] = {431, "Request Header Fields Too Large", "head-too-large",
				    "the request has too many header fields"},
	[HTTP_FAULT_BODY_LONG] = {413, "Content Too Large", "too-large", "the body is larger than is taken here"},
};

const struct http_fault_text *http_fault_text(enum http_fault fault)
{
	return &fault_table[(int)fault >= 0 && fault < HTTP_FAULTS ? fault : HTTP_FAULT_NONE];
}

struct field_rule {
	const char *name;
	bool repeats;
	enum http_fault (*check)(struct http_head *h, const char *value, size_t len);
};

/* Characters by what they may be part of. */
enum { C_TOKEN = 1, C_TARGET = 2, C_VALUE = 4, C_HEX = 8, C_HOST = 16 };

#define ALNUM (C_TOKEN | C_TARGET | C_VALUE | C_HOST)
#define BOTH  (C_TOKEN | C_TARGET | C_VALUE)
static const unsigned char class_table[256] = {
	[' '] = C_VALUE,
	['\t'] = C_VALUE,
	['0' ... '9'] = ALNUM | C_HEX,
	['a' ... 'f'] = ALNUM | C_HEX,
	['A' ... 'F'] = ALNUM | C_HEX,
	['g' ... 'z'] = ALNUM,
	['G' ... 'Z'] = ALNUM,
	['-'] = BOTH | C_HOST,
	['.'] = BOTH | C_HOST,
	['_'] = BOTH | C_HOST,
	['!'] = BOTH,
	['$'] = BOTH,
	['%'] = BOTH,
	['&'] = BOTH,
	['\''] = BOTH,
	['*'] = BOTH,
	['+'] = BOTH,
	['~'] = BOTH,
	['#'] = C_TOKEN | C_VALUE,
	['^'] = C_TOKEN | C_VALUE,
	['`'] = C_TOKEN | C_VALUE,
	['|'] = C_TOKEN | C_VALUE,
	['('] = C_TARGET | C_VALUE,
	[')'] = C_TARGET | C_VALUE,
	[','] = C_TARGET | C_VALUE,
	[';'] = C_TARGET | C_VALUE,
	['='] = C_TARGET | C_VALUE,
	[':'] = C_TARGET | C_VALUE,
	['@'] = C_TARGET | C_VALUE,
	['/'] = C_TARGET | C_VALUE,
	['?'] = C_TARGET | C_VALUE,
	['"'] = C_VALUE,
	['<'] = C_VALUE,
	['>'] = C_VALUE,
	['['] = C_VALUE,
	[']'] = C_VALUE,
	['\\'] = C_VALUE,
	['{'] = C_VALUE,
	['}'] = C_VALUE,
	[0x80 ... 0xff] = C_VALUE, /* obs-text: opaque, but harmless */
};

static bool is(char c, unsigned class)
{
	return (class_table[(unsigned char)c] & class) != 0;
}

static bool same(const char *a, size_t len, const char *b)
{
	return len == strlen(b) && strncasecmp(a, b, len) == 0;
}

/* A name, an IPv4 address or [an IPv6 address], then maybe a colon and a port. */
static enum http_fault check_host(struct http_head *h, const char *v, size_t len)
{
	(void)h;
	size_t i = 0;
	if (len > 0 && v[0] == '[') {
		for (i = 1; i < len && (is(v[i], C_HEX) || v[i] == ':' || v[i] == '.'); i++)
			;
		if (i < 3 || i >= len || v[i++] != ']')
			return HTTP_FAULT_HOST;
	} else {
		for (; i < len && is(v[i], C_HOST); i++)
			;
		if (i == 0)
			return HTTP_FAULT_HOST;
	}
	if (i < len && v[i++] != ':')
		return HTTP_FAULT_HOST;
	if (len - i > 5)
		return HTTP_FAULT_HOST;
	for (; i < len; i++)
		if (v[i] < '0' || v[i] > '9')
			return HTTP_FAULT_HOST;
	return HTTP_FAULT_NONE;
}

static enum http_fault check_length(struct http_head *h, const char *v, size_t len)
{
	if (len == 0 || len > 15)
		return HTTP_FAULT_LENGTH;
	h->body_length = 0;
	for (size_t i = 0; i < len; i++) {
		if (v[i] < '0' || v[i] > '9')
			return HTTP_FAULT_LENGTH;
		h->body_length = h->body_length * 10 + (uint64_t)(v[i] - '0');
	}
	return HTTP_FAULT_NONE;
}

/* A list of tokens, of which only `close` means something to us. */
static enum http_fault check_connection(struct http_head *h, const char *v, size_t len)
{
	for (size_t i = 0; i < len;) {
		size_t from = i;
		while (i < len && is(v[i], C_TOKEN))
			i++;
		if (same(v + from, i - from, "close"))
			h->close = true;
		while (i < len && (v[i] == ' ' || v[i] == '\t' || v[i] == ','))
			i++;
		if (i == from)
			return HTTP_FAULT_FIELD_VALUE;
	}
	return HTTP_FAULT_NONE;
}

static enum http_fault check_expect(struct http_head *h, const char *v, size_t len)
{
	h->expect_continue = same(v, len, "100-continue");
	return h->expect_continue ? HTTP_FAULT_NONE : HTTP_FAULT_EXPECT;
}

static const struct field_rule field_table[HTTP_FIELDS] = {
	[HTTP_HOST] = {"Host", false, check_host},
	[HTTP_CONTENT_LENGTH] = {"Content-Length", false, check_length},
	[HTTP_TRANSFER_ENCODING] = {"Transfer-Encoding", false, NULL},
	[HTTP_CONNECTION] = {"Connection", true, check_connection},
	[HTTP_EXPECT] = {"Expect", false, check_expect},
	[HTTP_AUTHORIZATION] = {"Authorization", false, NULL},
	[HTTP_CONTENT_TYPE] = {"Content-Type", false, NULL},
	[HTTP_CONTENT_ENCODING] = {"Content-Encoding", false, NULL},
	[HTTP_IF_MATCH] = {"If-Match", false, NULL},
	[HTTP_IF_NONE_MATCH] = {"If-None-Match", false, NULL},
	[HTTP_IDEMPOTENCY_KEY] = {"Idempotency-Key", false, NULL},
	[HTTP_REQUEST_ID] = {"X-Request-Id", false, NULL},
	[HTTP_ACCEPT] = {"Accept", true, NULL},
	[HTTP_ACCEPT_ENCODING] = {"Accept-Encoding", true, NULL},
	[HTTP_ORIGIN] = {"Origin", false, NULL},
	[HTTP_CORS_METHOD] = {"Access-Control-Request-Method", false, NULL},
	[HTTP_LAST_EVENT_ID] = {"Last-Event-ID", false, NULL},
};

void http_head_init(struct http_head *h, const struct http_limits *limits)
{
	memset(h, 0, sizeof(*h));
	h->limits = limits;
	h->state = METHOD;
}

static struct http_span span(size_t from, size_t to)
{
	return (struct http_span){(uint32_t)from, (uint32_t)(to - from)};
}

static enum http_fault method_done(struct http_head *h)
{
	if (h->at == h->start || h->at - h->start > 16)
		return HTTP_FAULT_METHOD;
	h->method = span(h->start, h->at);
	h->start = h->at + 1;
	h->state = TARGET;
	return HTTP_FAULT_NONE;
}

static enum http_fault target_done(struct http_head *h)
{
	if (h->at == h->start)
		return HTTP_FAULT_TARGET;
	h->target = span(h->start, h->at);
	h->start = h->at + 1;
	h->state = VERSION;
	return HTTP_FAULT_NONE;
}

static enum http_fault version_done(struct http_head *h, const char *bytes)
{
	const char *v = bytes + h->start;
	if (h->at - h->start != 8 || memcmp(v, "HTTP/", 5) != 0 || v[5] < '0' || v[5] > '9' || v[6] != '.' ||
	    v[7] < '0' || v[7] > '9')
		return HTTP_FAULT_VERSION;
	if (v[5] != '1' || v[7] != '1')
		return HTTP_FAULT_VERSION_UNSUPPORTED;
	h->state = LINE_FEED;
	return HTTP_FAULT_NONE;
}

/* At the colon: which field is it, and may it come (again)? */
static enum http_fault name_done(struct http_head *h, const char *bytes)
{
	size_t len = h->at - h->start;
	if (len == 0)
		return HTTP_FAULT_FIELD_NAME;
	if (++h->field_count > h->limits->fields)
		return HTTP_FAULT_FIELDS_MANY;
	for (h->now = 0; h->now < HTTP_FIELDS; h->now++)
		if (same(bytes + h->start, len, field_table[h->now].name))
			break;
	if (h->now < HTTP_FIELDS) {
		if (h->present[h->now] && !field_table[h->now].repeats)
			return HTTP_FAULT_FIELD_TWICE;
		h->present[h->now] = true;
	}
	h->state = SPACE;
	return HTTP_FAULT_NONE;
}

/* At the CR: the value without the white space around it. */
static enum http_fault value_done(struct http_head *h, const char *bytes)
{
	size_t end = h->at;
	if (h->state == SPACE)
		h->start = h->at;
	while (end > h->start && (bytes[end - 1] == ' ' || bytes[end - 1] == '\t'))
		end--;
	h->state = LINE_FEED;
	if (h->now >= HTTP_FIELDS)
		return HTTP_FAULT_NONE;
	h->field[h->now] = span(h->start, end);
	if (field_table[h->now].check == NULL)
		return HTTP_FAULT_NONE;
	return field_table[h->now].check(h, bytes + h->start, end - h->start);
}

static uint64_t body_limit(const struct http_head *h, const char *bytes)
{
	const char *path = h->limits->large_path;
	size_t len = path != NULL ? strlen(path) : 0;
	bool large = len > 0 && h->target.len >= len && memcmp(bytes + h->target.at, path, len) == 0 &&
		     (h->target.len == len || bytes[h->target.at + len] == '?');
	return large ? h->limits->large_body : h->limits->body;
}

/* At the end of the head: do the fields together frame one request? */
static enum http_fault head_done(struct http_head *h, const char *bytes)
{
	h->length = h->at + 1;
	if (!h->present[HTTP_HOST])
		return HTTP_FAULT_HOST_MISSING;
	if (h->present[HTTP_TRANSFER_ENCODING]) {
		const struct http_span *coding = &h->field[HTTP_TRANSFER_ENCODING];
		if (h->present[HTTP_CONTENT_LENGTH])
			return HTTP_FAULT_LENGTH_AND_CODING;
		return same(bytes + coding->at, coding->len, "chunked") ? HTTP_FAULT_CHUNKED : HTTP_FAULT_CODING;
	}
	if (h->body_length > body_limit(h, bytes))
		return HTTP_FAULT_BODY_LONG;
	return HTTP_FAULT_NONE;
}

static enum http_fault target_byte(struct http_head *h, char c)
{
	if (h->state != TARGET) {
		if (!is(c, C_HEX))
			return HTTP_FAULT_TARGET;
		h->state = h->state == ESCAPE_1 ? ESCAPE_2 : TARGET;
		return HTTP_FAULT_NONE;
	}
	if (c == ' ')
		return target_done(h);
	if (c == '\r' || c == '\n')
		return HTTP_FAULT_VERSION; /* HTTP/0.9 */
	if (!is(c, C_TARGET) || (h->at == h->start && c != '/'))
		return HTTP_FAULT_TARGET;
	if (h->at - h->start >= h->limits->target)
		return HTTP_FAULT_TARGET_LONG;
	if (c == '%')
		h->state = ESCAPE_1;
	return HTTP_FAULT_NONE;
}

static enum http_fault field_byte(struct http_head *h, char c, const char *bytes)
{
	switch ((enum state)h->state) {
	case FIELD:
		h->start = h->at;
		h->state = c == '\r' ? LAST_FEED : NAME;
		if (c == ' ' || c == '\t')
			return HTTP_FAULT_FIELD_FOLDED;
		if (c == '\n')
			return HTTP_FAULT_LINE_END;
		return c == '\r' || is(c, C_TOKEN) ? HTTP_FAULT_NONE : HTTP_FAULT_FIELD_NAME;
	case NAME:
		if (c == ':')
			return name_done(h, bytes);
		if (c == ' ' || c == '\t')
			return HTTP_FAULT_FIELD_SPACE;
		return is(c, C_TOKEN) ? HTTP_FAULT_NONE : HTTP_FAULT_FIELD_NAME;
	default: /* SPACE, VALUE */
		if (c == '\r')
			return value_done(h, bytes);
		if (c == '\n')
			return HTTP_FAULT_LINE_END;
		if (!is(c, C_VALUE))
			return HTTP_FAULT_FIELD_VALUE;
		if (h->state == SPACE && c != ' ' && c != '\t') {
			h->start = h->at;
			h->state = VALUE;
		}
		return HTTP_FAULT_NONE;
	}
}

static enum http_fault head_byte(struct http_head *h, char c, const char *bytes)
{
	switch ((enum state)h->state) {
	case METHOD:
		if (c == ' ')
			return method_done(h);
		return is(c, C_TOKEN) && h->at - h->start < 16 ? HTTP_FAULT_NONE : HTTP_FAULT_METHOD;
	case TARGET:
	case ESCAPE_1:
	case ESCAPE_2:
		return target_byte(h, c);
	case VERSION:
		if (c == '\r')
			return version_done(h, bytes);
		if (c == '\n')
			return HTTP_FAULT_LINE_END;
		return h->at - h->start < 8 ? HTTP_FAULT_NONE : HTTP_FAULT_VERSION;
	case LINE_FEED:
		h->state = FIELD;
		return c == '\n' ? HTTP_FAULT_NONE : HTTP_FAULT_LINE_END;
	case LAST_FEED:
		return c == '\n' ? head_done(h, bytes) : HTTP_FAULT_LINE_END;
	default:
		return field_byte(h, c, bytes);
	}
}

enum http_verdict http_head_parse(struct http_head *h, const char *bytes, size_t len)
{
	for (; h->at < len; h->at++) {
		h->fault = h->at >= h->limits->head ? HTTP_FAULT_HEAD_LONG : head_byte(h, bytes[h->at], bytes);
		if (h->fault != HTTP_FAULT_NONE)
			return HTTP_REFUSED;
		if (h->length != 0)
			return HTTP_COMPLETE;
	}
	return HTTP_MORE;
}
