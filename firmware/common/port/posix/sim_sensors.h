/* Sensors of a device that has none: what they say is a function of seed and time, so it is the same in every run, and
 * a meter goes on counting where it was. */
#pragma once

#include "../../drivers/sensors.h"

typedef struct {
    uint32_t seed;
    sensors_t sensors;
} sim_sensors_t;

void sim_sensors_init(sim_sensors_t *sim, uint32_t seed);

/* Pure, for tests. */
void sim_meter(uint32_t seed, uint64_t unix_ms, meter_values_t *out);
void sim_position(uint32_t seed, uint64_t unix_ms, position_values_t *out);
void sim_modem(uint32_t seed, uint64_t unix_ms, modem_values_t *out);
void sim_relay(uint32_t seed, uint64_t unix_ms, relay_values_t *out);
