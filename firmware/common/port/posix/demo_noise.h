/* Repeatable chance as src/tds/simulator/noise.py has it: the same words and number give the same noise there and here,
 * so that a device goes on where a simulated history ended. */
#pragma once

#include <stdint.h>

/* A key for what the words name. At most DEMO_NOISE_MAX_BYTES in all; what is behind them does not count. */
#define DEMO_NOISE_MAX_BYTES 128
uint64_t demo_noise_key(const char *what, const char *gateway_code, const char *device_code); /* device_code or NULL */

double demo_noise_unit(uint64_t key, uint64_t number);    /* from 0 up to 1 */
double demo_noise_centred(uint64_t key, uint64_t number); /* from -1 to 1, the small values more likely */
