/* SPDX-License-Identifier: Apache-2.0
 *
 * Lines end with LF, CR or both; an empty one ends an event. An id counts from the end of its event on, so a stream
 * that breaks inside an event is resumed before it. */
#include "ops/ctl/sse.h"

#include <stdlib.h>
#include <string.h>

struct text {
	char *bytes;
	size_t len, room;
};

struct sse {
	sse_fn event;
	void *arg;
	struct text line, data;
	char type[64], id[SSE_ID_MAX], next_id[SSE_ID_MAX];
	long retry;
	bool after_cr;
};

struct sse *sse_new(sse_fn event, void *arg)
{
	struct sse *s = calloc(1, sizeof(*s));

	if (s == NULL)
		abort();
	s->event = event;
	s->arg = arg;
	return s;
}

void sse_free(struct sse **s)
{
	if (*s == NULL)
		return;
	free((*s)->line.bytes);
	free((*s)->data.bytes);
	free(*s);
	*s = NULL;
}

static bool put(struct text *t, const char *bytes, size_t len)
{
	if (len > SSE_EVENT_MAX - t->len)
		return false;
	if (t->len + len + 1 > t->room) {
		t->room = 2 * (t->len + len + 1);
		t->bytes = realloc(t->bytes, t->room);
		if (t->bytes == NULL)
			abort();
	}
	memcpy(t->bytes + t->len, bytes, len);
	t->len += len;
	t->bytes[t->len] = '\0';
	return true;
}

static void set(char *to, size_t size, const char *value)
{
	if (strlen(value) < size)
		strcpy(to, value);
}

static bool take_field(struct sse *s, const char *name, const char *value)
{
	if (strcmp(name, "data") == 0)
		return put(&s->data, value, strlen(value)) && put(&s->data, "\n", 1);
	if (strcmp(name, "event") == 0)
		set(s->type, sizeof(s->type), value);
	else if (strcmp(name, "id") == 0)
		set(s->next_id, sizeof(s->next_id), value);
	else if (strcmp(name, "retry") == 0 && *value != '\0' && strlen(value) < 9 &&
		 value[strspn(value, "0123456789")] == '\0')
		s->retry = strtol(value, NULL, 10);
	return true;
}

static bool end_event(struct sse *s)
{
	bool go_on = true;

	memcpy(s->id, s->next_id, sizeof(s->id));
	if (s->data.len > 0) {
		s->data.bytes[s->data.len - 1] = '\0';
		go_on = s->event(s->arg, s->type[0] != '\0' ? s->type : "message", s->data.bytes, s->id);
	}
	s->data.len = 0;
	s->type[0] = '\0';
	return go_on;
}

static bool end_line(struct sse *s)
{
	char *line = s->line.bytes != NULL ? s->line.bytes : (char[]){""};
	bool empty = s->line.len == 0;

	s->line.len = 0;
	if (empty)
		return end_event(s);
	if (line[0] == ':')
		return true;
	char *colon = strchr(line, ':'), *value = line + strlen(line);
	if (colon != NULL) {
		*colon = '\0';
		value = colon + 1 + (colon[1] == ' ');
	}
	return take_field(s, line, value);
}

bool sse_feed(struct sse *s, const char *data, size_t len)
{
	const char *end = data + len;

	while (data < end) {
		if (s->after_cr && *data == '\n') {
			s->after_cr = false;
			data++;
			continue;
		}
		s->after_cr = false;
		size_t plain = 0;
		while (data + plain < end && data[plain] != '\n' && data[plain] != '\r')
			plain++;
		if (!put(&s->line, data, plain))
			return false;
		data += plain;
		if (data == end)
			return true;
		s->after_cr = *data++ == '\r';
		if (!end_line(s))
			return false;
	}
	return true;
}

void sse_restart(struct sse *s)
{
	s->line.len = s->data.len = 0;
	s->type[0] = '\0';
	s->after_cr = false;
	memcpy(s->next_id, s->id, sizeof(s->next_id));
}

const char *sse_last_id(const struct sse *s)
{
	return s->id;
}

long sse_pause(const struct sse *s)
{
	return s->retry;
}
