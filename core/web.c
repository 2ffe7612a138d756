/* SPDX-License-Identifier: Apache-2.0
 *
 * The multi interface of libcurl, driven by one timer and one event a socket; one easy handle a request. Names are
 * resolved in libcurl's own threads. */
#include "core/web.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>
#include <event2/buffer.h>

#include "core/clock.h"

#define UNWANTED_MAX ((size_t)64 * 1024) /* of an answer that nobody reads: its head, or a body that is not wanted */

struct web {
	struct event_base *base;
	struct web_options options;
	CURLM *multi;
	struct event *timer;
	web_done *done;
	void *arg;
	struct one *first;
	size_t count;
};

struct one {
	struct web *web;
	struct one *prev, *next;
	CURL *easy;
	struct curl_slist *headers;
	int64_t number;
	struct evbuffer *got; /* NULL: not wanted */
	size_t most, head, unwanted;
	double began;
	bool barred; /* an address was not allowed */
	bool opened; /* another one was */
	char why[CURL_ERROR_SIZE];
};

static void one_free(struct one *o)
{
	struct web *w = o->web;
	curl_multi_remove_handle(w->multi, o->easy);
	curl_easy_cleanup(o->easy);
	curl_slist_free_all(o->headers);
	*(o->prev != NULL ? &o->prev->next : &w->first) = o->next;
	if (o->next != NULL)
		o->next->prev = o->prev;
	w->count--;
	if (o->got != NULL)
		evbuffer_free(o->got);
	free(o);
}

/* One whose body nobody wants is whole when its head is. */
static bool is_whole(const struct one *o, CURLcode code)
{
	return code == CURLE_OK || (code == CURLE_WRITE_ERROR && o->unwanted > UNWANTED_MAX);
}

static void finish(struct one *o, CURLcode code)
{
	struct web *w = o->web;
	struct evbuffer *got = o->got;
	curl_off_t wait = 0;
	struct web_answer a = {.number = o->number, .took = clock_seconds() - o->began};
	a.refused = (o->barred && !o->opened) || code == CURLE_UNSUPPORTED_PROTOCOL || code == CURLE_URL_MALFORMAT;
	if (is_whole(o, code)) {
		curl_easy_getinfo(o->easy, CURLINFO_RESPONSE_CODE, &a.status);
		curl_easy_getinfo(o->easy, CURLINFO_RETRY_AFTER, &wait);
		a.wait = wait > 0 ? (double)wait : 0;
	} else if (o->barred && !o->opened) {
		snprintf(a.why, sizeof(a.why), "its address is not allowed");
	} else if (code == CURLE_WRITE_ERROR) {
		snprintf(a.why, sizeof(a.why), "the answer is longer than %zu bytes",
			 o->head > UNWANTED_MAX ? UNWANTED_MAX : o->most);
	} else {
		snprintf(a.why, sizeof(a.why), "%.190s", o->why[0] != '\0' ? o->why : curl_easy_strerror(code));
	}
	o->got = NULL;
	one_free(o); /* first: the callback may ask how many are under way */
	if (got != NULL && a.why[0] == '\0') {
		a.body_len = evbuffer_get_length(got);
		a.body = (const char *)evbuffer_pullup(got, -1);
	}
	w->done(&a, w->arg);
	if (got != NULL)
		evbuffer_free(got);
}

static void look(struct web *w)
{
	int left;
	CURLMsg *m;
	while ((m = curl_multi_info_read(w->multi, &left)) != NULL) {
		struct one *o = NULL;
		CURLcode code = m->data.result;
		if (m->msg == CURLMSG_DONE && curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &o) == CURLE_OK)
			finish(o, code);
	}
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct web *w = arg;
	int running;
	(void)fd, (void)what;
	curl_multi_socket_action(w->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	look(w);
}

static void on_socket(evutil_socket_t fd, short what, void *arg)
{
	struct web *w = arg;
	int running;
	int bits = ((what & EV_READ) != 0 ? CURL_CSELECT_IN : 0) | ((what & EV_WRITE) != 0 ? CURL_CSELECT_OUT : 0);
	curl_multi_socket_action(w->multi, fd, bits, &running);
	look(w);
}

static int want_timer(CURLM *multi, long ms, void *arg)
{
	struct web *w = arg;
	struct timeval tv = {ms / 1000, ms % 1000 * 1000};
	(void)multi;
	if (ms < 0)
		evtimer_del(w->timer);
	else
		evtimer_add(w->timer, &tv);
	return 0;
}

static int want_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *of_socket)
{
	struct web *w = arg;
	struct event *ev = of_socket;
	(void)easy;
	if (ev != NULL)
		event_free(ev);
	ev = NULL;
	if (what != CURL_POLL_REMOVE) {
		short bits = (short)(((what & CURL_POLL_IN) != 0 ? EV_READ : 0) |
				     ((what & CURL_POLL_OUT) != 0 ? EV_WRITE : 0) | EV_PERSIST);
		ev = event_new(w->base, fd, bits, on_socket, w);
		event_add(ev, NULL);
	}
	curl_multi_assign(w->multi, fd, ev);
	return 0;
}

static size_t on_field(char *bytes, size_t size, size_t count, void *arg)
{
	struct one *o = arg;
	(void)bytes;
	o->head += size * count;
	return o->head > UNWANTED_MAX ? 0 : size * count;
}

static size_t on_bytes(char *bytes, size_t size, size_t count, void *arg)
{
	struct one *o = arg;
	size_t len = size * count;
	if (o->got == NULL) {
		o->unwanted += len;
		return o->unwanted > UNWANTED_MAX ? 0 : len;
	}
	if (evbuffer_get_length(o->got) + len > o->most || evbuffer_add(o->got, bytes, len) != 0)
		return 0;
	return len;
}

/* The last moment before anything leaves: this is the address that was resolved and is connected to. A name may have
 * several, of which one that is allowed is enough. */
static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *a)
{
	struct one *o = arg;
	if (purpose != CURLSOCKTYPE_IPCXN || !networks_allow(&a->addr, o->web->options.allowed)) {
		o->barred = true;
		return CURL_SOCKET_BAD;
	}
	o->opened = true;
	return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

struct web *web_new(struct event_base *base, const struct web_options *options, web_done *done, void *arg)
{
	struct web *w = calloc(1, sizeof(*w));
	if (w == NULL)
		abort();
	*w = (struct web){.base = base, .options = *options, .done = done, .arg = arg};
	w->multi = curl_multi_init();
	w->timer = evtimer_new(base, on_timer, w);
	if (w->multi == NULL || w->timer == NULL)
		abort();
	curl_multi_setopt(w->multi, CURLMOPT_SOCKETFUNCTION, want_socket);
	curl_multi_setopt(w->multi, CURLMOPT_SOCKETDATA, w);
	curl_multi_setopt(w->multi, CURLMOPT_TIMERFUNCTION, want_timer);
	curl_multi_setopt(w->multi, CURLMOPT_TIMERDATA, w);
	return w;
}

void web_free(struct web **wp)
{
	struct web *w = *wp;
	if (w == NULL)
		return;
	while (w->first != NULL)
		one_free(w->first);
	curl_multi_cleanup(w->multi);
	event_free(w->timer);
	free(w);
	*wp = NULL;
}

static void set_bounds(struct one *o, const struct web_request *r)
{
	const struct web_options *options = &o->web->options;
	curl_easy_setopt(o->easy, CURLOPT_PROTOCOLS_STR, options->allow_http ? "http,https" : "https");
	curl_easy_setopt(o->easy, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(o->easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	curl_easy_setopt(o->easy, CURLOPT_NOSIGNAL, 1L);
	/* A name server that is silent would otherwise be waited for when the request has timed out, by the loop. */
	curl_easy_setopt(o->easy, CURLOPT_QUICK_EXIT, 1L);
	curl_easy_setopt(o->easy, CURLOPT_TIMEOUT_MS, (long)(r->timeout * 1000));
	if (options->ca[0] != '\0')
		curl_easy_setopt(o->easy, CURLOPT_CAINFO, options->ca);
	if (options->allowed == NULL)
		return;
	curl_easy_setopt(o->easy, CURLOPT_PROXY, "");
	curl_easy_setopt(o->easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
	curl_easy_setopt(o->easy, CURLOPT_OPENSOCKETDATA, o);
}

static void set_request(struct one *o, const struct web_request *r)
{
	curl_easy_setopt(o->easy, CURLOPT_URL, r->url);
	for (size_t i = 0; i < r->header_count; i++) {
		struct curl_slist *more = curl_slist_append(o->headers, r->headers[i]);
		if (more == NULL)
			abort();
		o->headers = more;
	}
	curl_easy_setopt(o->easy, CURLOPT_HTTPHEADER, o->headers);
	if (r->body == NULL)
		return;
	curl_easy_setopt(o->easy, CURLOPT_POSTFIELDSIZE, (long)r->body_len);
	curl_easy_setopt(o->easy, CURLOPT_COPYPOSTFIELDS, r->body);
}

void web_send(struct web *w, const struct web_request *r)
{
	struct one *o = calloc(1, sizeof(*o));
	if (o == NULL)
		abort();
	*o = (struct one){.web = w, .next = w->first, .number = r->number, .most = r->most, .began = clock_seconds()};
	if (w->first != NULL)
		w->first->prev = o;
	w->first = o;
	w->count++;
	o->got = r->most > 0 ? evbuffer_new() : NULL;
	o->easy = curl_easy_init();
	if (o->easy == NULL || (r->most > 0 && o->got == NULL))
		abort();
	set_bounds(o, r);
	set_request(o, r);
	curl_easy_setopt(o->easy, CURLOPT_PRIVATE, o);
	curl_easy_setopt(o->easy, CURLOPT_HEADERFUNCTION, on_field);
	curl_easy_setopt(o->easy, CURLOPT_HEADERDATA, o);
	curl_easy_setopt(o->easy, CURLOPT_WRITEFUNCTION, on_bytes);
	curl_easy_setopt(o->easy, CURLOPT_WRITEDATA, o);
	curl_easy_setopt(o->easy, CURLOPT_ERRORBUFFER, o->why);
	curl_multi_add_handle(w->multi, o->easy);
}

size_t web_count(const struct web *w)
{
	return w->count;
}
