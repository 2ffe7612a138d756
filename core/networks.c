/* SPDX-License-Identifier: Apache-2.0
 *
 * The tables of IANA's special-purpose registries (IPv4: RFC 6890 and later; IPv6: only 2000::/3 is given out, less
 * what is set apart within it), all as prefixes of 128 bits. */
#include "core/networks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <netinet/in.h>

static const char *const refused[] = {
	"0.0.0.0/8",      "10.0.0.0/8",   "100.64.0.0/10",  "127.0.0.0/8",    "169.254.0.0/16", "172.16.0.0/12",
	"192.0.0.0/24",   "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15",  "198.51.100.0/24",
	"203.0.113.0/24", "224.0.0.0/4",  "240.0.0.0/4",    "2001::/23", /* Teredo and others that lead elsewhere */
	"2001:db8::/32",  "2002::/16",                                   /* 6to4: an IPv4 address of anybody's choice */
	"3fff::/20",      "::/3",         "4000::/2",       "8000::/1",
};

const char *const *networks_refused(size_t *count)
{
	*count = sizeof(refused) / sizeof(refused[0]);
	return refused;
}

static bool parse_one(const char *text, struct network *out)
{
	char address[INET6_ADDRSTRLEN];
	struct in_addr v4;
	const char *slash = strchr(text, '/');
	size_t len = slash != NULL ? (size_t)(slash - text) : strlen(text);
	if (len == 0 || len >= sizeof(address))
		return false;
	memcpy(address, text, len);
	address[len] = '\0';
	unsigned long most = 128, bits;
	*out = (struct network){.bytes = {[10] = 0xff, [11] = 0xff}};
	if (inet_pton(AF_INET, address, &v4) == 1) {
		memcpy(out->bytes + 12, &v4, sizeof(v4));
		most = 32;
	} else if (inet_pton(AF_INET6, address, out->bytes) != 1) {
		return false;
	}
	bits = most;
	if (slash != NULL) {
		char *end;
		bits = strtoul(slash + 1, &end, 10);
		if (end == slash + 1 || *end != '\0' || bits > most)
			return false;
	}
	out->bits = (uint8_t)(bits + 128 - most);
	return true;
}

bool networks_parse(const char *text, struct networks *out, struct err *e)
{
	static const char between[] = ", \t";
	out->count = 0;
	for (const char *p = text + strspn(text, between); *p != '\0'; p += strspn(p, between)) {
		char one[INET6_ADDRSTRLEN + 8];
		size_t len = strcspn(p, between);
		snprintf(one, sizeof(one), "%.*s", (int)len, p);
		if (out->count == NETWORKS_MAX)
			return err_set(e, ERR_CONFIG, "expected at most %d networks", NETWORKS_MAX);
		if (len >= sizeof(one) || !parse_one(one, &out->of[out->count]))
			return err_set(e, ERR_CONFIG, "%.60s: expected an address or a network such as 10.1.0.0/16",
				       one);
		out->count++;
		p += len;
	}
	return true;
}

static bool within(const uint8_t address[16], const struct network *n)
{
	size_t whole = n->bits / 8;
	uint8_t mask = (uint8_t)(0xff00 >> n->bits % 8);
	return memcmp(address, n->bytes, whole) == 0 &&
	       (n->bits % 8 == 0 || ((address[whole] ^ n->bytes[whole]) & mask) == 0);
}

static bool is_public(const uint8_t address[16])
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	bool is_v4 = memcmp(address, mapped, sizeof(mapped)) == 0;
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		struct network n;
		if ((strchr(refused[i], ':') == NULL) == is_v4 && (!parse_one(refused[i], &n) || within(address, &n)))
			return false;
	}
	return true;
}

bool networks_allow(const struct sockaddr *sa, const struct networks *allowed)
{
	uint8_t address[16] = {[10] = 0xff, [11] = 0xff};
	if (sa->sa_family == AF_INET) {
		struct sockaddr_in v4;
		memcpy(&v4, sa, sizeof(v4));
		memcpy(address + 12, &v4.sin_addr, 4);
	} else if (sa->sa_family == AF_INET6) {
		struct sockaddr_in6 v6;
		memcpy(&v6, sa, sizeof(v6));
		memcpy(address, &v6.sin6_addr, sizeof(address));
	} else {
		return false;
	}
	for (size_t i = 0; i < allowed->count; i++) {
		if (within(address, &allowed->of[i]))
			return true;
	}
	return is_public(address);
}
