/* SPDX-License-Identifier: Apache-2.0
 *
 * Percent-decoding (RFC 3986), whole numbers and times (RFC 3339). */
#include "api/url.h"

#include <string.h>

#include "core/utf8.h"

bool url_is_utf8(const char *text, size_t len)
{
	return utf8_valid(text, len);
}

static int hex(char c)
{
	static const char digits[] = "0123456789abcdef0123456789ABCDEF";
	const char *p = c != '\0' ? strchr(digits, c) : NULL;
	return p != NULL ? (int)((p - digits) % 16) : -1;
}

bool url_decode(const char *from, size_t len, char *to, size_t size, struct err *e)
{
	size_t n = 0;
	for (size_t i = 0; i < len; i++, n++) {
		int c = (unsigned char)from[i];
		if (c == '%') {
			int high = i + 1 < len ? hex(from[i + 1]) : -1, low = i + 2 < len ? hex(from[i + 2]) : -1;
			if (high < 0 || low < 0)
				return err_set(e, ERR_REQUEST, "'%%' must be followed by two hexadecimal digits");
			c = high * 16 + low;
			i += 2;
		}
		if (c < 0x20 || c == 0x7f)
			return err_set(e, ERR_REQUEST, "control characters are not allowed");
		if (n + 1 >= size)
			return err_set(e, ERR_REQUEST, "longer than %zu bytes", size - 1);
		to[n] = (char)c;
	}
	to[n] = '\0';
	return url_is_utf8(to, n) || err_set(e, ERR_REQUEST, "must be UTF-8");
}

bool url_int(const char *text, int64_t *to)
{
	bool negative = text[0] == '-';
	const char *p = text + negative;
	size_t len = strlen(p);
	if (len == 0 || (p[0] == '0' && (len > 1 || negative)))
		return false;
	*to = 0;
	for (; *p != '\0'; p++) {
		int digit = *p - '0';
		if (digit < 0 || digit > 9 || __builtin_mul_overflow(*to, 10, to) ||
		    __builtin_add_overflow(*to, negative ? -digit : digit, to))
			return false;
	}
	return true;
}

/* `n` digits at *p, which moves behind them; -1 when there are fewer. */
static int digits(const char **p, int n)
{
	int value = 0;
	for (; n > 0; n--, (*p)++) {
		if (**p < '0' || **p > '9')
			return -1;
		value = value * 10 + (**p - '0');
	}
	return value;
}

static bool character(const char **p, char c)
{
	return *(*p)++ == c;
}

static bool date(const char **p)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	int year = digits(p, 4);
	if (year < 1970 || !character(p, '-'))
		return false;
	int month = digits(p, 2);
	if (month < 1 || month > 12 || !character(p, '-'))
		return false;
	int day = digits(p, 2);
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
	return day >= 1 && day <= days[month - 1] + (month == 2 && leap);
}

static bool hour_minute(const char **p)
{
	int hour = digits(p, 2);
	if (hour < 0 || hour > 23 || !character(p, ':'))
		return false;
	int minute = digits(p, 2);
	return minute >= 0 && minute <= 59;
}

static bool fraction(const char **p)
{
	size_t n = strspn(*p, "0123456789");
	*p += n;
	return n >= 1 && n <= 6;
}

bool url_time(const char *text)
{
	const char *p = text;
	if (!date(&p) || !character(&p, 'T') || !hour_minute(&p) || !character(&p, ':'))
		return false;
	int second = digits(&p, 2);
	if (second < 0 || second > 59)
		return false;
	if (*p == '.' && (p++, !fraction(&p)))
		return false;
	if (*p == 'Z')
		return p[1] == '\0';
	if (*p != '+' && *p != '-')
		return false;
	p++;
	return strncmp(p, "16", 2) < 0 && hour_minute(&p) && *p == '\0'; /* PostgreSQL knows offsets below 16 hours */
}

/* The bytes that a white space begins with, or 0. */
static size_t white_space(const char *p)
{
	static const char *const wide[] = {
		"\u00a0", "\u1680", "\u2000", "\u2001", "\u2002", "\u2003", "\u2004", "\u2005", "\u2006", "\u2007",
		"\u2008", "\u2009", "\u200a", "\u2028", "\u2029", "\u202f", "\u205f", "\u3000", "\ufeff",
	};
	if (*p == ' ' || (*p >= '\t' && *p <= '\r'))
		return 1;
	for (size_t i = 0; i < sizeof(wide) / sizeof(wide[0]); i++)
		if (strncmp(p, wide[i], strlen(wide[i])) == 0)
			return strlen(wide[i]);
	return 0;
}

bool url_is_text(const char *text, int64_t min, int64_t max)
{
	int64_t n = 0;
	const char *p = text;
	for (size_t len; (len = white_space(p)) > 0; p += len)
		n++;
	if (*p == '\0' && min > 0)
		return false;
	for (; *p != '\0'; p++)
		n += ((unsigned char)*p & 0xc0) != 0x80;
	return n >= min && n <= max;
}

bool url_is_word(const char *text, const char *words)
{
	size_t len = strlen(text);
	for (const char *p = words; *p != '\0'; p += strspn(p, ",")) {
		size_t word = strcspn(p, ",");
		if (word == len && memcmp(p, text, len) == 0)
			return true;
		p += word;
	}
	return false;
}
