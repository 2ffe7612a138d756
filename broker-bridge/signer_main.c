/* SPDX-License-Identifier: Apache-2.0
 *
 * coldfleet-signer: the one process that holds the command key. It talks to the database and to nobody else: takes
 * approved commands, re-checks them, signs them; and witnesses the audit trail. */
#include <stdlib.h>

#include <openssl/evp.h>

#include "broker-bridge/signer.h"
#include "broker-bridge/signer_checkpoint.h"
#include "broker-bridge/signer_config.h"
#include "broker-bridge/signer_key.h"
#include "core/log.h"
#include "core/service.h"

static const char object[] = "coldfleet-signer";

struct main_state {
	struct signer_config config;
	struct service *service;
	struct cose_key *key, *audit_key;
	struct signer *signer;
	struct witness *witness; /* NULL: no audit key */
	size_t part_database;
};

static void on_signer(bool up, void *arg)
{
	struct main_state *m = arg;
	service_part_up(m->service, m->part_database, up);
}

static void on_stopped(void *arg)
{
	struct main_state *m = arg;
	service_stopped(m->service);
}

static void on_stop(void *arg)
{
	struct main_state *m = arg;
	signer_stop(m->signer, on_stopped);
}

static void say_key(const char *what, const struct cose_key *key)
{
	const uint8_t *k = cose_key_kid(key);
	log_info(object, "%s kid=%02x%02x%02x%02x%02x%02x%02x%02x", what, k[0], k[1], k[2], k[3], k[4], k[5], k[6],
		 k[7]);
}

static bool init(struct main_state *m, struct err *e)
{
	struct event_base *base = service_base(m->service);
	if (!signer_config_check(&m->config, e))
		return false;
	m->part_database = service_part(m->service, "the database");
	m->key = signer_key_open(m->config.key, e);
	if (m->key == NULL)
		return err_prefix(e, "signer.key: ");
	say_key("command key", m->key);
	if (m->config.audit_key[0] != '\0') {
		m->audit_key = signer_key_open(m->config.audit_key, e);
		if (m->audit_key == NULL)
			return err_prefix(e, "signer.audit_key: ");
		say_key("audit key", m->audit_key);
		m->witness = witness_new(base, &m->config, m->audit_key, service_metrics(m->service), e);
		if (m->witness == NULL)
			return false;
	}
	m->signer = signer_new(base, &m->config, m->key, service_metrics(m->service), on_signer, m);
	service_on_stop(m->service, on_stop, m);
	signer_start(m->signer);
	if (m->witness != NULL)
		witness_start(m->witness);
	return true;
}

static void fini(struct main_state *m)
{
	signer_free(&m->signer);
	witness_free(&m->witness);
	cose_key_free(&m->key);
	cose_key_free(&m->audit_key);
	service_free(&m->service);
}

int main(int argc, char **argv)
{
	static struct main_state m;
	const struct service_spec spec = {
		.name = object,
		.summary = "signs commands that were approved, with a key that nobody else has",
		.items = signer_config_items,
		.item_count = signer_config_item_count,
		.values = &m.config,
		.values_size = sizeof(m.config),
		.metrics = signer_metric_defs,
		.metric_count = SIGNER_METRICS,
	};
	struct err e = {0};
	enum service_start start = service_new(&spec, argc, argv, &m.service);
	if (start != SERVICE_RUN)
		return start == SERVICE_EXIT_OK ? 0 : 2;
	int status = 2;
	if (init(&m, &e))
		status = service_run(m.service);
	else
		log_error(object, "%s", e.detail);
	fini(&m);
	return status;
}
