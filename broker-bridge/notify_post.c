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
	size_t head = strlen(p->id) + 1 + strlen(timestamp) + 1, len = head + p->body_len;
	char *text = malloc(len + 1);
	if (text == NULL)
		abort();
	snprintf(text, head + 1, "%s.%s.", p->id, timestamp);
	memcpy(text + head, p->body, p->body_len);
	if (HMAC(EVP_sha256(), p->secret, (int)p->secret_len, (const unsigned char *)text, len, mac, &mac_len) == NULL)
		abort();
	free(text);
	EVP_EncodeBlock((unsigned char *)out, mac, (int)mac_len);
}

void post_send(struct web *web, const struct post *p)
{
	char timestamp[24], mac[64], id[64], stamp[48], signature[96], authorization[1100];
	snprintf(timestamp, sizeof(timestamp), "%lld", (long long)time(NULL));
	sign(p, timestamp, mac);
	snprintf(id, sizeof(id), "webhook-id: %s", p->id);
	snprintf(stamp, sizeof(stamp), "webhook-timestamp: %s", timestamp);
	snprintf(signature, sizeof(signature), "webhook-signature: v1,%s", mac);
	const char *headers[] = {p->is_transfer ? "Content-Type: application/json"
						: "Content-Type: application/cloudevents+json; charset=utf-8",
				 "User-Agent: coldfleet-notify/" COLDFLEET_VERSION,
				 "Expect:",
				 id,
				 stamp,
				 signature,
				 authorization};
	const size_t count = sizeof(headers) / sizeof(headers[0]);
	snprintf(authorization, sizeof(authorization), "Authorization: %s",
		 p->credentials != NULL ? p->credentials : "");
	const struct web_request request = {
		.number = p->number,
		.url = p->url,
		.headers = headers,
		.header_count = p->credentials != NULL ? count : count - 1,
		.body = p->body,
		.body_len = p->body_len,
		.timeout = p->timeout,
	};
	web_send(web, &request);
}
