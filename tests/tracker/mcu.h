/* SPDX-License-Identifier: Apache-2.0
 *
 * What a tracker's own controller knows and never forgets: whether it is disabled, its configuration, its firmware,
 * whom it obeys, the counter of the last command, and what became of the last ones. Behind a file it survives a kill
 * at any instruction: the file is replaced as a whole, and every act is written to a log before it is carried out. */
#ifndef COLDFLEET_TRACKER_MCU_H
#define COLDFLEET_TRACKER_MCU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker-bridge/command_message.h"
#include "core/err.h"
#include "core/trust.h"

#define MCU_OUTCOMES   32
#define MCU_PENDING    8
#define MCU_SLOTS      2
#define MCU_RESULT_MAX 1024 /* bytes */

/* A command whose counter is kept and which has no outcome yet. */
struct mcu_pending {
	uint8_t *payload; /* as it was signed; owned */
	size_t payload_len;
	int64_t generation; /* of its newest sending, -1: not told */
};

struct mcu_outcome {
	uint8_t id[COMMAND_ID_BYTES];
	int64_t counter, generation;
	int64_t status;  /* COMMAND_SUCCEEDED, COMMAND_FAILED or COMMAND_REJECTED */
	bool told;       /* the broker has acknowledged the reply */
	char *reason;    /* owned; NULL: none */
	uint8_t *result; /* an encoded map, owned; NULL: none */
	size_t result_len;
};

/* For reading; changes go through the functions below, or are made by an act before mcu_done(). */
struct mcu_state {
	int64_t boot_count;     /* starts, this one included */
	int64_t running_since;  /* seconds since 1970: what was before was measured before a halt, or never */
	bool disabled, halted;  /* halted: it measures nothing; else its radio is silent but for commands */
	int64_t until;          /* seconds since 1970 when it goes on by itself, 0: only by enable */
	int64_t config_version; /* 0: the firmware's own */
	uint8_t *config;        /* an encoded map; owned, NULL: none */
	size_t config_len;
	char firmware[MCU_SLOTS][COMMAND_RELEASE_TEXT]; /* by slot: a version, or a release's SHA-256; "": empty */
	int64_t slot;                                   /* the running one */
	int64_t release_counter;
	int64_t epoch, counter; /* of the newest command */
	struct mcu_pending pending[MCU_PENDING];
	size_t pending_count;
	struct mcu_outcome outcomes[MCU_OUTCOMES]; /* a ring */
	size_t outcome_first, outcome_count;
	struct trust *trust; /* owned; NULL: it obeys nobody */
};

struct mcu;

/* `base` NULL: in memory only, and the count of starts is the number of seconds since 2020, which is higher at every
 * start, too. Else BASE.mcu and BASE.acts, made when missing; every opening is a start. The trust list
 * at `trust_path` (NULL: none) counts unless the file holds a newer one. NULL with `e`: a file cannot be read or
 * written, or is damaged: then nothing may be assumed about what it was told. */
struct mcu *mcu_open(const char *base, const char *trust_path, struct err *e);
void mcu_free(struct mcu **m);

const struct mcu_state *mcu_state(const struct mcu *m);
struct mcu_state *mcu_change(struct mcu *m); /* for acts */

bool mcu_measures(const struct mcu *m); /* takes samples */
bool mcu_speaks(const struct mcu *m);   /* sends telemetry and status */

/* The pending command with this id, or NULL. */
struct mcu_pending *mcu_find_pending(struct mcu *m, const uint8_t id[COMMAND_ID_BYTES]);
struct mcu_outcome *mcu_find_outcome(struct mcu *m, const uint8_t id[COMMAND_ID_BYTES]);

/* Keeps counter and command, on disk before it returns. ERR_OVERLOADED: too many are pending already. */
bool mcu_begin(struct mcu *m, const struct command_message *c, struct cbor_view payload, int64_t generation,
	       struct err *e);
/* Writes the act into the log: from here on a tracker that is killed will bring it to its end. After a power loss only
 * what mcu_done() kept counts. */
bool mcu_log_act(struct mcu *m, const struct command_message *c, struct err *e);
/* Whether the log holds this command. */
bool mcu_has_acted(const struct mcu *m, const uint8_t id[COMMAND_ID_BYTES]);
/* The command is over: its outcome takes the place of the oldest, and state and outcome are on disk together before it
 * returns. `result` may be empty. */
struct mcu_outcome *mcu_done(struct mcu *m, const struct command_message *c, int64_t status, const char *reason,
			     struct cbor_view result, struct err *e);
/* Keeps counter and refusal of a new command that is not carried out, on disk before it returns. */
struct mcu_outcome *mcu_refuse(struct mcu *m, const struct command_message *c, int64_t generation, const char *reason,
			       struct err *e);
/* Other changes (told, until, running_since): kept against a kill, not against power loss. */
bool mcu_save(struct mcu *m, struct err *e);

/* Counts a start of the controller alone. */
void mcu_reboot(struct mcu *m);

#endif
