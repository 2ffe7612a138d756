/* SPDX-License-Identifier: Apache-2.0
 *
 * The multi interface of libcurl, driven by one timer and one event a socket. Names are resolved in libcurl's own
 * thread; redirects are not followed, and only HTTPS is spoken. */
#include "api/fetch.h"

#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>
#include <event2/buffer.h>

struct fetch {
	struct event_base *base;
	CURLM *multi;
	CURL *easy;
	struct event *timer;
	struct evbuffer *got;
	struct fetch_options options;
	fetch_done *done;
	void *arg;
	bool busy;
};

static void finish(struct fetch *f, CURLcode code)
{
	long status = 0;
	curl_easy_getinfo(f->easy, CURLINFO_RESPONSE_CODE, &status);
	curl_multi_remove_handle(f->multi, f->easy);
	f->busy = false;
	size_t len = evbuffer_get_length(f->got);
	const char *bytes = (const char *)evbuffer_pullup(f->got, -1);
	if (code != CURLE_OK)
		f->done(NULL, 0, curl_easy_strerror(code), f->arg);
	else if (status != 200 || bytes == NULL)
		f->done(NULL, 0, "the answer is not 200 with a body", f->arg);
	else
		f->done(bytes, len, NULL, f->arg);
	evbuffer_drain(f->got, len);
}

static void look(struct fetch *f)
{
	int left;
	CURLMsg *m = curl_multi_info_read(f->multi, &left);
	if (m != NULL && m->msg == CURLMSG_DONE)
		finish(f, m->data.result);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct fetch *f = arg;
	int running;
	(void)fd, (void)what;
	curl_multi_socket_action(f->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	look(f);
}

static void on_socket(evutil_socket_t fd, short what, void *arg)
{
	struct fetch *f = arg;
	int running;
	int bits = ((what & EV_READ) != 0 ? CURL_CSELECT_IN : 0) | ((what & EV_WRITE) != 0 ? CURL_CSELECT_OUT : 0);
	curl_multi_socket_action(f->multi, fd, bits, &running);
	look(f);
}

static int want_timer(CURLM *multi, long ms, void *arg)
{
	struct fetch *f = arg;
	struct timeval tv = {ms / 1000, ms % 1000 * 1000};
	(void)multi;
	if (ms < 0)
		evtimer_del(f->timer);
	else
		evtimer_add(f->timer, &tv);
	return 0;
}

static int want_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *of_socket)
{
	struct fetch *f = arg;
	struct event *ev = of_socket;
	(void)easy;
	if (ev != NULL)
		event_free(ev);
	ev = NULL;
	if (what != CURL_POLL_REMOVE) {
		short bits = (short)(((what & CURL_POLL_IN) != 0 ? EV_READ : 0) |
				     ((what & CURL_POLL_OUT) != 0 ? EV_WRITE : 0) | EV_PERSIST);
		ev = event_new(f->base, fd, bits, on_socket, f);
		event_add(ev, NULL);
	}
	curl_multi_assign(f->multi, fd, ev);
	return 0;
}

static size_t on_bytes(char *bytes, size_t size, size_t count, void *arg)
{
	struct fetch *f = arg;
	size_t len = size * count;
	if (evbuffer_get_length(f->got) + len > f->options.most || evbuffer_add(f->got, bytes, len) != 0)
		return 0;
	return len;
}

struct fetch *fetch_new(struct event_base *base, const struct fetch_options *options, fetch_done *done, void *arg)
{
	struct fetch *f = calloc(1, sizeof(*f));
	if (f == NULL)
		abort();
	f->base = base;
	f->options = *options;
	f->done = done;
	f->arg = arg;
	f->multi = curl_multi_init();
	f->easy = curl_easy_init();
	f->got = evbuffer_new();
	f->timer = evtimer_new(base, on_timer, f);
	if (f->multi == NULL || f->easy == NULL || f->got == NULL || f->timer == NULL)
		abort();
	curl_multi_setopt(f->multi, CURLMOPT_SOCKETFUNCTION, want_socket);
	curl_multi_setopt(f->multi, CURLMOPT_SOCKETDATA, f);
	curl_multi_setopt(f->multi, CURLMOPT_TIMERFUNCTION, want_timer);
	curl_multi_setopt(f->multi, CURLMOPT_TIMERDATA, f);
	curl_easy_setopt(f->easy, CURLOPT_URL, options->url);
	curl_easy_setopt(f->easy, CURLOPT_PROTOCOLS_STR, "https");
	curl_easy_setopt(f->easy, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(f->easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(f->easy, CURLOPT_TIMEOUT, options->timeout);
	curl_easy_setopt(f->easy, CURLOPT_WRITEFUNCTION, on_bytes);
	curl_easy_setopt(f->easy, CURLOPT_WRITEDATA, f);
	if (options->ca[0] != '\0')
		curl_easy_setopt(f->easy, CURLOPT_CAINFO, options->ca);
	return f;
}

void fetch_start(struct fetch *f)
{
	if (f->busy)
		return;
	f->busy = true;
	evbuffer_drain(f->got, evbuffer_get_length(f->got));
	curl_multi_add_handle(f->multi, f->easy);
}

bool fetch_busy(const struct fetch *f)
{
	return f->busy;
}

void fetch_free(struct fetch **fp)
{
	struct fetch *f = *fp;
	if (f == NULL)
		return;
	if (f->busy)
		curl_multi_remove_handle(f->multi, f->easy);
	curl_easy_cleanup(f->easy);
	curl_multi_cleanup(f->multi);
	event_free(f->timer);
	evbuffer_free(f->got);
	free(f);
	*fp = NULL;
}
