/* SPDX-License-Identifier: Apache-2.0
 *
 * The controller's memory as bytes: deterministic CBOR and a SHA-256 behind it. */
#ifndef COLDFLEET_TRACKER_MCU_IMAGE_H
#define COLDFLEET_TRACKER_MCU_IMAGE_H

#include "tests/tracker/mcu.h"

#define MCU_IMAGE_MAX (256 * 1024)

bool mcu_image_write(const struct mcu_state *s, uint8_t *out, size_t cap, size_t *len, struct err *e);
/* Into zeroed memory. On failure what was read so far is in *s, to be freed with the rest. */
bool mcu_image_read(const uint8_t *bytes, size_t len, struct mcu_state *s, struct err *e);

#endif
