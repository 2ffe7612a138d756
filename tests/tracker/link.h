/* SPDX-License-Identifier: Apache-2.0
 *
 * Where the broker is and with which certificate a tracker goes there: the options that the commands share, and the
 * connection made from them. */
#ifndef COLDFLEET_TRACKER_LINK_H
#define COLDFLEET_TRACKER_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include <event2/event.h>

#include "broker-bridge/mqtt.h"
#include "core/err.h"
#include "tests/tracker/options.h"

struct link {
	const char *host;
	int64_t port;
	const char *certs, *ca;
	bool clear;
	double keepalive; /* seconds */
};

/* Rows of an option table whose struct has a member `link`. */
#define LINK_ITEMS(type)                                                                                               \
	{"host", OPTION_TEXT, offsetof(type, link.host), "127.0.0.1", "COLDFLEET_MQTT_HOST", 0, 0,                     \
	 "HOST", "the broker"},                                                                                        \
		{"port", OPTION_INT, offsetof(type, link.port), "8883", "COLDFLEET_MQTT_PORT", 0, 65535,               \
		 "PORT", "its port"},                                                                                  \
		{"certs",                                                                                              \
		 OPTION_TEXT,                                                                                          \
		 offsetof(type, link.certs),                                                                           \
		 NULL,                                                                                                 \
		 "COLDFLEET_CERTS",                                                                                    \
		 0,                                                                                                    \
		 0,                                                                                                    \
		 "DIR",                                                                                                \
		 "folder with SERIAL.crt and SERIAL.key"},                                                             \
		{"ca", OPTION_TEXT,    offsetof(type, link.ca),                                                        \
		 NULL, "COLDFLEET_CA", 0,                                                                              \
		 0,    "FILE",         "certificate of the CA; without it CERTS/ca.crt"},                              \
		{"keepalive", OPTION_SECONDS,   offsetof(type, link.keepalive), "60", NULL, 5, 3600,                   \
		 "TIME",      "MQTT keep alive"},                                                                      \
	{                                                                                                              \
		"clear", OPTION_FLAG, offsetof(type, link.clear), NULL, NULL, 0, 0, NULL,                              \
			"no TLS: for a private broker on the loopback"                                                 \
	}

#define LINK_PATH_MAX 4096

struct link_paths {
	char ca[LINK_PATH_MAX], cert[LINK_PATH_MAX], key[LINK_PATH_MAX];
};
/* Where a tracker's certificate is, and the CA's. The error names the file that is missing. */
bool link_find(const struct link *link, const char *serial, struct link_paths *out, struct err *e);
bool link_find_ca(const struct link *link, char out[LINK_PATH_MAX], struct err *e);

/* A connection with the tracker's own certificate; not started. */
struct mqtt *link_new(const struct link *link, const char *serial, struct event_base *base, mqtt_cb *cb, void *arg,
		      struct err *e);

/* Lets this process have `files` open at once, as far as the system allows; fails with what it would take. */
bool link_files(size_t files, struct err *e);

#endif
