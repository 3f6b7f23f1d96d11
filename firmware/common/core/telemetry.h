/* The telemetry message of the contract, byte for byte as in testdata/wire/firmware.json. Pure. */
#pragma once

#include "sample.h"

/* `telemetry/<gateway>/<device>/data`. Length without the NUL, or 0 when it does not fit. */
size_t telemetry_topic(const char *gateway_code, const char *device_code, char *out, size_t cap_bytes);

/* The payload. `sample->moment` must be stamped. Length without the NUL, or 0: not stamped, no valid sample, does not
 * fit.
 */
size_t telemetry_payload(const char *gateway_code, const sample_t *sample, char *out, size_t cap_bytes);
