/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of the [signer] section, and the table of the signer's metrics. */
#include "broker-bridge/signer_config.h"

#define TEXT(name, fallback, help)                                                                                     \
	{                                                                                                              \
		"signer." #name, CONFIG_TEXT, offsetof(struct signer_config, name), fallback, 0, 0, false, false, help \
	}
#define NUMBER(name, type, fallback, min, max, help)                                                                   \
	{                                                                                                              \
		"signer." #name, type, offsetof(struct signer_config, name), fallback, min, max, false, false, help    \
	}

const struct config_item signer_config_items[] = {
	SERVICE_CONFIG_ITEMS("signer", "127.0.0.1:9644"),
	TEXT(database, "postgresql:///coldfleet?user=coldfleet_signer", "PostgreSQL, as a libpq URI or keywords"),
	TEXT(issuer, "coldfleet", "who signs, as the devices are told"),
	TEXT(key, "",
	     "the command key, required: a PEM file that only this user can read, or a PKCS#11 URI "
	     "(pkcs11:token=...;object=...;pin-source=file:...)"),
	TEXT(audit_key, "", "the key that signs checkpoints of the audit chain, likewise; empty: none are signed"),
	TEXT(checkpoint_file, "",
	     "file that checkpoints are appended to, where no role of the database can reach it; required with "
	     "audit_key"),
	NUMBER(checkpoint_every, CONFIG_SECONDS, "60s", 1, 60, "at most so long after an audit entry is it covered"),
	NUMBER(batch, CONFIG_INT, "250", 1, 1000, "commands signed in one transaction"),
	NUMBER(sweep, CONFIG_SECONDS, "5s", 0.1, 600, "how often to look for work that nothing announced"),
};
const size_t signer_config_item_count = sizeof(signer_config_items) / sizeof(signer_config_items[0]);

bool signer_config_check(const struct signer_config *c, struct err *e)
{
	if (c->key[0] == '\0')
		return err_set(
			e, ERR_CONFIG,
			"signer.key: expected a PEM file or a pkcs11: URI; coldfleet-signer --make-key FILE makes one");
	if (c->issuer[0] == '\0')
		return err_set(e, ERR_CONFIG, "signer.issuer: expected a name");
	if ((c->audit_key[0] == '\0') != (c->checkpoint_file[0] == '\0'))
		return err_set(e, ERR_CONFIG, "signer.audit_key and signer.checkpoint_file: expected both or none");
	return true;
}

const struct metric_def signer_metric_defs[SIGNER_METRICS] = {
	[SM_SIGNED] = {"coldfleet_signer_signed_total", METRIC_COUNTER, "Commands signed and stored", NULL},
	[SM_REFUSED] = {"coldfleet_signer_refused_total", METRIC_COUNTER,
			"Commands that the signer's own check refused to sign", NULL},
	[SM_STALE] = {"coldfleet_signer_stale_total", METRIC_COUNTER,
		      "Signatures not stored because the command had gone on without them", NULL},
	[SM_SIGN_SECONDS] = {"coldfleet_signer_batch_seconds", METRIC_SECONDS,
			     "From a batch being taken to its signatures being committed", NULL},
	[SM_CHECKPOINTS] = {"coldfleet_signer_checkpoints_total", METRIC_COUNTER, "Audit checkpoints signed", NULL},
	[SM_CHAIN_NUMBER] = {"coldfleet_signer_chain_number", METRIC_GAUGE, "Number of the last audit entry verified",
			     NULL},
	[SM_CHAIN_BROKEN] = {"coldfleet_signer_chain_broken", METRIC_GAUGE,
			     "1 when the audit chain does not verify: no checkpoint is signed until it does", NULL},
};
