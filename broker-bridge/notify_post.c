/* SPDX-License-Identifier: Apache-2.0
 *
 * The multi interface of libcurl, driven by one timer and one event a socket; one easy handle a request. */
#include "broker-bridge/notify_post.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <curl/curl.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "core/clock.h"

#define ANSWER_MAX ((size_t)64 * 1024) /* of an answer's body, which nobody reads */

struct post {
	struct event_base *base;
	const struct notify_config *config;
	CURLM *multi;
	struct event *timer;
	post_done *done;
	void *arg;
	struct one *first;
	size_t count;
};

struct one {
	struct post *post;
	struct one *prev, *next;
	CURL *easy;
	struct curl_slist *headers;
	int64_t number;
	char *body;
	double began;
	size_t answered;
	bool refused;
	char why[CURL_ERROR_SIZE];
};

static void one_free(struct one *o)
{
	struct post *p = o->post;
	curl_multi_remove_handle(p->multi, o->easy);
	curl_easy_cleanup(o->easy);
	curl_slist_free_all(o->headers);
	*(o->prev != NULL ? &o->prev->next : &p->first) = o->next;
	if (o->next != NULL)
		o->next->prev = o->prev;
	p->count--;
	free(o->body);
	free(o);
}

static void finish(struct one *o, CURLcode code)
{
	struct post *p = o->post;
	curl_off_t wait = 0;
	struct post_result r = {.number = o->number, .took = clock_seconds() - o->began};
	curl_easy_getinfo(o->easy, CURLINFO_RESPONSE_CODE, &r.status);
	curl_easy_getinfo(o->easy, CURLINFO_RETRY_AFTER, &wait);
	r.wait = wait > 0 ? (double)wait : 0;
	r.refused = o->refused || code == CURLE_UNSUPPORTED_PROTOCOL || code == CURLE_URL_MALFORMAT;
	bool answered = code == CURLE_OK || (code == CURLE_WRITE_ERROR && o->answered > ANSWER_MAX);
	if (o->refused)
		snprintf(r.why, sizeof(r.why), "its address is not one that webhooks may be at");
	else if (!answered)
		snprintf(r.why, sizeof(r.why), "%.190s", o->why[0] != '\0' ? o->why : curl_easy_strerror(code));
	else if (r.status < 200 || r.status > 299)
		snprintf(r.why, sizeof(r.why), "the answer is %ld, expected 2xx", r.status);
	if (!answered)
		r.status = 0; /* an answer that broke off is none */
	one_free(o);
	p->done(&r, p->arg);
}

static void look(struct post *p)
{
	int left;
	CURLMsg *m;
	while ((m = curl_multi_info_read(p->multi, &left)) != NULL) {
		struct one *o = NULL;
		CURLcode code = m->data.result;
		if (m->msg == CURLMSG_DONE && curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &o) == CURLE_OK)
			finish(o, code);
	}
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct post *p = arg;
	int running;
	(void)fd, (void)what;
	curl_multi_socket_action(p->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	look(p);
}

static void on_socket(evutil_socket_t fd, short what, void *arg)
{
	struct post *p = arg;
	int running;
	int bits = ((what & EV_READ) != 0 ? CURL_CSELECT_IN : 0) | ((what & EV_WRITE) != 0 ? CURL_CSELECT_OUT : 0);
	curl_multi_socket_action(p->multi, fd, bits, &running);
	look(p);
}

static int want_timer(CURLM *multi, long ms, void *arg)
{
	struct post *p = arg;
	struct timeval tv = {ms / 1000, ms % 1000 * 1000};
	(void)multi;
	if (ms < 0)
		evtimer_del(p->timer);
	else
		evtimer_add(p->timer, &tv);
	return 0;
}

static int want_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *of_socket)
{
	struct post *p = arg;
	struct event *ev = of_socket;
	(void)easy;
	if (ev != NULL)
		event_free(ev);
	ev = NULL;
	if (what != CURL_POLL_REMOVE) {
		short bits = (short)(((what & CURL_POLL_IN) != 0 ? EV_READ : 0) |
				     ((what & CURL_POLL_OUT) != 0 ? EV_WRITE : 0) | EV_PERSIST);
		ev = event_new(p->base, fd, bits, on_socket, p);
		event_add(ev, NULL);
	}
	curl_multi_assign(p->multi, fd, ev);
	return 0;
}

static size_t on_bytes(char *bytes, size_t size, size_t count, void *arg)
{
	struct one *o = arg;
	(void)bytes;
	o->answered += size * count;
	return o->answered > ANSWER_MAX ? 0 : size * count;
}

/* The last moment before anything leaves: this is the address that was resolved and is connected to. */
static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *a)
{
	struct one *o = arg;
	if (purpose != CURLSOCKTYPE_IPCXN || !notify_address_allowed(&a->addr, &o->post->config->allowed)) {
		o->refused = true;
		return CURL_SOCKET_BAD;
	}
	o->refused = false; /* another address of the same name may be allowed */
	return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

static void sign(const struct post_request *r, const char *timestamp, char out[64])
{
	uint8_t mac[32];
	unsigned int mac_len = sizeof(mac);
	size_t stamp = strlen(timestamp), len = r->id_len + 1 + stamp + 1 + r->body_len;
	uint8_t *text = malloc(len);
	if (text == NULL)
		abort();
	memcpy(text, r->id, r->id_len);
	text[r->id_len] = '.';
	memcpy(text + r->id_len + 1, timestamp, stamp);
	text[r->id_len + 1 + stamp] = '.';
	memcpy(text + len - r->body_len, r->body, r->body_len);
	if (HMAC(EVP_sha256(), r->secret, (int)r->secret_len, text, len, mac, &mac_len) == NULL)
		abort();
	free(text);
	EVP_EncodeBlock((unsigned char *)out, mac, (int)mac_len);
}

static void header(struct one *o, const char *name, const char *value, size_t len)
{
	char line[256];
	snprintf(line, sizeof(line), "%s: %.*s", name, (int)len, value);
	struct curl_slist *more = curl_slist_append(o->headers, line);
	if (more == NULL)
		abort();
	o->headers = more;
}

static void set_headers(struct one *o, const struct post_request *r)
{
	char timestamp[24], mac[64], signature[80];
	snprintf(timestamp, sizeof(timestamp), "%lld", (long long)time(NULL));
	sign(r, timestamp, mac);
	snprintf(signature, sizeof(signature), "v1,%s", mac);
	header(o, "Content-Type", "application/cloudevents+json; charset=utf-8", 43);
	header(o, "User-Agent", "coldfleet-notify/" COLDFLEET_VERSION, strlen("coldfleet-notify/" COLDFLEET_VERSION));
	header(o, "webhook-id", r->id, r->id_len);
	header(o, "webhook-timestamp", timestamp, strlen(timestamp));
	header(o, "webhook-signature", signature, strlen(signature));
	header(o, "Expect", "", 0);
}

struct post *post_new(struct event_base *base, const struct notify_config *config, post_done *done, void *arg)
{
	struct post *p = calloc(1, sizeof(*p));
	if (p == NULL)
		abort();
	*p = (struct post){.base = base, .config = config, .done = done, .arg = arg};
	p->multi = curl_multi_init();
	p->timer = evtimer_new(base, on_timer, p);
	if (p->multi == NULL || p->timer == NULL)
		abort();
	curl_multi_setopt(p->multi, CURLMOPT_SOCKETFUNCTION, want_socket);
	curl_multi_setopt(p->multi, CURLMOPT_SOCKETDATA, p);
	curl_multi_setopt(p->multi, CURLMOPT_TIMERFUNCTION, want_timer);
	curl_multi_setopt(p->multi, CURLMOPT_TIMERDATA, p);
	return p;
}

void post_free(struct post **pp)
{
	struct post *p = *pp;
	if (p == NULL)
		return;
	while (p->first != NULL)
		one_free(p->first);
	curl_multi_cleanup(p->multi);
	event_free(p->timer);
	free(p);
	*pp = NULL;
}

static char *copy(const char *text, size_t len)
{
	char *out = strndup(text, len);
	if (out == NULL)
		abort();
	return out;
}

void post_send(struct post *p, const struct post_request *r)
{
	struct one *o = calloc(1, sizeof(*o));
	if (o == NULL)
		abort();
	*o = (struct one){.post = p, .next = p->first, .number = r->number, .began = clock_seconds()};
	if (p->first != NULL)
		p->first->prev = o;
	p->first = o;
	p->count++;
	o->body = copy(r->body, r->body_len);
	o->easy = curl_easy_init();
	if (o->easy == NULL)
		abort();
	set_headers(o, r);
	char *url = copy(r->url, r->url_len);
	curl_easy_setopt(o->easy, CURLOPT_URL, url);
	free(url);
	curl_easy_setopt(o->easy, CURLOPT_PRIVATE, o);
	curl_easy_setopt(o->easy, CURLOPT_PROTOCOLS_STR, p->config->allow_http ? "http,https" : "https");
	curl_easy_setopt(o->easy, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(o->easy, CURLOPT_PROXY, "");
	curl_easy_setopt(o->easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	curl_easy_setopt(o->easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(o->easy, CURLOPT_TIMEOUT_MS, (long)(p->config->timeout * 1000));
	curl_easy_setopt(o->easy, CURLOPT_HTTPHEADER, o->headers);
	curl_easy_setopt(o->easy, CURLOPT_POSTFIELDS, o->body);
	curl_easy_setopt(o->easy, CURLOPT_POSTFIELDSIZE, (long)r->body_len);
	curl_easy_setopt(o->easy, CURLOPT_WRITEFUNCTION, on_bytes);
	curl_easy_setopt(o->easy, CURLOPT_WRITEDATA, o);
	curl_easy_setopt(o->easy, CURLOPT_ERRORBUFFER, o->why);
	curl_easy_setopt(o->easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
	curl_easy_setopt(o->easy, CURLOPT_OPENSOCKETDATA, o);
	if (p->config->ca[0] != '\0')
		curl_easy_setopt(o->easy, CURLOPT_CAINFO, p->config->ca);
	curl_multi_add_handle(p->multi, o->easy);
}

size_t post_count(const struct post *p)
{
	return p->count;
}
