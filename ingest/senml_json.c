/* SPDX-License-Identifier: Apache-2.0
 *
 * SenML in JSON (RFC 8428 section 5). A pack is flat, so its grammar is an array of objects of plain values: read in
 * one pass, without recursion, text pointing into the payload unless it has escapes. With jansson, which builds a tree,
 * a message of 12 samples cost 26 us in all instead of 4 us (bench_decode); jansson remains the judge of this reader
 * in tests/fuzz/fuzz_senml_json.c. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ingest/senml.h"
#include "ingest/senml_value.h"

enum value_type { NUMBER, STRING, BOOLEAN, EMPTY };
static const char *const type_names[] = {"a number", "a string", "a boolean", "null"};

struct value {
	enum value_type type;
	double number;
	bool boolean;
	struct senml_text text;
};

struct reader {
	const struct senml_input *in;
	const char *start, *at, *end;
	size_t record;            /* the one being read, from 1 */
	enum senml_status status; /* of the failure */
	struct err *e;
};

/* Returns false, so that a reading function can end with it. */
static bool syntax(struct reader *r, const char *expected)
{
	r->status = SENML_SYNTAX;
	if (r->at >= r->end)
		return err_set(r->e, ERR_DECODE, "JSON is cut off: record %zu goes on after the last of %zu bytes",
			       r->record, r->in->len);
	return err_set(r->e, ERR_DECODE, "not valid JSON: record %zu, byte %zu is '%s': expected %s", r->record,
		       (size_t)(r->at - r->start) + 1, senml_show(r->at, 1).text, expected);
}

static char peek(const struct reader *r)
{
	return r->at < r->end ? *r->at : '\0';
}

static void space_skip(struct reader *r)
{
	while (r->at < r->end && (*r->at == ' ' || *r->at == '\n' || *r->at == '\r' || *r->at == '\t'))
		r->at++;
}

/* The byte and the white space after it. */
static bool take(struct reader *r, char c)
{
	if (peek(r) != c || r->at >= r->end)
		return false;
	r->at++;
	space_skip(r);
	return true;
}

static bool hex4(struct reader *r, uint32_t *out)
{
	*out = 0;
	for (int i = 0; i < 4; i++, r->at++) {
		char c = peek(r);
		int digit = c >= '0' && c <= '9'   ? c - '0'
			    : c >= 'a' && c <= 'f' ? c - 'a' + 10
			    : c >= 'A' && c <= 'F' ? c - 'A' + 10
						   : -1;
		if (digit < 0)
			return syntax(r, "four hexadecimal digits after \\u");
		*out = *out << 4 | (uint32_t)digit;
	}
	return true;
}

static char *utf8_put(char *out, uint32_t c)
{
	if (c < 0x80) {
		*out++ = (char)c;
		return out;
	}
	int more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
	static const uint8_t lead[] = {0, 0xc0, 0xe0, 0xf0};
	*out++ = (char)(lead[more] | c >> (6 * more));
	for (int i = more - 1; i >= 0; i--)
		*out++ = (char)(0x80 | (c >> (6 * i) & 0x3f));
	return out;
}

/* After "\u"; a pair of surrogates is one character (RFC 8259 section 7). */
static bool unicode_take(struct reader *r, char **out)
{
	uint32_t c, low;
	if (!hex4(r, &c))
		return false;
	if (c >= 0xd800 && c < 0xdc00 && r->end - r->at >= 2 && r->at[0] == '\\' && r->at[1] == 'u') {
		r->at += 2;
		if (!hex4(r, &low))
			return false;
		if (low < 0xdc00 || low > 0xdfff)
			return syntax(r, "the second half of a surrogate pair before it");
		c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
	}
	if (c == 0 || (c >= 0xd800 && c <= 0xdfff))
		return syntax(r, "a character other than U+0000 or half a surrogate pair before it");
	*out = utf8_put(*out, c);
	return true;
}

static bool escape_take(struct reader *r, char **out)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	char c = peek(r);
	const char *known = c != '\0' ? strchr(from, c) : NULL;
	if (known == NULL && c != 'u')
		return syntax(r, "an escape: one of \" \\ / b f n r t u");
	r->at++;
	if (known == NULL)
		return unicode_take(r, out);
	*(*out)++ = to[known - from];
	return true;
}

/* From the first escape on; no character gets longer by being unescaped. */
static bool string_unescape(struct reader *r, const char *start, struct senml_text *out)
{
	const char *close = r->at;
	while (close < r->end && *close != '"')
		close += *close == '\\' && r->end - close > 1 ? 2 : 1;
	char *text = arena_alloc(r->in->arena, (size_t)(close - start) + 1), *to = text;
	memcpy(to, start, (size_t)(r->at - start));
	to += r->at - start;
	while (r->at < r->end && *r->at != '"') {
		if ((unsigned char)*r->at < 0x20)
			return syntax(r, "no control character in a string");
		if (*r->at != '\\') {
			*to++ = *r->at++;
			continue;
		}
		r->at++;
		if (!escape_take(r, &to))
			return false;
	}
	*out = (struct senml_text){text, (size_t)(to - text)};
	return true;
}

/* The opening quote is at r->at. */
static bool string_take(struct reader *r, struct senml_text *out)
{
	const char *start = ++r->at;
	unsigned char all = 0;
	while (r->at < r->end && *r->at != '"' && *r->at != '\\' && (unsigned char)*r->at >= 0x20)
		all |= (unsigned char)*r->at++;
	*out = (struct senml_text){start, (size_t)(r->at - start)};
	bool escaped = peek(r) == '\\';
	if (escaped && !string_unescape(r, start, out))
		return false;
	if (peek(r) != '"')
		return syntax(r, "no control character in a string");
	r->at++;
	space_skip(r);
	if ((all < 0x80 && !escaped) || senml_utf8_valid(*out))
		return true;
	r->status = SENML_SYNTAX;
	return err_set(r->e, ERR_DECODE, "not valid JSON: record %zu: a string before byte %zu is not UTF-8", r->record,
		       (size_t)(r->at - r->start) + 1);
}

static const char *digits_skip(const struct reader *r, const char *at)
{
	while (at < r->end && *at >= '0' && *at <= '9')
		at++;
	return at;
}

/* The parts of a number: digits before and after the point, exponent. */
struct number {
	bool negative;
	const char *whole, *whole_end, *fraction, *fraction_end;
	int64_t exponent; /* saturated: far beyond any double, far from overflow */
};

static bool exponent_take(struct reader *r, struct number *n)
{
	r->at++;
	bool negative = peek(r) == '-';
	r->at += negative || peek(r) == '+';
	const char *digits = r->at;
	r->at = digits_skip(r, digits);
	if (r->at == digits)
		return syntax(r, "a digit");
	for (const char *d = digits; d < r->at && n->exponent < 1000000000; d++)
		n->exponent = n->exponent * 10 + (*d - '0');
	n->exponent = negative ? -n->exponent : n->exponent;
	return true;
}

static bool number_parts(struct reader *r, struct number *n)
{
	n->negative = peek(r) == '-';
	r->at += n->negative;
	n->whole = r->at;
	r->at = n->whole_end = peek(r) == '0' ? r->at + 1 : digits_skip(r, r->at);
	if (n->whole == n->whole_end)
		return syntax(r, "a value");
	n->fraction = n->fraction_end = r->at;
	if (peek(r) == '.') {
		n->fraction = ++r->at;
		r->at = n->fraction_end = digits_skip(r, r->at);
		if (n->fraction == n->fraction_end)
			return syntax(r, "a digit");
	}
	n->exponent = 0;
	return (peek(r) | 0x20) != 'e' || exponent_take(r, n);
}

/* More digits than 64 bits hold: the text without its point, so that any locale reads it alike. */
static double number_long(const struct reader *r, const struct number *n)
{
	size_t whole = (size_t)(n->whole_end - n->whole), fraction = (size_t)(n->fraction_end - n->fraction);
	char *text = arena_format(r->in->arena, "%.*s%.*se%lld", (int)whole, n->whole, (int)fraction, n->fraction,
				  (long long)n->exponent - (long long)fraction);
	double value = strtod(text, NULL);
	return n->negative ? -value : value;
}

static bool number_take(struct reader *r, double *out)
{
	struct number n = {0};
	if (!number_parts(r, &n))
		return false;
	int64_t digits = (n.whole_end - n.whole) + (n.fraction_end - n.fraction);
	if (digits <= 19) { /* 10**19 fits 64 bits */
		uint64_t mantissa = 0;
		for (const char *d = n.whole; d < n.whole_end; d++)
			mantissa = mantissa * 10 + (uint64_t)(*d - '0');
		for (const char *d = n.fraction; d < n.fraction_end; d++)
			mantissa = mantissa * 10 + (uint64_t)(*d - '0');
		*out = senml_decimal(n.negative, mantissa, n.exponent - (n.fraction_end - n.fraction));
	} else {
		*out = number_long(r, &n);
	}
	space_skip(r);
	if (isfinite(*out))
		return true;
	r->status = SENML_INVALID;
	return err_set(r->e, ERR_DECODE, "record %zu: a number before byte %zu is too large: expected a double",
		       r->record, (size_t)(r->at - r->start) + 1);
}

static bool word_take(struct reader *r, const char *word)
{
	size_t len = strlen(word);
	if ((size_t)(r->end - r->at) < len || memcmp(r->at, word, len) != 0)
		return syntax(r, "a value");
	r->at += len;
	space_skip(r);
	return true;
}

static bool value_take(struct reader *r, struct value *v)
{
	switch (peek(r)) {
	case '"':
		v->type = STRING;
		return string_take(r, &v->text);
	case 't':
	case 'f':
		v->type = BOOLEAN;
		v->boolean = *r->at == 't';
		return word_take(r, v->boolean ? "true" : "false");
	case 'n':
		v->type = EMPTY;
		return word_take(r, "null");
	case '[':
	case '{':
		r->status = SENML_INVALID;
		return err_set(r->e, ERR_DECODE,
			       "record %zu: an array or object within the record, at byte %zu: expected plain values",
			       r->record, (size_t)(r->at - r->start) + 1);
	default:
		v->type = NUMBER;
		return number_take(r, &v->number);
	}
}

static bool field_set(struct reader *r, struct senml_record *record, enum senml_label label, const struct value *v)
{
	static const enum value_type wanted[] = {
		[SENML_NUMBER] = NUMBER, [SENML_TEXT] = STRING, [SENML_BOOLEAN] = BOOLEAN, [SENML_DATA] = STRING};
	const struct senml_field *f = &senml_fields[label];
	r->status = SENML_INVALID;
	if (v->type != wanted[f->type])
		return err_set(r->e, ERR_DECODE, "record %zu: field '%s': expected %s, got %s", r->record, f->label,
			       f->expected, type_names[v->type]);
	if (f->type == SENML_DATA && !senml_base64url_valid(v->text))
		return err_set(r->e, ERR_DECODE, "record %zu: field '%s': expected %s, got other characters in '%s'",
			       r->record, f->label, f->expected, senml_show(v->text.at, v->text.len).text);
	if (v->type == NUMBER)
		record->field[label].number = v->number;
	else if (v->type == BOOLEAN)
		record->field[label].boolean = v->boolean;
	else
		record->field[label].text = v->text;
	return true;
}

struct unknown {
	struct senml_text labels[SENML_FIELDS_MAX];
	size_t count;
};

static bool unknown_note(struct unknown *seen, struct senml_text label)
{
	for (size_t i = 0; i < seen->count; i++)
		if (seen->labels[i].len == label.len && memcmp(seen->labels[i].at, label.at, label.len) == 0)
			return false;
	seen->labels[seen->count++] = label;
	return true;
}

static bool field_take(struct reader *r, struct senml_record *record, struct unknown *unknown)
{
	struct senml_text label;
	struct value v;
	if (peek(r) != '"')
		return syntax(r, "a label in quotes");
	if (!string_take(r, &label))
		return false;
	if (!take(r, ':'))
		return syntax(r, "':'");
	enum senml_label known = senml_label_find(label.at, label.len);
	bool again = known != SENML_LABELS ? record->has >> known & 1 : !unknown_note(unknown, label);
	r->status = SENML_INVALID;
	if (again)
		return err_set(r->e, ERR_DECODE, "record %zu: field '%s' comes twice", r->record,
			       senml_show(label.at, label.len).text);
	if (known == SENML_LABELS && !senml_label_ignorable(label.at, label.len, r->record, r->e))
		return false;
	if (!value_take(r, &v))
		return false;
	if (known == SENML_LABELS)
		return true;
	record->has |= 1U << known;
	return field_set(r, record, known, &v);
}

static bool record_take(struct reader *r, struct senml_record *record)
{
	struct unknown unknown;
	unknown.count = 0;
	record->has = 0;
	if (peek(r) != '{') {
		struct value v;
		if (!value_take(r, &v))
			return false;
		r->status = SENML_INVALID;
		return err_set(r->e, ERR_DECODE, "record %zu: expected an object, got %s", r->record,
			       type_names[v.type]);
	}
	take(r, '{');
	if (take(r, '}'))
		return true;
	for (size_t fields = 1; field_take(r, record, &unknown); fields++) {
		if (take(r, '}'))
			return true;
		if (!take(r, ','))
			return syntax(r, "',' or '}'");
		r->status = SENML_INVALID;
		if (fields == SENML_FIELDS_MAX)
			return err_set(r->e, ERR_DECODE, "record %zu has more fields than %d", r->record,
				       SENML_FIELDS_MAX);
	}
	return false;
}

static bool records_take(struct reader *r)
{
	struct senml_resolver resolver = {0};
	struct senml_record record;
	if (!take(r, '['))
		return syntax(r, "'[', an array of records");
	for (r->record = 1; r->record <= r->in->max_records; r->record++) {
		if (r->record == 1 && peek(r) == ']') {
			r->status = SENML_INVALID;
			return err_set(r->e, ERR_DECODE, "expected an array of at least one record, got an empty one");
		}
		if (!record_take(r, &record))
			return false;
		r->status = senml_push(&resolver, r->in, &record, r->e);
		if (r->status != SENML_OK)
			return false;
		if (take(r, ']'))
			return r->at == r->end || syntax(r, "nothing after the pack");
		if (!take(r, ','))
			return syntax(r, "',' or ']'");
	}
	r->status = SENML_TOO_MANY;
	return err_set(r->e, ERR_DECODE, "more than %zu records", r->in->max_records);
}

enum senml_status senml_json_decode(const struct senml_input *in, struct err *e)
{
	const char *text = (const char *)in->bytes;
	struct reader r = {.in = in, .start = text, .at = text, .end = text + in->len, .record = 1, .e = e};
	space_skip(&r);
	return records_take(&r) ? SENML_OK : r.status;
}
