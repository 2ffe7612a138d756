/* SPDX-License-Identifier: Apache-2.0
 *
 * The API behind the HTTP server: finds the route, asks the database in one round trip, passes its JSON on. */
#ifndef COLDFLEET_API_API_H
#define COLDFLEET_API_API_H

#include "api/http.h"
#include "api/limits.h"
#include "core/service.h"

struct api;
struct oidc;

struct api_options {
	const char *conninfo;
	int64_t connections;
	const char *cors_origins; /* "": no browser may call */
	struct limits_options limits;
	struct oidc *oidc; /* borrowed; NULL: only tokens that the database knows */
	int64_t max_streams;
	int64_t stream_readers, stream_buffer; /* of the live stream: how many, bytes for each */
	double stream_heartbeat;               /* seconds */
	double request_timeout;                /* seconds; bounds statements and the wait for their results too */
};

enum api_metric {
	M_ANSWERS_2XX,
	M_ANSWERS_4XX,
	M_ANSWERS_5XX,
	M_ANSWER_SECONDS,
	M_CONNECTIONS,
	M_TURNED_AWAY,
	M_HANDSHAKES_FAILED,
	M_RATE_LIMITED,
	M_LOGINS_REFUSED,
	M_STREAM_READERS,
	M_STREAM_CUT,
	M_ROWS
};
extern const struct metric_def api_metrics[M_ROWS];

struct api *api_new(struct service *s, const struct api_options *options);
void api_free(struct api **a);
void api_stop(struct api *a); /* ends what would not end by itself */

void api_handle(struct http_request *r, void *api);                                    /* an http_handler */
void api_observe(enum http_observation what, double value, double seconds, void *api); /* an http_observer */

/* Acts of the route table. */
void api_health(struct api *a, struct http_request *r);
void api_ready(struct api *a, struct http_request *r);

#endif
