/* The readings of a sensor, by the names and units that the platform knows. What does not answer is left out. */
#pragma once

#include "../core/sample.h"
#include "sensors.h"

#define GPS_DEVICE_CODE "GPS"
#define MODEM_DEVICE_CODE "MODEM"

void sensor_readings_meter(const sensors_t *sensors, sample_t *out);
void sensor_readings_position(const sensors_t *sensors, sample_t *out);
void sensor_readings_modem(const sensors_t *sensors, sample_t *out);
void sensor_readings_relay(const sensors_t *sensors, sample_t *out);
