/* SPDX-License-Identifier: Apache-2.0
 *
 * The fleet on one page: how many there are, in which state, heard when, with how much battery. */
#include <stdlib.h>
#include <string.h>

#include "ops/ctl/ctl.h"
#include "ops/ctl/text.h"

#define BAR_LEAST   10
#define BAR_MOST    40
#define LABEL_WIDTH 28
#define FIXED       (2 + LABEL_WIDTH + 2 + 9 + 2 + 6 + 2) /* what stands on a line beside the bar */

static const struct {
	const char *key, *title;
} section_table[] = {
	{"by_state", "State"},        {"by_model", "Model"},
	{"by_firmware", "Firmware"},  {"last_seen", "Last heard within"},
	{"battery_pct", "Battery %"},
};

static void put_line(const struct ctl *ctl, const char *label, json_int_t count, json_int_t total)
{
	double share = total > 0 ? (double)count / (double)total : 0;
	size_t room = ctl->width > FIXED + BAR_LEAST ? ctl->width - FIXED : BAR_LEAST;
	size_t bar = (size_t)(share * (double)(room < BAR_MOST ? room : BAR_MOST) + 0.5);

	fputs("  ", ctl->out);
	text_put(ctl->out, label, LABEL_WIDTH, 0);
	fprintf(ctl->out, "  %9lld  %5.1f%%", (long long)count, 100 * share);
	for (size_t i = 0; i < bar; i++)
		fputs(i > 0 ? ctl->utf8 ? "\xe2\x96\x88" : "#" : ctl->utf8 ? "  \xe2\x96\x88" : "  #", ctl->out);
	fputc('\n', ctl->out);
}

/* "Acme CT-1" or a version, out of an item of a list of counts. */
static char *label_of(const json_t *item)
{
	static const char *const names[] = {"manufacturer", "name", "firmware"};
	char text[256] = "";

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const char *value = json_string_value(json_object_get(item, names[i]));
		size_t len = strlen(text);
		if (value != NULL)
			snprintf(text + len, sizeof(text) - len, "%s%s", len > 0 ? " " : "", value);
	}
	size_t len = strlen(text);
	if (json_is_true(json_object_get(item, "support_ended")))
		snprintf(text + len, sizeof(text) - len, " (support ended)");
	return text_clean(*text != '\0' ? text : "unknown");
}

static json_int_t sum_of(json_t *counts)
{
	json_int_t sum = 0;
	const char *name;
	json_t *value;

	json_object_foreach(counts, name, value)
	{
		sum += json_integer_value(value);
	}
	return sum;
}

/* Counts are an object of numbers, or a list of objects with the number in `devices`. */
static void put_section(const struct ctl *ctl, const char *title, json_t *counts, json_int_t total)
{
	const char *name;
	json_t *value;
	size_t i;

	fprintf(ctl->out, "\n%s%s%s\n", ctl->color ? "\033[1m" : "", title, ctl->color ? "\033[0m" : "");
	json_int_t sum = json_is_object(counts) ? sum_of(counts) : total;
	json_object_foreach(counts, name, value)
	{
		char *label = text_clean(name);
		put_line(ctl, label, json_integer_value(value), sum);
		free(label);
	}
	json_array_foreach(counts, i, value)
	{
		char *label = label_of(value);
		put_line(ctl, label, json_integer_value(json_object_get(value, "devices")), sum);
		free(label);
	}
}

static void put_page(const struct ctl *ctl, const json_t *answer)
{
	json_int_t total = json_integer_value(json_object_get(answer, "total"));
	const char *taken = json_string_value(json_object_get(answer, "taken_at"));

	fprintf(ctl->out, "%lld devices", (long long)total);
	if (taken != NULL) {
		char *at = text_clean(taken);
		fprintf(ctl->out, ", counted %s", at);
		free(at);
	}
	fputc('\n', ctl->out);
	for (size_t i = 0; i < sizeof(section_table) / sizeof(section_table[0]); i++) {
		json_t *counts = json_object_get(answer, section_table[i].key);
		if (counts != NULL)
			put_section(ctl, section_table[i].title, counts, total);
	}
}

bool run_fleet(struct ctl *ctl, const struct invocation *in, struct err *e)
{
	struct target t;
	struct reply r = {0};
	json_t *answer = NULL;
	const struct call call = {.target = t.text};

	ctl_target(in, &t);
	bool ok = ctl_call(ctl, &call, &r, e) && (ctl->json || (answer = ctl_json(&r, e)) != NULL);
	if (ok && ctl->json)
		ctl_pass(ctl, r.body, r.len);
	else if (ok)
		put_page(ctl, answer);
	json_decref(answer);
	reply_free(&r);
	return ok;
}
