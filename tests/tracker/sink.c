/* SPDX-License-Identifier: Apache-2.0
 *
 * The command `sink`: a subscriber of all telemetry that acknowledges each message and does nothing with it. As nothing
 * can subscribe for less, it is what any back end behind a broker is measured against. */
#include "tests/tracker/commands.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "broker-bridge/mqtt.h"
#include "core/clock.h"
#include "core/log.h"
#include "tests/tracker/loop.h"
#include "tests/tracker/options.h"

#define TEXT_MAX 256

struct sink {
	const char *host, *username, *password_file, *filter;
	int64_t port, messages, receive_maximum;
	struct loop *loop;
	struct mqtt *mqtt;
	int64_t got, last_at;
	const char *lost;
};

#define AT(field) offsetof(struct sink, field)
static const struct option_item items[] = {
	{"host", OPTION_TEXT, AT(host), "127.0.0.1", "COLDFLEET_MQTT_HOST", 0, 0, "HOST",
	 "the broker; a path: its Unix socket"},
	{"port", OPTION_INT, AT(port), "0", NULL, 0, 65535, "PORT", "its port; 0 with a Unix socket"},
	{"username", OPTION_TEXT, AT(username), "@ingest", NULL, 0, 0, "NAME", "who it is to the broker"},
	{"password-file", OPTION_TEXT, AT(password_file), NULL, NULL, 0, 0, "FILE", "its password, the first line"},
	{"filter", OPTION_TEXT, AT(filter), "$share/sink/cf/v1/+/telemetry", NULL, 0, 0, "FILTER",
	 "what it subscribes to"},
	{"receive-maximum", OPTION_INT, AT(receive_maximum), "1000", NULL, 1, 65535, "N",
	 "messages that the broker sends before an acknowledgement"},
	{"messages", OPTION_INT, AT(messages), "0", NULL, 0, 1e12, "M", "end after so many; 0: go on"},
};
#define ITEMS (sizeof(items) / sizeof(items[0]))

static void on_mqtt(struct mqtt *m, const struct mqtt_event *event, void *arg)
{
	struct sink *s = arg;
	struct err e = {0};

	if (event->type == MQTT_CONNECTED && !mqtt_subscribe(m, s->filter, 1, &e)) {
		s->lost = "the subscription could not be sent";
		loop_done(s->loop);
	} else if (event->type == MQTT_SUBSCRIBED) {
		printf("subscribed\n");
		fflush(stdout);
	} else if (event->type == MQTT_MESSAGE && ++s->got == s->messages) {
		s->last_at = clock_now_us();
		loop_done(s->loop);
	} else if (event->type == MQTT_LOST) {
		s->lost = "the connection was lost";
		loop_done(s->loop);
	}
}

static bool read_password(const char *path, char out[TEXT_MAX], struct err *e)
{
	FILE *file = path != NULL ? fopen(path, "r") : NULL;
	bool ok = file != NULL && fgets(out, TEXT_MAX, file) != NULL;

	if (file != NULL)
		fclose(file);
	out[strcspn(out, "\r\n")] = '\0';
	return ok || err_set(e, ERR_NOT_FOUND, "--password-file: expected a file with the password");
}

static void progress(void *arg)
{
	const struct sink *s = arg;

	fprintf(stderr, "sink: %" PRId64 " messages\n", s->got);
}

bool command_sink(int argc, char **argv, struct err *e)
{
	static struct sink s;
	char password[TEXT_MAX] = "";

	if (!options_parse(items, ITEMS, &s, argc, argv, e) || !read_password(s.password_file, password, e))
		return false;
	log_level_set(LOG_LEVEL_ERROR);
	mqtt_library_init();
	s.loop = loop_new(progress, &s);
	struct mqtt_options options = {.name = "sink",
				       .host = s.host,
				       .port = (int)s.port,
				       .client_id = "@sink",
				       .username = s.username,
				       .password = password,
				       .keepalive = 60,
				       .receive_maximum = (uint16_t)s.receive_maximum};
	s.mqtt = mqtt_new(loop_base(s.loop), &options, on_mqtt, &s, e);
	bool ok = s.mqtt != NULL;
	if (ok) {
		mqtt_start(s.mqtt);
		loop_run(s.loop, 0);
		printf("{\"messages\":%" PRId64 ",\"last\":%.6f,\"cpu_seconds\":%.3f}\n", s.got,
		       (double)s.last_at / 1e6, loop_cpu_seconds());
		ok = s.lost == NULL || err_set(e, ERR_BROKER_LOST, "%s after %" PRId64 " messages", s.lost, s.got);
	}
	mqtt_free(&s.mqtt);
	loop_free(&s.loop);
	mqtt_library_cleanup();
	return ok;
}

void help_sink(void)
{
	options_help(items, ITEMS);
}
