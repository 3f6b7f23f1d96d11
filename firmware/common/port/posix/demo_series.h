/* What a device of the demo measures: the values of `./tds simulate` (src/tds/simulator/series.py, which says why each
 * is as it is) to the last digit, as functions of codes and time. A test holds the two together. */
#pragma once

#include <stdint.h>

typedef struct {
    double temperature_mean_c, temperature_swing_c, weather_phase;
    double load_mean_kw, load_phase, restless_s;
    double counter_start_kwh, nominal_v;
    uint64_t temperature_noise, humidity_noise, voltage_noise;
} demo_series_t;

void demo_series_init(demo_series_t *series, const char *gateway_code, const char *device_code);

/* At a full second, as the times of messages are. */
double demo_temperature_c(const demo_series_t *series, int64_t unix_s); /* shown with 1 place */
double demo_humidity_pct(const demo_series_t *series, int64_t unix_s);  /* 1 */
double demo_energy_kwh(const demo_series_t *series, int64_t unix_s);    /* 3 */
double demo_voltage_v(const demo_series_t *series, int64_t unix_s);     /* 1 */
