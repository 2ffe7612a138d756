/* SPDX-License-Identifier: Apache-2.0
 *
 * The head of an HTTP/1.1 request: a state machine that says where a request ends, or why it is refused. It takes the
 * one reading that RFC 9112 allows and refuses whatever two parsers could read in two ways, so no proxy in front of us
 * can be made to see other requests than we do. It allocates nothing and copies nothing. */
#ifndef COLDFLEET_API_HTTP_HEAD_H
#define COLDFLEET_API_HTTP_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct http_limits {
	size_t target;          /* bytes of the request target */
	size_t head;            /* bytes up to and including the empty line */
	size_t fields;          /* number of header fields */
	uint64_t body;          /* bytes of the body */
	const char *large_path; /* where more is taken: */
	uint64_t large_body;
};

/* Why a request is refused; http_fault_text says it in words. */
enum http_fault {
	HTTP_FAULT_NONE,
	HTTP_FAULT_METHOD,
	HTTP_FAULT_TARGET,
	HTTP_FAULT_VERSION,
	HTTP_FAULT_VERSION_UNSUPPORTED,
	HTTP_FAULT_LINE_END,
	HTTP_FAULT_FIELD_NAME,
	HTTP_FAULT_FIELD_SPACE,
	HTTP_FAULT_FIELD_FOLDED,
	HTTP_FAULT_FIELD_VALUE,
	HTTP_FAULT_FIELD_TWICE,
	HTTP_FAULT_HOST_MISSING,
	HTTP_FAULT_HOST,
	HTTP_FAULT_LENGTH,
	HTTP_FAULT_LENGTH_AND_CODING,
	HTTP_FAULT_CODING,
	HTTP_FAULT_CHUNKED,
	HTTP_FAULT_EXPECT,
	HTTP_FAULT_TARGET_LONG,
	HTTP_FAULT_HEAD_LONG,
	HTTP_FAULT_FIELDS_MANY,
	HTTP_FAULT_BODY_LONG,
	HTTP_FAULTS
};

struct http_fault_text {
	int status;
	const char *reason; /* the status in words */
	const char *slug;
	const char *detail;
};
const struct http_fault_text *http_fault_text(enum http_fault fault);

/* The fields that something in the product looks at. Each may appear once; `Connection` and `Accept`, lists, may
 * repeat. */
enum http_field {
	HTTP_HOST,
	HTTP_CONTENT_LENGTH,
	HTTP_TRANSFER_ENCODING,
	HTTP_CONNECTION,
	HTTP_EXPECT,
	HTTP_AUTHORIZATION,
	HTTP_CONTENT_TYPE,
	HTTP_CONTENT_ENCODING,
	HTTP_IF_MATCH,
	HTTP_IF_NONE_MATCH,
	HTTP_IDEMPOTENCY_KEY,
	HTTP_REQUEST_ID,
	HTTP_ACCEPT, /* of several the last */
	HTTP_ACCEPT_ENCODING,
	HTTP_ORIGIN,
	HTTP_CORS_METHOD, /* Access-Control-Request-Method */
	HTTP_LAST_EVENT_ID,
	HTTP_FIELDS
};

struct http_span {
	uint32_t at, len; /* offset from the first byte of the request; len 0: absent or empty */
};

enum http_verdict { HTTP_MORE, HTTP_COMPLETE, HTTP_REFUSED };

/* Public so that it can live inside its owner; only http_head.c writes it. */
struct http_head {
	const struct http_limits *limits;
	size_t at;      /* next byte to look at */
	size_t start;   /* of the token being read */
	unsigned state; /* enum state of http_head.c */
	unsigned now;   /* enum http_field of the field line being read; HTTP_FIELDS: one that nobody looks at */
	enum http_fault fault;

	/* Filled in as they are met, valid once HTTP_COMPLETE is returned. */
	struct http_span method, target;
	struct http_span field[HTTP_FIELDS]; /* values without the white space around them */
	bool present[HTTP_FIELDS];
	size_t field_count;
	size_t length; /* of the head: the body begins here */
	uint64_t body_length;
	bool close; /* Connection: close */
	bool expect_continue;
};

/* `limits` is borrowed. */
void http_head_init(struct http_head *h, const struct http_limits *limits);

/* `bytes` is the request from its first byte: what earlier calls saw, and more (it may have moved). Looks only at what
 * is new, so the verdict does not depend on how the bytes were split. Nothing after the head is looked at. After a
 * verdict other than HTTP_MORE the machine must be initialised again. */
enum http_verdict http_head_parse(struct http_head *h, const char *bytes, size_t len);

#endif
