/* SPDX-License-Identifier: Apache-2.0
 *
 * What every daemon is: a libevent base, a configuration, signals, readiness and an orderly end. SIGTERM and SIGINT ask
 * for a graceful stop, which has a deadline; SIGHUP re-reads the configuration. READY=1 goes to systemd once every
 * part that was declared is up; the watchdog is fed from the loop itself, so a stuck loop is found. */
#ifndef COLDFLEET_CORE_SERVICE_H
#define COLDFLEET_CORE_SERVICE_H

#include <stdbool.h>
#include <stddef.h>

#include <event2/event.h>

#include "core/config.h"
#include "core/log.h"
#include "core/metrics.h"

struct service;

struct service_spec {
	const char *name;    /* "coldfleet-ingest" */
	const char *summary; /* one sentence for --help */
	const struct config_item *items;
	size_t item_count;
	void *values; /* the daemon's configuration struct */
	size_t values_size;
	const struct metric_def *metrics;
	size_t metric_count;
};

enum service_start { SERVICE_RUN, SERVICE_EXIT_OK, SERVICE_EXIT_USAGE };

/* Parses --config FILE, --set KEY=VALUE, --check-config, --help-config, --help, --version and loads the configuration.
 * Anything but SERVICE_RUN: what was asked has been printed, *out is NULL, and main returns (0 or 2). */
enum service_start service_new(const struct service_spec *spec, int argc, char **argv, struct service **out);
void service_free(struct service **s);

struct event_base *service_base(const struct service *s);
struct metrics *service_metrics(const struct service *s);

/* A part that must be up before the service is ready ("database", "broker"). Returns its number; starts as down. */
size_t service_part(struct service *s, const char *name);
void service_part_up(struct service *s, size_t part, bool up);
/* True when every part is up and no stop was asked for; else `why` (may be NULL) gets words, e.g. "database is down".
 */
bool service_ready(const struct service *s, char *why, size_t why_size);

/* `stop` is called once when a stop is asked for: let go of sources, finish what is in flight, then call
 * service_stopped(). Without it by `service.stop_timeout` the process ends with exit status 1. */
void service_on_stop(struct service *s, void (*stop)(void *arg), void *arg);
void service_on_reload(struct service *s, void (*reload)(void *arg), void *arg);
void service_stop(struct service *s);
void service_stopped(struct service *s);

/* Runs until stopped; returns the process's exit status. */
int service_run(struct service *s);

/* The rows of the configuration table that every daemon has: put them first in yours, and `struct service_config
 * service;` first in your struct (its offset is 0). */
struct service_config {
	enum log_level log_level;
	double stop_timeout;           /* seconds */
	char monitor[CONFIG_TEXT_MAX]; /* "127.0.0.1:9641", "unix:/run/…", empty: none */
};
#define SERVICE_CONFIG_ITEMS(section, monitor_default)                                                                 \
	{section ".log_level",                                                                                         \
	 CONFIG_LOG_LEVEL,                                                                                             \
	 offsetof(struct service_config, log_level),                                                                   \
	 "info",                                                                                                       \
	 0,                                                                                                            \
	 0,                                                                                                            \
	 true,                                                                                                         \
	 false,                                                                                                        \
	 "error, warn, info or debug"},                                                                                \
		{section ".stop_timeout",                                                                              \
		 CONFIG_SECONDS,                                                                                       \
		 offsetof(struct service_config, stop_timeout),                                                        \
		 "20s",                                                                                                \
		 0.1,                                                                                                  \
		 600,                                                                                                  \
		 true,                                                                                                 \
		 false,                                                                                                \
		 "how long a graceful stop may take"},                                                                 \
	{                                                                                                              \
		section ".monitor", CONFIG_TEXT, offsetof(struct service_config, monitor), monitor_default, 0, 0,      \
			false, false,                                                                                  \
			"where /metrics, /healthz and /readyz are served: 127.0.0.1:PORT, unix:/PATH, or empty"        \
	}

#endif
