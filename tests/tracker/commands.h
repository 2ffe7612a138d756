/* SPDX-License-Identifier: Apache-2.0
 *
 * The commands of coldfleet-tracker. Each parses its own options, prints its results, and returns whether all that it
 * was asked for was done. */
#ifndef COLDFLEET_TRACKER_COMMANDS_H
#define COLDFLEET_TRACKER_COMMANDS_H

#include <stdbool.h>
#include <stdint.h>

#include "broker-bridge/topic.h"
#include "core/err.h"

#define SERIAL_TEXT (TOPIC_SERIAL_MAX + 1)

bool command_run(int argc, char **argv, struct err *e);
bool command_replay(int argc, char **argv, struct err *e);
bool command_load(int argc, char **argv, struct err *e);
bool command_sink(int argc, char **argv, struct err *e);
bool command_flash(int argc, char **argv, struct err *e);
bool command_mint(int argc, char **argv, struct err *e);

void help_run(void);
void help_replay(void);
void help_load(void);
void help_sink(void);
void help_flash(void);
void help_mint(void);

/* PREFIX00001, the same for minting and running. */
bool serial_numbered(char out[SERIAL_TEXT], const char *prefix, int64_t n, struct err *e);

#endif
