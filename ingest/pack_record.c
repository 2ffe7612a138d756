/* SPDX-License-Identifier: Apache-2.0
 *
 * What one resolved record says: its name is looked up in the table of the device contract (docs/protocol.md), its unit
 * and type are checked against the row, and it becomes an item of a sample or goes to its pseudo-record. Any other
 * name becomes an item for `extra`. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "ingest/pack_build.h"

#define PROBE_MAX 255 /* more than any tracker has; small enough to index by */

#define RECORD_BYTES 24 /* a short record: with one per so many bytes, `items` seldom has to grow */

static const double temp_min = -200, temp_max = 150;

/* What a name of the contract means. A record without unit has the row's unit. */
struct meaning {
	const char *name;
	enum channel channel;   /* CHANNELS: a pseudo-record */
	enum senml_label value; /* the value field it must have */
	const char *unit;       /* NULL: none may be given */
	const char *other_unit; /* also accepted, converted by adding `add` */
	double add;
	double min, max; /* numbers; both 0: what a float4 column holds */
	bool (*say)(struct pack_build *b, const struct senml_resolved *r, struct err *e); /* pseudo-records */
};

#define NUMBER(name, channel, unit)                                                                                    \
	{                                                                                                              \
		name, channel, SENML_V, unit, NULL, 0, 0, 0, NULL                                                      \
	}
#define NUMBER_OR(name, channel, unit, other, add)                                                                     \
	{                                                                                                              \
		name, channel, SENML_V, unit, other, add, 0, 0, NULL                                                   \
	}
#define NUMBER_IN(name, channel, unit, min, max)                                                                       \
	{                                                                                                              \
		name, channel, SENML_V, unit, NULL, 0, min, max, NULL                                                  \
	}
#define SWITCH(name, channel)                                                                                          \
	{                                                                                                              \
		name, channel, SENML_VB, "/", NULL, 0, 0, 0, NULL                                                      \
	}
#define PSEUDO(name, value, unit, say)                                                                                 \
	{                                                                                                              \
		name, CHANNELS, value, unit, NULL, 0, 0, 0, say                                                        \
	}
/* Units: RFC 8428 section 12.1 and RFC 8798 ("dBm"). */
static const struct meaning meanings[] = {
	NUMBER_OR("temp", CH_TEMP, "Cel", "K", -273.15),
	NUMBER("hum", CH_HUM, "%RH"),
	NUMBER("lux", CH_LUX, "lux"),
	NUMBER("shock", CH_SHOCK, "m/s2"),
	NUMBER("batt", CH_BATT, "%EL"),
	NUMBER_OR("rsrp", CH_RSRP, "dBm", "dBW", 30),
	NUMBER_IN("lat", CH_LAT, "lat", -90, 90),
	NUMBER_IN("lon", CH_LON, "lon", -180, 180),
	NUMBER("alt", CH_ALT, "m"),
	NUMBER("acc", CH_ACC, "m"),
	SWITCH("door", CH_DOOR),
	SWITCH("tamper", CH_TAMPER),
	SWITCH("power", CH_POWER),
	PSEUDO("seq", SENML_V, "count", pack_seq),
	PSEUDO("epoch", SENML_V, "count", pack_epoch),
	PSEUDO("clock", SENML_V, "s", pack_clock),
	PSEUDO("rr", SENML_VB, "/", pack_rr),
	PSEUDO("lost", SENML_VS, NULL, pack_lost),
};

static const struct meaning *meaning_find(struct senml_text name)
{
	for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++)
		if (meanings[i].name[0] == name.at[0] && strncmp(meanings[i].name, name.at, name.len) == 0 &&
		    meanings[i].name[name.len] == '\0')
			return &meanings[i];
	return NULL;
}

static struct senml_text after_colon(struct senml_text t)
{
	const char *colon = t.len > 0 ? memrchr(t.at, ':', t.len) : NULL;
	if (colon == NULL)
		return t;
	return (struct senml_text){colon + 1, t.len - (size_t)(colon + 1 - t.at)};
}

/* What follows the last ':' of base name and name; all of it when nothing follows. */
static struct senml_text name_local(const struct senml_resolved *r, struct arena *arena)
{
	struct senml_text name = after_colon(r->name);
	if (name.len < r->name.len)
		return name.len > 0 ? name : r->name;
	struct senml_text base = after_colon(r->base);
	if (base.len == 0)
		return name.len > 0 ? name : r->base;
	if (name.len == 0)
		return base;
	char *joined = arena_alloc(arena, base.len + name.len);
	memcpy(joined, base.at, base.len);
	memcpy(joined + base.len, name.at, name.len);
	return (struct senml_text){joined, base.len + name.len};
}

/* Takes "pN/" off the front: N in 0..255 without leading zeros and something after it. Else nothing, probe 0. */
static bool probe_take(struct senml_text *name, uint8_t *probe)
{
	*probe = 0;
	if (name->len < 4 || name->at[0] != 'p')
		return false;
	unsigned n = 0;
	size_t i = 1;
	for (; i < name->len && i <= 3 && name->at[i] >= '0' && name->at[i] <= '9'; i++)
		n = n * 10 + (unsigned)(name->at[i] - '0');
	if (i == 1 || i + 1 >= name->len || name->at[i] != '/' || n > PROBE_MAX || (i > 2 && name->at[1] == '0'))
		return false;
	*probe = (uint8_t)n;
	name->at += i + 1;
	name->len -= i + 1;
	return true;
}

static bool text_is(struct senml_text t, const char *s)
{
	return s != NULL && strlen(s) == t.len && memcmp(s, t.at, t.len) == 0;
}

/* A base unit is for the records it suits: switches and pseudo-records do not inherit it. */
static bool unit_check(const struct meaning *m, const struct senml_resolved *r, bool *other, struct err *e)
{
	*other = false;
	if (r->unit.at == NULL || (r->unit_inherited && (m->value != SENML_V || m->channel == CHANNELS)))
		return true;
	*other = text_is(r->unit, m->other_unit);
	if (*other || text_is(r->unit, m->unit))
		return true;
	return err_set(e, ERR_DECODE, "record %zu: %s has unit '%s': expected %s%s%s", r->number, m->name,
		       senml_show(r->unit.at, r->unit.len).text, m->unit != NULL ? m->unit : "none",
		       m->other_unit != NULL ? " or " : "", m->other_unit != NULL ? m->other_unit : "");
}

static const char *value_words(enum senml_label value)
{
	static const char *const words[SENML_LABELS] = {
		[SENML_V] = "a number (v)", [SENML_VS] = "a string (vs)", [SENML_VB] = "a boolean (vb)",
		[SENML_VD] = "data (vd)",   [SENML_S] = "a sum only (s)",
	};
	return words[value];
}

static struct item *item_add(struct pack_build *b, const struct senml_resolved *r, uint8_t probe, enum channel channel)
{
	if (b->count == b->room) {
		size_t room = b->room > 0 ? b->room * 2 : b->payload_len / RECORD_BYTES + 1;
		struct item *items = arena_alloc(b->arena, room * sizeof(*items));
		if (b->count > 0)
			memcpy(items, b->items, b->count * sizeof(*items));
		b->items = items;
		b->room = room;
	}
	struct item *item = &b->items[b->count++];
	*item = (struct item){.ts = r->ts, .probe = probe, .channel = (uint8_t)channel};
	return item;
}

static void extra_add(struct pack_build *b, const struct senml_resolved *r, struct senml_text name, uint8_t probe,
		      bool sum_only)
{
	struct extra *extra = arena_alloc(b->arena, sizeof(*extra));
	*extra = (struct extra){.name = name, .member = pack_extra_member(b->arena, name, r, sum_only)};
	item_add(b, r, probe, CHANNELS)->extra = extra;
	b->extras++;
}

static bool number_add(struct pack_build *b, const struct meaning *m, const struct senml_resolved *r, uint8_t probe,
		       double add, struct err *e)
{
	double v = r->v + add;
	double min = m->max > 0 ? m->min : -(double)FLT_MAX, max = m->max > 0 ? m->max : (double)FLT_MAX;
	if (!(v >= min && v <= max))
		return err_set(e, ERR_DECODE, "record %zu: %s is %g: expected %g to %g", r->number, m->name, v, min,
			       max);
	struct item *item = item_add(b, r, probe, m->channel);
	item->number = v;
	item->fault = m->channel == CH_TEMP && (v < temp_min || v > temp_max);
	return true;
}

static bool known_add(struct pack_build *b, const struct meaning *m, const struct senml_resolved *r, uint8_t probe,
		      struct err *e)
{
	bool other;
	if (r->value != m->value && !(r->value == SENML_S && m->channel != CHANNELS))
		return err_set(e, ERR_DECODE, "record %zu: %s is %s: expected %s", r->number, m->name,
			       value_words(r->value), value_words(m->value));
	if (!unit_check(m, r, &other, e))
		return false;
	if (m->channel == CHANNELS)
		return m->say(b, r, e);
	if (r->value == SENML_V && !number_add(b, m, r, probe, other ? m->add : 0, e))
		return false;
	if (r->value == SENML_VB)
		item_add(b, r, probe, m->channel)->boolean = r->vb;
	if (r->has_sum)
		extra_add(b, r, (struct senml_text){m->name, strlen(m->name)}, probe, true);
	return true;
}

bool pack_record(const struct senml_resolved *r, void *arg, struct err *e)
{
	struct pack_build *b = arg;
	struct senml_text name = name_local(r, b->arena);
	uint8_t probe;
	probe_take(&name, &probe);
	const struct meaning *m = meaning_find(name);
	if (m == NULL) {
		extra_add(b, r, name, probe, false);
		return true;
	}
	if (m->channel == CHANNELS && probe > 0)
		return err_set(e, ERR_DECODE, "record %zu: p%d/%s: %s belongs to the whole pack, not to a probe",
			       r->number, probe, m->name, m->name);
	return known_add(b, m, r, probe, e);
}
