/* SPDX-License-Identifier: Apache-2.0
 *
 * The signature, and the headers around it. */
#include "broker-bridge/notify_post.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

static void sign(const struct post *p, const char *timestamp, char out[64])
{
	uint8_t mac[32];
	unsigned int mac_len = sizeof(mac);
	size_t stamp = strlen(timestamp), len = p->id_len + 1 + stamp + 1 + p->body_len;
	uint8_t *text = malloc(len);
	if (text == NULL)
		abort();
	memcpy(text, p->id, p->id_len);
	text[p->id_len] = '.';
	memcpy(text + p->id_len + 1, timestamp, stamp);
	text[p->id_len + 1 + stamp] = '.';
	memcpy(text + len - p->body_len, p->body, p->body_len);
	if (HMAC(EVP_sha256(), p->secret, (int)p->secret_len, text, len, mac, &mac_len) == NULL)
		abort();
	free(text);
	EVP_EncodeBlock((unsigned char *)out, mac, (int)mac_len);
}

void post_send(struct web *web, const struct post *p)
{
	char timestamp[24], mac[64], id[64], stamp[48], signature[96];
	snprintf(timestamp, sizeof(timestamp), "%lld", (long long)time(NULL));
	sign(p, timestamp, mac);
	snprintf(id, sizeof(id), "webhook-id: %.*s", (int)p->id_len, p->id);
	snprintf(stamp, sizeof(stamp), "webhook-timestamp: %s", timestamp);
	snprintf(signature, sizeof(signature), "webhook-signature: v1,%s", mac);
	const char *const headers[] = {"Content-Type: application/cloudevents+json; charset=utf-8",
				       "User-Agent: coldfleet-notify/" COLDFLEET_VERSION,
				       "Expect:",
				       id,
				       stamp,
				       signature};
	const struct web_request request = {
		.number = p->number,
		.url = p->url,
		.url_len = p->url_len,
		.headers = headers,
		.header_count = sizeof(headers) / sizeof(headers[0]),
		.body = p->body,
		.body_len = p->body_len,
		.timeout = p->timeout,
	};
	web_send(web, &request);
}
