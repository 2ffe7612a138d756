/* SPDX-License-Identifier: Apache-2.0
 *
 * Which addresses a server of others may be at, and how networks are written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include "core/networks.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static bool allowed(const char *address, const char *networks)
{
	struct networks n;
	struct err e = {0};
	struct sockaddr_in v4 = {.sin_family = AF_INET};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
	assert_true(networks_parse(networks, &n, &e));
	if (inet_pton(AF_INET, address, &v4.sin_addr) == 1)
		return networks_allow((const struct sockaddr *)(const void *)&v4, &n);
	assert_int_equal(inet_pton(AF_INET6, address, &v6.sin6_addr), 1);
	return networks_allow((const struct sockaddr *)(const void *)&v6, &n);
}

static void test_public_addresses_are_allowed(void **state)
{
	static const char *const all[] = {"9.9.9.9",      "172.15.255.255",       "172.32.0.0",      "100.63.255.255",
					  "100.128.0.0",  "192.167.1.1",          "223.255.255.255", "2620:fe::fe",
					  "2a00:1450::1", "2001:4860:4860::8888", "::ffff:9.9.9.9"};
	(void)state;
	for (size_t i = 0; i < COUNT(all); i++)
		if (!allowed(all[i], ""))
			fail_msg("%s is refused", all[i]);
}

static void test_private_and_special_addresses_are_refused(void **state)
{
	static const char *const all[] = {"0.0.0.0",     "10.0.0.1",        "100.64.0.1",
					  "127.0.0.1",   "127.255.255.255", "169.254.169.254",
					  "172.16.0.1",  "172.31.255.255",  "192.0.0.1",
					  "192.168.1.1", "198.18.0.1",      "224.0.0.1",
					  "240.0.0.1",   "255.255.255.255", "::",
					  "::1",         "fc00::1",         "fd12::1",
					  "fe80::1",     "ff02::1",         "2001:db8::1",
					  "2001::1",     "2002:7f00:1::",   "64:ff9b::7f00:1",
					  "::127.0.0.1", "::ffff:10.0.0.1", "::ffff:127.0.0.1",
					  "3fff::1"};
	(void)state;
	for (size_t i = 0; i < COUNT(all); i++)
		if (allowed(all[i], ""))
			fail_msg("%s is allowed", all[i]);
}

static void test_what_is_neither_ipv4_nor_ipv6_is_refused(void **state)
{
	const struct sockaddr sa = {.sa_family = AF_UNIX};
	const struct networks none = {.count = 0};
	(void)state;
	assert_false(networks_allow(&sa, &none));
}

static void test_networks_that_are_named_are_allowed_and_nothing_beside_them(void **state)
{
	(void)state;
	assert_true(allowed("10.1.2.3", "10.1.0.0/16, fd00::/8"));
	assert_false(allowed("10.2.0.0", "10.1.0.0/16, fd00::/8"));
	assert_true(allowed("fd12::1", "10.1.0.0/16, fd00::/8"));
	assert_false(allowed("fc00::1", "10.1.0.0/16, fd00::/8"));
	assert_true(allowed("127.0.0.1", "127.0.0.1"));
	assert_false(allowed("127.0.0.2", "127.0.0.1"));
	assert_true(allowed("192.168.7.129", "192.168.7.128/25"));
	assert_false(allowed("192.168.7.127", "192.168.7.128/25"));
	assert_true(allowed("::ffff:127.0.0.1", "127.0.0.1"));
	assert_false(allowed("::1", "0.0.0.0/0"));
}

static void test_what_is_no_network_is_refused(void **state)
{
	static const char *const all[] = {"10.0.0.0/33", "10.0.0/8",    "fd00::/129", "localhost",
					  "10.0.0.0/",   "10.0.0.0/8x", "1.2.3.4.5",  "/8"};
	(void)state;
	for (size_t i = 0; i < COUNT(all); i++) {
		struct networks n;
		struct err e = {0};
		if (networks_parse(all[i], &n, &e))
			fail_msg("%s is taken", all[i]);
		assert_int_equal(e.code, ERR_CONFIG);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_public_addresses_are_allowed),
		cmocka_unit_test(test_private_and_special_addresses_are_refused),
		cmocka_unit_test(test_what_is_neither_ipv4_nor_ipv6_is_refused),
		cmocka_unit_test(test_networks_that_are_named_are_allowed_and_nothing_beside_them),
		cmocka_unit_test(test_what_is_no_network_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
