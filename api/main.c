/* SPDX-License-Identifier: Apache-2.0
 *
 * coldfleet-api: REST for people and programs of operations. Configuration, HTTP server, database, in this order. */
#include <stdio.h>

#include "api/api.h"
#include "api/contract.h"
#include "api/cors.h"
#include "api/oidc.h"
#include "api/tls.h"
#include "core/log.h"

struct values {
	struct service_config service;
	char listen[CONFIG_TEXT_MAX];
	char database[CONFIG_TEXT_MAX];
	int64_t connections, max_streams;
	int64_t stream_readers, stream_buffer;
	double stream_heartbeat;
	double request_timeout, idle_timeout;
	int64_t max_connections, max_connections_per_address;
	int64_t max_header_bytes, max_body_bytes, max_import_bytes;
	char tls_cert[CONFIG_TEXT_MAX], tls_key[CONFIG_TEXT_MAX], tls_client_ca[CONFIG_TEXT_MAX];
	double handshake_timeout;
	bool reuse_port;
	char cors_origins[CONFIG_TEXT_MAX];
	struct limits_options limits;
	char oidc_issuer[CONFIG_TEXT_MAX], oidc_audience[CONFIG_TEXT_MAX], oidc_algorithms[CONFIG_TEXT_MAX];
	char oidc_token_type[CONFIG_TEXT_MAX], oidc_jwks[CONFIG_TEXT_MAX], oidc_ca[CONFIG_TEXT_MAX];
	char oidc_roles_claim[CONFIG_TEXT_MAX], oidc_roles[CONFIG_TEXT_MAX], oidc_groups_claim[CONFIG_TEXT_MAX];
	double oidc_refresh;
};

#define ROW(name, type, fallback, min, max, reload, help)                                                              \
	{                                                                                                              \
		"api." #name, type, offsetof(struct values, name), fallback, min, max, reload, false, help             \
	}
#define ITEM(name, type, fallback, min, max, help) ROW(name, type, fallback, min, max, false, help)
#define LIVE(name, type, fallback, min, max, help) ROW(name, type, fallback, min, max, true, help)

#define LIMIT(name, member, fallback, min, help)                                                                       \
	{                                                                                                              \
		"api." #name, CONFIG_INT, offsetof(struct values, limits.member), fallback, min, 1000000, false,       \
			false, help                                                                                    \
	}

static const struct config_item items[] = {
	SERVICE_CONFIG_ITEMS("api", "127.0.0.1:9642"),
	ITEM(listen, CONFIG_TEXT, "127.0.0.1:8470", 0, 0,
	     "where HTTP is served: 127.0.0.1:PORT, [::1]:PORT or unix:/PATH; with tls_cert and tls_key any "
	     "ADDRESS:PORT; systemd: the one socket that it was started with, which other processes may hold too"),
	ITEM(reuse_port, CONFIG_BOOL, "no", 0, 0, "several processes serve the same address and port"),
	LIVE(tls_cert, CONFIG_TEXT, "", 0, 0, "PEM file: certificate and those up to the root; empty: clear text"),
	LIVE(tls_key, CONFIG_TEXT, "", 0, 0, "PEM file: its private key, without a pass phrase"),
	LIVE(tls_client_ca, CONFIG_TEXT, "", 0, 0,
	     "PEM file: clients must show a certificate of one of these; empty: they need none"),
	ITEM(cors_origins, CONFIG_TEXT, "", 0, 0,
	     "web pages of these origins may call from a browser: https://HOST, with commas between, or *"),
	LIMIT(rate_per_token, per_token, "1000", 0, "requests a second of one token, in each process; 0: no limit"),
	LIMIT(burst_per_token, token_burst, "2000", 1, "requests of one token at once"),
	LIMIT(rate_per_address, per_address, "0", 0,
	      "requests a second of one IP address (IPv6: /64), 0: no limit; a proxy on this machine is one address"),
	LIMIT(burst_per_address, address_burst, "2000", 1, "requests of one address at once"),
	ITEM(oidc_issuer, CONFIG_TEXT, "", 0, 0,
	     "identity provider whose access tokens are taken: their `iss`; empty: none are"),
	ITEM(oidc_audience, CONFIG_TEXT, "", 0, 0, "what their `aud` must name"),
	ITEM(oidc_algorithms, CONFIG_TEXT, "RS256,ES256", 0, 0, "how they may be signed"),
	ITEM(oidc_token_type, CONFIG_TEXT, "at+jwt", 0, 0, "their `typ`: at+jwt (RFC 9068), or JWT"),
	ITEM(oidc_jwks, CONFIG_TEXT, "", 0, 0, "its keys, a JWK set: the path of a file, or https://…"),
	ITEM(oidc_ca, CONFIG_TEXT, "", 0, 0, "PEM file of the CA for that URL; empty: those of the system"),
	ITEM(oidc_refresh, CONFIG_SECONDS, "10m", 1, 86400, "how often the keys are read again"),
	ITEM(oidc_roles_claim, CONFIG_TEXT, "roles", 0, 0, "claim that decides the role; a dot goes into an object"),
	ITEM(oidc_roles, CONFIG_TEXT, "", 0, 0,
	     "what it must have for which role: value=role, with commas between; the first one that fits counts"),
	ITEM(oidc_groups_claim, CONFIG_TEXT, "", 0, 0,
	     "claim with names of groups of devices, the scope; empty: all devices"),
	ITEM(handshake_timeout, CONFIG_SECONDS, "5s", 0.1, 60, "for a whole TLS handshake"),
	{"api.database", CONFIG_TEXT, offsetof(struct values, database), "dbname=coldfleet user=coldfleet_api", 0, 0,
	 false, true, "libpq connection string or URI"},
	ITEM(connections, CONFIG_INT, "4", 1, 64, "connections to the database"),
	ITEM(max_streams, CONFIG_INT, "64", 1, 10000,
	     "long answers that are sent at once; each may hold about 1 MiB for a client that reads slowly"),
	ITEM(stream_readers, CONFIG_INT, "2000", 1, 100000,
	     "readers of the live stream, but never more than half of max_connections; more get 503"),
	ITEM(stream_buffer, CONFIG_BYTES, "256KiB", 4096, 64 << 20,
	     "events that may wait for one of them; one that takes them too slowly is cut off"),
	ITEM(stream_heartbeat, CONFIG_SECONDS, "15s", 0.1, 300,
	     "how often it gets a sign of life, and its token is proved anew"),
	ITEM(request_timeout, CONFIG_SECONDS, "10s", 0.1, 300,
	     "from a request's first byte to its last, and again for the database's answer"),
	ITEM(idle_timeout, CONFIG_SECONDS, "60s", 0.1, 3600,
	     "how long a connection may wait for its next request, or not take our answer"),
	ITEM(max_connections, CONFIG_INT, "4000", 1, 100000,
	     "when reached, the connection that idles longest makes room; when none idles, 503"),
	ITEM(max_connections_per_address, CONFIG_INT, "0", 0, 100000,
	     "connections of one IP address, 0: no limit; a proxy on this machine is one address"),
	ITEM(max_header_bytes, CONFIG_BYTES, "16KiB", 256, 1 << 20, "request line and header fields together"),
	ITEM(max_body_bytes, CONFIG_BYTES, "1MiB", 0, 1 << 30, "body of a request"),
	ITEM(max_import_bytes, CONFIG_BYTES, "24MiB", 0, 1 << 30, "body of an import of devices"),
};

static const struct service_spec spec = {
	.name = "coldfleet-api",
	.summary = "Serves the fleet, its readings and its state over REST.",
	.items = items,
	.item_count = sizeof(items) / sizeof(items[0]),
	.values_size = sizeof(struct values),
	.metrics = api_metrics,
	.metric_count = M_ROWS,
};

static struct tls_options tls_options_of(const struct values *v)
{
	return (struct tls_options){.cert = v->tls_cert, .key = v->tls_key, .client_ca = v->tls_client_ca};
}

static struct oidc_options oidc_options_of(const struct values *v)
{
	return (struct oidc_options){.issuer = v->oidc_issuer,
				     .audience = v->oidc_audience,
				     .algorithms = v->oidc_algorithms,
				     .type = v->oidc_token_type,
				     .jwks = v->oidc_jwks,
				     .ca = v->oidc_ca,
				     .refresh = v->oidc_refresh,
				     .roles_claim = v->oidc_roles_claim,
				     .roles = v->oidc_roles,
				     .groups_claim = v->oidc_groups_claim};
}

static struct http_options http_options_of(const struct values *v)
{
	size_t head = (size_t)v->max_header_bytes;
	return (struct http_options){
		.limits = {.target = head / 2,
			   .head = head,
			   .fields = 64,
			   .body = (uint64_t)v->max_body_bytes,
			   .large_path = "/v1/devices:import",
			   .large_body = (uint64_t)v->max_import_bytes},
		.reuse_port = v->reuse_port,
		.handshake_timeout = v->handshake_timeout,
		.request_timeout = v->request_timeout,
		.idle_timeout = v->idle_timeout,
		.max_connections = v->max_connections,
		.max_per_address = v->max_connections_per_address,
		.observer = api_observe,
	};
}

struct daemon {
	const struct values *values;
	struct service *service;
	struct http_server *http;
	struct api *api;
	struct tls *tls;   /* NULL: clear text */
	struct oidc *oidc; /* NULL: no identity provider */
};

static void on_http_stopped(void *arg)
{
	struct daemon *d = arg;
	service_stopped(d->service);
}

static void on_stop(void *arg)
{
	struct daemon *d = arg;
	http_server_stop(d->http, on_http_stopped, d);
	api_stop(d->api);
}

static void on_reload(void *arg)
{
	struct daemon *d = arg;
	struct err e = {0};
	const struct tls_options options = tls_options_of(d->values);
	if (d->tls != NULL && !tls_load(d->tls, &options, &e))
		log_error("api", "the certificate in use stays: %s", e.detail);
	if (d->oidc != NULL)
		oidc_reload(d->oidc);
}

/* Neither certificate nor key: clear text, and nothing to do. */
static bool start_tls(struct daemon *d, struct err *e)
{
	const struct tls_options options = tls_options_of(d->values);
	if (options.cert[0] == '\0' && options.key[0] == '\0')
		return options.client_ca[0] == '\0' ||
		       err_set(e, ERR_CONFIG, "tls_client_ca without tls_cert and tls_key");
	d->tls = tls_new(&options, e);
	return d->tls != NULL;
}

static bool start_oidc(struct daemon *d, struct err *e)
{
	const struct oidc_options options = oidc_options_of(d->values);
	if (options.issuer[0] == '\0')
		return true;
	d->oidc = oidc_new(service_base(d->service), &options, e);
	return d->oidc != NULL;
}

int main(int argc, char **argv)
{
	static struct values values;
	struct service_spec mine = spec;
	struct daemon d = {.values = &values};
	struct err e = {0};
	int status = 1;

	mine.values = &values;
	enum service_start start = service_new(&mine, argc, argv, &d.service);
	if (start != SERVICE_RUN)
		return start == SERVICE_EXIT_OK ? 0 : 2;
	struct http_options http = http_options_of(&values);
	struct api_options options = {.conninfo = values.database,
				      .connections = values.connections,
				      .max_streams = values.max_streams,
				      .stream_readers = values.stream_readers < values.max_connections / 2
								? values.stream_readers
								: values.max_connections / 2,
				      .stream_buffer = values.stream_buffer,
				      .stream_heartbeat = values.stream_heartbeat,
				      .cors_origins = values.cors_origins,
				      .limits = values.limits,
				      .request_timeout = values.request_timeout};
	if (!contract_make(&e) || !cors_check(values.cors_origins, &e) || !start_tls(&d, &e) || !start_oidc(&d, &e)) {
		log_error("api", "%s", e.detail);
		goto out;
	}
	http.tls = d.tls;
	options.oidc = d.oidc;
	d.api = api_new(d.service, &options);
	d.http = http_server_new(service_base(d.service), values.listen, &http, api_handle, d.api, &e);
	if (d.http == NULL) {
		log_error("api", "%s", e.detail);
		goto out;
	}
	service_on_stop(d.service, on_stop, &d);
	service_on_reload(d.service, on_reload, &d);
	log_info("api", "listening at=%s tls=%s", values.listen, d.tls != NULL ? "yes" : "no");
	status = service_run(d.service);
out:
	http_server_free(&d.http);
	api_free(&d.api);
	oidc_free(&d.oidc);
	tls_free(&d.tls);
	service_free(&d.service);
	return status;
}
