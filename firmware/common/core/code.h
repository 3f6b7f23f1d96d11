/* Codes of gateways and devices: `[A-Za-z0-9][A-Za-z0-9._-]{0,63}` (contract, "Telemetry over MQTT"). */
#pragma once

#include <stdbool.h>
#include <stddef.h>

bool code_is_valid(const char *text, size_t len_bytes);
