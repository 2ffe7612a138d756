/* SPDX-License-Identifier: Apache-2.0
 *
 * What coldfleet-signer can be told (the [signer] section of the configuration) and what it counts. */
#ifndef COLDFLEET_BROKER_BRIDGE_SIGNER_CONFIG_H
#define COLDFLEET_BROKER_BRIDGE_SIGNER_CONFIG_H

#include "core/config.h"
#include "core/metrics.h"
#include "core/service.h"

struct signer_config {
	struct service_config service; /* first: core/service.h */
	char database[CONFIG_TEXT_MAX];
	char issuer[CONFIG_TEXT_MAX];
	char key[CONFIG_TEXT_MAX];
	char audit_key[CONFIG_TEXT_MAX];
	char checkpoint_file[CONFIG_TEXT_MAX];
	double checkpoint_every;
	int64_t batch;
	double sweep;
};

extern const struct config_item signer_config_items[];
extern const size_t signer_config_item_count;

/* What the table alone cannot say. */
bool signer_config_check(const struct signer_config *c, struct err *e);

enum signer_metric {
	SM_SIGNED,
	SM_REFUSED,
	SM_STALE,
	SM_SIGN_SECONDS,
	SM_CHECKPOINTS,
	SM_CHAIN_NUMBER,
	SM_CHAIN_BROKEN,
	SIGNER_METRICS
};

extern const struct metric_def signer_metric_defs[SIGNER_METRICS];

#endif
