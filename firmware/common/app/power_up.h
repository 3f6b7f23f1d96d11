/* What a port reads before it makes a device of its parts (app_options_t); the same on the chip and on a host. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "../core/bounds.h"
#include "../port/port_kv.h"

/* The gateway code of the factory image. False, and an empty text: there is none, or it is no code. */
bool power_up_gateway_code(const port_kv_t *factory, char out[CODE_MAX_CHARS + 1]);

/* Counts a start, over the device's life. False: the count can't be kept; the outbox gives itself another number then.
 */
bool power_up_count(const port_kv_t *kv, uint32_t *boots);

/* A device's own place, for spreading over time: FNV-1a (draft-eastlake-fnv) of its code, the same after every start.
 */
uint32_t power_up_place(const char *gateway_code);
