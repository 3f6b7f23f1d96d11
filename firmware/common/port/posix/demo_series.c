#include "demo_series.h"

#include <math.h>
#include <stddef.h>

#include "demo_noise.h"

#define TURN (2.0 * 3.14159265358979323846)
#define DAY_S 86400.0
#define WEEK_S (7.0 * DAY_S)
#define WEATHER_S (5.3 * DAY_S)
#define LOCAL_OFFSET_S (-10800.0) /* Brasília */
#define WARMEST_S (15.0 * 3600.0)
#define BUSIEST_S (19.0 * 3600.0)
#define METER_MOUNTED_S 1577836800.0 /* 2020-01-01 */
#define SHARE_DAILY 0.45
#define SHARE_HALF_DAILY 0.25
#define SHARE_WEEKLY 0.10
#define SHARE_RESTLESS 0.15

/* The number is unsigned in Python too, after its mask. */
static double centred(uint64_t key, int64_t unix_s)
{
    return demo_noise_centred(key, (uint64_t)(unix_s * 1000));
}

void demo_series_init(demo_series_t *series, const char *gateway_code, const char *device_code)
{
    const uint64_t key = demo_noise_key("device", gateway_code, device_code);
    *series = (demo_series_t){
        .temperature_mean_c = 21.0 + 6.0 * demo_noise_unit(key, 1),
        .temperature_swing_c = 3.0 + 3.0 * demo_noise_unit(key, 2),
        .weather_phase = TURN * demo_noise_unit(key, 3),
        .load_mean_kw = 0.3 + 2.7 * demo_noise_unit(key, 4),
        .load_phase = 0.6 * demo_noise_centred(key, 5),
        .restless_s = 4000.0 + 3000.0 * demo_noise_unit(key, 6),
        .counter_start_kwh = round(5000000.0 * demo_noise_unit(key, 7)) / 1000.0,
        .nominal_v = demo_noise_unit(demo_noise_key("supply", gateway_code, NULL), 0) < 0.5 ? 127.0 : 220.0,
        .temperature_noise = demo_noise_key("temperatura", gateway_code, device_code),
        .humidity_noise = demo_noise_key("umidade", gateway_code, device_code),
        .voltage_noise = demo_noise_key("tensao", gateway_code, device_code),
    };
}

static double climate_c(const demo_series_t *series, double at_s)
{
    const double day = TURN * ((at_s + LOCAL_OFFSET_S - WARMEST_S) / DAY_S);
    const double weather = TURN * at_s / WEATHER_S + series->weather_phase;
    return series->temperature_mean_c + series->temperature_swing_c * cos(day) + 1.8 * sin(weather);
}

typedef struct {
    double day, week, restless;
} angles_t;

static angles_t load_angles(const demo_series_t *series, double at_s)
{
    const double local_s = at_s + LOCAL_OFFSET_S;
    return (angles_t){.day = TURN * (local_s - BUSIEST_S) / DAY_S + series->load_phase,
                      .week = TURN * (local_s + DAY_S / 2.0) / WEEK_S, /* the epoch was a Thursday */
                      .restless = TURN * local_s / series->restless_s};
}

static double load_kw(const demo_series_t *series, double at_s)
{
    const angles_t angles = load_angles(series, at_s);
    return series->load_mean_kw * (1.0 + SHARE_DAILY * cos(angles.day) + SHARE_HALF_DAILY * cos(2.0 * angles.day) +
                                   SHARE_WEEKLY * cos(angles.week) + SHARE_RESTLESS * cos(angles.restless));
}

static double load_integral_kws(const demo_series_t *series, double at_s)
{
    const angles_t angles = load_angles(series, at_s);
    return series->load_mean_kw * (at_s + SHARE_DAILY * sin(angles.day) * DAY_S / TURN +
                                   SHARE_HALF_DAILY * sin(2.0 * angles.day) * DAY_S / (2.0 * TURN) +
                                   SHARE_WEEKLY * sin(angles.week) * WEEK_S / TURN +
                                   SHARE_RESTLESS * sin(angles.restless) * series->restless_s / TURN);
}

double demo_temperature_c(const demo_series_t *series, int64_t unix_s)
{
    return climate_c(series, (double)unix_s) + 0.25 * centred(series->temperature_noise, unix_s);
}

double demo_humidity_pct(const demo_series_t *series, int64_t unix_s)
{
    const double warmth_c = climate_c(series, (double)unix_s) - series->temperature_mean_c;
    return fmin(100.0, fmax(5.0, 62.0 - 2.4 * warmth_c + 1.5 * centred(series->humidity_noise, unix_s)));
}

double demo_energy_kwh(const demo_series_t *series, int64_t unix_s)
{
    const double to_s = fmax((double)unix_s, METER_MOUNTED_S);
    const double kws = load_integral_kws(series, to_s) - load_integral_kws(series, METER_MOUNTED_S);
    return series->counter_start_kwh + kws / 3600.0;
}

double demo_voltage_v(const demo_series_t *series, int64_t unix_s)
{
    const double sag = 0.008 * (load_kw(series, (double)unix_s) / series->load_mean_kw - 1.0);
    return series->nominal_v * (1.0 - sag + 0.012 * centred(series->voltage_noise, unix_s));
}
