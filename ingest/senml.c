/* SPDX-License-Identifier: Apache-2.0
 *
 * The rules of RFC 8428 section 4 that do not depend on JSON or CBOR: which fields there are, how base fields apply to
 * the records after them, what a name may look like, when a time is relative. */
#include "ingest/senml.h"

#include <math.h>
#include <string.h>

#define HAS(label) (1U << (label))
static const uint32_t base_fields =
	HAS(SENML_BS) | HAS(SENML_BV) | HAS(SENML_BU) | HAS(SENML_BT) | HAS(SENML_BN) | HAS(SENML_BVER);
static const uint32_t value_fields = HAS(SENML_V) | HAS(SENML_VS) | HAS(SENML_VB) | HAS(SENML_VD);

static const double relative_below = 268435456.0; /* 2**28 s, RFC 8428 section 4.5.3 */

#define FIELD(label, type, expected)                                                                                   \
	{                                                                                                              \
		label, sizeof(label) - 1, type, expected                                                               \
	}
const struct senml_field senml_fields[SENML_LABELS] = {
	[SENML_BS] = FIELD("bs", SENML_NUMBER, "a number"),     [SENML_BV] = FIELD("bv", SENML_NUMBER, "a number"),
	[SENML_BU] = FIELD("bu", SENML_TEXT, "a string"),       [SENML_BT] = FIELD("bt", SENML_NUMBER, "a number"),
	[SENML_BN] = FIELD("bn", SENML_TEXT, "a string"),       [SENML_BVER] = FIELD("bver", SENML_NUMBER, "a number"),
	[SENML_N] = FIELD("n", SENML_TEXT, "a string"),         [SENML_U] = FIELD("u", SENML_TEXT, "a string"),
	[SENML_V] = FIELD("v", SENML_NUMBER, "a number"),       [SENML_VS] = FIELD("vs", SENML_TEXT, "a string"),
	[SENML_VB] = FIELD("vb", SENML_BOOLEAN, "a boolean"),   [SENML_S] = FIELD("s", SENML_NUMBER, "a number"),
	[SENML_T] = FIELD("t", SENML_NUMBER, "a number"),       [SENML_UT] = FIELD("ut", SENML_NUMBER, "a number"),
	[SENML_VD] = FIELD("vd", SENML_DATA, "base64url data"),
};

enum senml_label senml_label_find(const char *label, size_t len)
{
	for (unsigned i = 0; i < SENML_LABELS; i++)
		if (senml_fields[i].len == len && senml_fields[i].label[0] == label[0] &&
		    memcmp(senml_fields[i].label, label, len) == 0)
			return (enum senml_label)i;
	return SENML_LABELS;
}

struct senml_shown senml_show(const char *text, size_t len)
{
	struct senml_shown out;
	size_t room = sizeof(out.text) - 1, n = len < room ? len : room;
	for (size_t i = 0; i < n; i++)
		out.text[i] = (char)(text[i] >= 0x20 && text[i] < 0x7f ? text[i] : '?');
	if (len > room)
		memcpy(out.text + room - 3, "...", 3);
	out.text[n] = '\0';
	return out;
}

bool senml_label_ignorable(const char *label, size_t len, size_t number, struct err *e)
{
	if (len == 0 || label[len - 1] != '_')
		return true;
	return err_set(e, ERR_DECODE,
		       "record %zu: field '%s' must be understood because it ends with '_', and is not known here",
		       number, senml_show(label, len).text);
}

/* RFC 8428 section 4.5.1; - . / 0-9 : follow each other in ASCII. */
static bool name_byte(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '-' && c <= ':') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool name_part_check(struct senml_text part, const char *label, size_t number, struct err *e)
{
	for (size_t i = 0; i < part.len; i++)
		if (!name_byte(part.at[i]))
			return err_set(e, ERR_DECODE,
				       "record %zu: field '%s' is '%s': byte %zu is none of A-Z a-z 0-9 - : . / _",
				       number, label, senml_show(part.at, part.len).text, i + 1);
	return true;
}

static bool name_and_unit_check(const struct senml_resolved *r, struct err *e)
{
	if (r->base.len + r->name.len > SENML_NAME_MAX)
		return err_set(e, ERR_DECODE, "record %zu: its name has %zu bytes: expected at most %d", r->number,
			       r->base.len + r->name.len, SENML_NAME_MAX);
	if (r->unit.len > SENML_UNIT_MAX)
		return err_set(e, ERR_DECODE, "record %zu: its unit has %zu bytes: expected at most %d", r->number,
			       r->unit.len, SENML_UNIT_MAX);
	char first = r->base.len > 0 ? r->base.at[0] : r->name.len > 0 ? r->name.at[0] : '\0';
	if (first == '\0')
		return err_set(e, ERR_DECODE, "record %zu has no name: expected 'n', or 'bn' in it or before it",
			       r->number);
	if (memchr("-./:_", first, 5) != NULL)
		return err_set(e, ERR_DECODE, "record %zu: its name starts with '%c': expected a letter or a digit",
			       r->number, first);
	return true;
}

static bool version_apply(struct senml_resolver *s, const struct senml_record *r, struct err *e)
{
	double version = s->version != 0 ? s->version : SENML_VERSION;
	if (r->has & HAS(SENML_BVER))
		version = r->field[SENML_BVER].number;
	if (!(version >= 1) || version != floor(version))
		return err_set(e, ERR_DECODE, "record %zu: field 'bver' is %g: expected a positive integer", s->records,
			       version);
	if (version > SENML_VERSION)
		return err_set(e, ERR_DECODE, "record %zu: SenML version %g: expected at most %d", s->records, version,
			       SENML_VERSION);
	if (s->version != 0 && version != s->version)
		return err_set(e, ERR_DECODE, "record %zu: SenML version %g: expected %g as in the records before it",
			       s->records, version, s->version);
	s->version = version;
	return true;
}

static bool base_apply(struct senml_resolver *s, const struct senml_record *r, struct err *e)
{
	if ((s->version == 0 || r->has & HAS(SENML_BVER)) && !version_apply(s, r, e))
		return false;
	if (!(r->has & base_fields))
		return true;
	if (r->has & HAS(SENML_BN)) {
		s->bn = r->field[SENML_BN].text;
		if (!name_part_check(s->bn, "bn", s->records, e))
			return false;
	}
	if (r->has & HAS(SENML_BU))
		s->bu = r->field[SENML_BU].text;
	if (r->has & HAS(SENML_BT))
		s->bt = r->field[SENML_BT].number;
	if (r->has & HAS(SENML_BV)) {
		s->bv = r->field[SENML_BV].number;
		s->has_bv = true;
	}
	if (r->has & HAS(SENML_BS)) {
		s->bs = r->field[SENML_BS].number;
		s->has_bs = true;
	}
	return true;
}

/* Sums below 2**28 s are relative; microseconds are added as integers, so "now" loses nothing to a double. */
static bool time_resolve(const struct senml_resolver *s, const struct senml_record *r, int64_t now,
			 struct senml_resolved *out, struct err *e)
{
	double t = s->bt + (r->has & HAS(SENML_T) ? r->field[SENML_T].number : 0);
	if (!(fabs(t) <= SENML_TIME_MAX))
		return err_set(e, ERR_DECODE, "record %zu: time %g s: expected seconds, at most %g", s->records, t,
			       SENML_TIME_MAX);
	out->ts = (t < relative_below ? now : 0) + llround(t * 1e6);
	return true;
}

static bool value_resolve(const struct senml_resolver *s, const struct senml_record *r, struct senml_resolved *out,
			  struct err *e)
{
	uint32_t given = r->has & value_fields;
	if (given & (given - 1))
		return err_set(e, ERR_DECODE, "record %zu has more than one value: expected one of v, vs, vb, vd",
			       s->records);
	out->has_sum = s->has_bs || r->has & HAS(SENML_S);
	out->sum = s->bs + (r->has & HAS(SENML_S) ? r->field[SENML_S].number : 0);
	if (given == 0 && !s->has_bv && !out->has_sum)
		return err_set(e, ERR_DECODE, "record %zu has no value: expected v, vs, vb, vd or s", s->records);
	out->value = given != 0 ? (enum senml_label)__builtin_ctz(given) : s->has_bv ? SENML_V : SENML_S;
	if (out->value == SENML_V)
		out->v = s->bv + (given ? r->field[SENML_V].number : 0);
	else if (out->value == SENML_VB)
		out->vb = r->field[SENML_VB].boolean;
	else if (out->value != SENML_S)
		out->text = r->field[out->value].text;
	if ((out->value == SENML_V && !isfinite(out->v)) || (out->has_sum && !isfinite(out->sum)))
		return err_set(e, ERR_DECODE, "record %zu: base value plus value is too large for a number",
			       s->records);
	return true;
}

enum senml_status senml_push(struct senml_resolver *s, const struct senml_input *in, const struct senml_record *r,
			     struct err *e)
{
	s->records++;
	if (!base_apply(s, r, e))
		return SENML_INVALID;
	if (!(r->has & ~base_fields))
		return SENML_OK;

	struct senml_resolved out;
	out.number = s->records;
	out.base = s->bn;
	out.name = r->has & HAS(SENML_N) ? r->field[SENML_N].text : (struct senml_text){NULL, 0};
	out.unit_inherited = !(r->has & HAS(SENML_U));
	out.unit = out.unit_inherited ? s->bu : r->field[SENML_U].text;
	if (out.unit.len == 0) /* "" says that there is none, also where there is a base unit */
		out.unit.at = NULL;
	if (!name_part_check(out.name, "n", s->records, e) || !name_and_unit_check(&out, e) ||
	    !time_resolve(s, r, in->now, &out, e) || !value_resolve(s, r, &out, e))
		return SENML_INVALID;
	return in->record(&out, in->arg, e) ? SENML_OK : SENML_STOPPED;
}
