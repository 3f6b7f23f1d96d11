/* `status/<gateway_code>`, retained (docs/identity.md, "Presence"). A will has no time: it is written when the gateway
 * connects. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

size_t presence_topic(const char *gateway_code, char *out, size_t cap_bytes);
/* {"gateway_code":"GW-1","status":"online","timestamp":"…","firmware":"1.4.0","interval_s":60}; the timestamp is left
 * out while `unix_s` is 0, the firmware when it is NULL or empty, and the interval, by which the platform knows when
 * silence is too long, when it is 0. Length without the NUL; 0: no code, or it does not fit. */
size_t presence_payload(const char *gateway_code, bool online, int64_t unix_s, const char *firmware,
                        uint32_t interval_s, char *out, size_t cap_bytes);
