/* SPDX-License-Identifier: Apache-2.0
 *
 * The life of a daemon: parse the command line, load the configuration, run the loop, tell systemd, stop in order. */
#include "core/service.h"

#include <getopt.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#include "core/clock.h"
#include "core/log.h"
#include "core/monitor.h"

#define SERVICE_PARTS 8

struct service {
	const struct service_spec *spec;
	struct service_config *common; /* the first member of spec->values */
	struct config *config;
	struct metrics *metrics;
	struct monitor *monitor;
	struct event_base *base;
	struct event *signals[3];
	struct event *watchdog;
	struct event *stop_timer;
	const char *part_names[SERVICE_PARTS];
	bool part_up[SERVICE_PARTS];
	size_t parts;
	bool announced; /* READY=1 was sent */
	bool stopping;
	int status;
	void (*stop)(void *arg);
	void *stop_arg;
	void (*reload)(void *arg);
	void *reload_arg;
};

static void print_help(const struct service_spec *spec)
{
	printf("%s %s - %s\n\n"
	       "usage: %s [--config FILE] [--set SECTION.KEY=VALUE]... [--check-config]\n\n"
	       "  --config FILE            configuration (default %s)\n"
	       "  --set SECTION.KEY=VALUE  one value, over the file's; may be repeated\n"
	       "  --check-config           print what is in force and where from, and exit\n"
	       "  --help-config            print every key with its default and meaning, and exit\n"
	       "  --version                print the version, and exit\n\n"
	       "SIGTERM stops gracefully, SIGHUP re-reads the configuration. Logs go to standard error.\n",
	       spec->name, COLDFLEET_VERSION, spec->summary, spec->name, CONFIG_FILE_DEFAULT);
}

enum option_code { OPT_CONFIG = 256, OPT_SET, OPT_CHECK, OPT_HELP_CONFIG, OPT_HELP, OPT_VERSION };

static const struct option long_options[] = {
	{"config", required_argument, NULL, OPT_CONFIG},
	{"set", required_argument, NULL, OPT_SET},
	{"check-config", no_argument, NULL, OPT_CHECK},
	{"help-config", no_argument, NULL, OPT_HELP_CONFIG},
	{"help", no_argument, NULL, OPT_HELP},
	{"version", no_argument, NULL, OPT_VERSION},
	{NULL, 0, NULL, 0},
};

/* Two passes over the command line: the file first, then --set over it, in whatever order they were given. */
static enum service_start parse_options(struct service *s, int argc, char **argv, bool *check, struct err *e)
{
	const char *path = CONFIG_FILE_DEFAULT;
	bool path_given = false;
	int code;
	optind = 1;
	while ((code = getopt_long(argc, argv, "h", long_options, NULL)) != -1) {
		switch (code) {
		case OPT_CONFIG:
			path = optarg;
			path_given = true;
			break;
		case OPT_SET:
			break;
		case OPT_CHECK:
			*check = true;
			break;
		case OPT_HELP_CONFIG:
			config_print_example(s->config, stdout);
			return SERVICE_EXIT_OK;
		case 'h':
		case OPT_HELP:
			print_help(s->spec);
			return SERVICE_EXIT_OK;
		case OPT_VERSION:
			printf("%s %s\n", s->spec->name, COLDFLEET_VERSION);
			return SERVICE_EXIT_OK;
		default:
			return SERVICE_EXIT_USAGE;
		}
	}
	if (optind < argc) {
		err_set(e, ERR_CONFIG, "unexpected argument '%.80s'", argv[optind]);
		return SERVICE_EXIT_USAGE;
	}
	if (!config_load(s->config, path, path_given, e))
		return SERVICE_EXIT_USAGE;
	optind = 1;
	while ((code = getopt_long(argc, argv, "h", long_options, NULL)) != -1) {
		if (code == OPT_SET && !config_set(s->config, optarg, e))
			return SERVICE_EXIT_USAGE;
	}
	return SERVICE_RUN;
}

static void on_signal(evutil_socket_t sig, short what, void *arg)
{
	struct service *s = arg;
	(void)what;
	if (sig != SIGHUP) {
		log_info(s->spec->name, "stop signal=%d", (int)sig);
		service_stop(s);
		return;
	}
	struct err e = {0};
	if (!config_reload(s->config, &e)) {
		log_error(s->spec->name, "reload failed, nothing changed: %s", e.detail);
		return;
	}
	log_level_set(s->common->log_level);
	log_info(s->spec->name, "reloaded");
	if (s->reload != NULL)
		s->reload(s->reload_arg);
}

static void on_watchdog(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
	sd_notify(0, "WATCHDOG=1");
}

static void on_stop_deadline(evutil_socket_t fd, short what, void *arg)
{
	struct service *s = arg;
	(void)fd, (void)what;
	log_error(s->spec->name, "graceful stop did not end within stop_timeout");
	s->status = 1;
	event_base_loopbreak(s->base);
}

static void start_events(struct service *s)
{
	static const int caught[] = {SIGTERM, SIGINT, SIGHUP};
	uint64_t interval;
	signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < sizeof(caught) / sizeof(caught[0]); i++) {
		s->signals[i] = evsignal_new(s->base, caught[i], on_signal, s);
		event_add(s->signals[i], NULL);
	}
	s->stop_timer = evtimer_new(s->base, on_stop_deadline, s);
	if (sd_watchdog_enabled(0, &interval) > 0) {
		struct timeval tv = {.tv_sec = (time_t)(interval / 3000000),
				     .tv_usec = (suseconds_t)(interval / 3 % 1000000)};
		s->watchdog = event_new(s->base, -1, EV_PERSIST, on_watchdog, s);
		event_add(s->watchdog, &tv);
	}
}

static bool start(struct service *s, struct err *e)
{
	log_level_set(s->common->log_level);
	s->base = event_base_new();
	if (s->base == NULL)
		return err_set(e, ERR_SYSTEM, "libevent has no usable backend");
	s->metrics = metrics_new(s->spec->metrics, s->spec->metric_count);
	start_events(s);
	if (s->common->monitor[0] != '\0') {
		s->monitor = monitor_new(s, s->common->monitor, e);
		return s->monitor != NULL;
	}
	return true;
}

enum service_start service_new(const struct service_spec *spec, int argc, char **argv, struct service **out)
{
	struct err e = {0};
	bool check = false;
	struct service *s = calloc(1, sizeof(*s));
	if (s == NULL)
		abort();
	*out = NULL;
	s->spec = spec;
	s->common = spec->values;
	s->config = config_new(spec->items, spec->item_count, spec->values, spec->values_size);
	enum service_start outcome = parse_options(s, argc, argv, &check, &e);
	if (outcome == SERVICE_RUN && check) {
		config_print(s->config, stdout);
		outcome = SERVICE_EXIT_OK;
	}
	if (outcome == SERVICE_RUN && !start(s, &e))
		outcome = SERVICE_EXIT_USAGE;
	if (outcome == SERVICE_RUN) {
		*out = s;
		return outcome;
	}
	if (e.code != ERR_NONE)
		fprintf(stderr, "%s: %s\n", spec->name, e.detail);
	service_free(&s);
	return outcome;
}

void service_free(struct service **sp)
{
	struct service *s = *sp;
	if (s == NULL)
		return;
	monitor_free(&s->monitor);
	for (size_t i = 0; i < sizeof(s->signals) / sizeof(s->signals[0]); i++) {
		if (s->signals[i] != NULL)
			event_free(s->signals[i]);
	}
	if (s->watchdog != NULL)
		event_free(s->watchdog);
	if (s->stop_timer != NULL)
		event_free(s->stop_timer);
	if (s->base != NULL)
		event_base_free(s->base);
	metrics_free(&s->metrics);
	config_free(&s->config);
	free(s);
	*sp = NULL;
}

struct event_base *service_base(const struct service *s)
{
	return s->base;
}

struct metrics *service_metrics(const struct service *s)
{
	return s->metrics;
}

size_t service_part(struct service *s, const char *name)
{
	if (s->parts == SERVICE_PARTS)
		abort();
	s->part_names[s->parts] = name;
	return s->parts++;
}

void service_part_up(struct service *s, size_t part, bool up)
{
	char why[200];
	if (s->part_up[part] == up)
		return;
	s->part_up[part] = up;
	bool ready = service_ready(s, why, sizeof(why));
	sd_notifyf(0, "STATUS=%s", ready ? "ready" : why);
	if (ready && !s->announced) {
		s->announced = true;
		log_info(s->spec->name, "ready");
		sd_notify(0, "READY=1");
	}
}

bool service_ready(const struct service *s, char *why, size_t why_size)
{
	if (s->stopping) {
		if (why != NULL)
			snprintf(why, why_size, "stopping");
		return false;
	}
	for (size_t i = 0; i < s->parts; i++) {
		if (s->part_up[i])
			continue;
		if (why != NULL)
			snprintf(why, why_size, "%s is down", s->part_names[i]);
		return false;
	}
	return true;
}

void service_on_stop(struct service *s, void (*stop)(void *arg), void *arg)
{
	s->stop = stop;
	s->stop_arg = arg;
}

void service_on_reload(struct service *s, void (*reload)(void *arg), void *arg)
{
	s->reload = reload;
	s->reload_arg = arg;
}

void service_stop(struct service *s)
{
	if (s->stopping)
		return;
	s->stopping = true;
	sd_notify(0, "STOPPING=1");
	struct timeval tv = clock_timeval(s->common->stop_timeout);
	event_add(s->stop_timer, &tv);
	if (s->stop != NULL)
		s->stop(s->stop_arg);
	else
		service_stopped(s);
}

void service_stopped(struct service *s)
{
	event_base_loopexit(s->base, NULL);
}

int service_run(struct service *s)
{
	log_info(s->spec->name, "start version=%s", COLDFLEET_VERSION);
	if (event_base_dispatch(s->base) < 0)
		s->status = 1;
	log_info(s->spec->name, "stopped status=%d", s->status);
	return s->status;
}
