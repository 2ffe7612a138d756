/* SPDX-License-Identifier: Apache-2.0
 *
 * An error is a value that travels up. The function that fails says what, where and what was expected, in words
 * for the person who has to act; whoever handles the error logs it, once. */
#ifndef COLDFLEET_CORE_ERR_H
#define COLDFLEET_CORE_ERR_H

#include <stdbool.h>
#include <stddef.h>

enum err_code {
	ERR_NONE,
	ERR_INTERNAL,     /* a bug of ours, or memory ran out */
	ERR_SYSTEM,       /* a system call failed; detail names it and its reason */
	ERR_CONFIG,       /* a configuration value is wrong */
	ERR_DB_LOST,      /* no connection to PostgreSQL, or it broke: try again later */
	ERR_DB_REFUSED,   /* PostgreSQL refused the statement; detail carries its message */
	ERR_BROKER_LOST,  /* no connection to the broker, or it broke */
	ERR_DECODE,       /* bytes from outside are not what their contract says */
	ERR_REQUEST,      /* a request is malformed */
	ERR_UNAUTHORIZED, /* no token, or not a valid one */
	ERR_FORBIDDEN,    /* a valid token without the role */
	ERR_NOT_FOUND,
	ERR_METHOD,                /* the path exists, the method does not */
	ERR_CONFLICT,              /* the state of the object does not allow it */
	ERR_TOO_LARGE,             /* over a limit on size */
	ERR_INVALID,               /* well-formed, but a value is out of its bounds */
	ERR_PRECONDITION,          /* the resource is not as If-Match says */
	ERR_PRECONDITION_REQUIRED, /* If-Match is missing */
	ERR_MEDIA,                 /* a body of a type that is not taken here */
	ERR_RATE,                  /* too many requests of one client */
	ERR_OVERLOADED,            /* a limit on concurrency or rate was reached */
	ERR_CODES
};

struct err {
	enum err_code code;
	char detail[256]; /* one line of UTF-8, no trailing newline; cut off, never overrun */
};

/* How an error looks over HTTP (RFC 9457): status, the stable slug of its type, its title. */
struct err_http {
	int status;
	const char *slug;
	const char *title;
};

/* Fills `e` (may be NULL) and returns false, so that a function can end with `return err_set(...)`. */
bool err_set(struct err *e, enum err_code code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Puts words in front of the detail already in `e` ("/etc/x.ini line 3: " + "expected a number"). Returns false. */
bool err_prefix(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Never NULL; unknown codes map to the row of ERR_INTERNAL. */
const struct err_http *err_http(enum err_code code);

#endif
