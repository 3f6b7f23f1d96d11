#include "sim_sensors.h"

#include <time.h>

#include "sim_noise.h"

#define HOUR_MS 3600000ULL
#define METER_MOUNTED_MS 1735689600000ULL /* 2025-01-01: its count begins there */
#define MEAN_MIN_W 300
#define MEAN_SPREAD_W 2400
/* Shares of the mean load. A wave of share s moves the power by 3 s at most: together less than 1, so that the power is
 * never negative and the count never falls. */
#define SLOW_MS (5 * HOUR_MS + 17 * 60000) /* no whole part of a day: no two days are alike */
#define SLOW_PERCENT 22
#define FAST_MS (13 * 60000ULL)
#define FAST_PERCENT 8
#define NOMINAL_LOW_DV 1270 /* Brazil has both */
#define NOMINAL_HIGH_DV 2200
#define VOLTAGE_NOISE_PERMILLE 18
#define VOLTAGE_CHANGES_MS 97000
#define NOMINAL_MHZ 60000
#define FREQUENCY_NOISE_MHZ 60
#define FREQUENCY_CHANGES_MS 41000

enum { SEED_MEAN, SEED_NOMINAL, SEED_LATITUDE, SEED_LONGITUDE, SEED_ALTITUDE };
enum { NOISE_SLOW = 1, NOISE_FAST, NOISE_VOLTAGE, NOISE_FACTOR, NOISE_SKY, NOISE_CELL, NOISE_FREQUENCY, NOISE_PHASE };

static int64_t mean_w(uint32_t seed)
{
    return MEAN_MIN_W + sim_hash(seed, SEED_MEAN) % MEAN_SPREAD_W;
}

/* How far the count is ahead of its mean through one wave, in milliwatt hours. */
static int64_t wave_mwh(int64_t mean, uint32_t seed, uint64_t at_ms, uint64_t period_ms, int64_t percent)
{
    int64_t most_mwh = mean * percent * (int64_t)(period_ms / 1000) / 360;
    return most_mwh * sim_noise_micro(seed, at_ms, period_ms) / 1000000;
}

static int64_t wave_permille(uint32_t seed, uint64_t at_ms, uint64_t period_ms, int64_t percent)
{
    return percent * sim_noise_slope_milli(seed, at_ms, period_ms) / 100;
}

void sim_meter(uint32_t seed, uint64_t unix_ms, meter_values_t *out)
{
    uint64_t on_ms = unix_ms > METER_MOUNTED_MS ? unix_ms - METER_MOUNTED_MS : 0;
    int64_t mean = mean_w(seed);
    /* Two hours more than it was on: the waves never take it below 0. */
    int64_t count_mwh = mean * (int64_t)(on_ms + 2 * HOUR_MS) / 3600 +
                        wave_mwh(mean, seed + NOISE_SLOW, on_ms, SLOW_MS, SLOW_PERCENT) +
                        wave_mwh(mean, seed + NOISE_FAST, on_ms, FAST_MS, FAST_PERCENT);
    int64_t permille = 1000 + wave_permille(seed + NOISE_SLOW, on_ms, SLOW_MS, SLOW_PERCENT) +
                       wave_permille(seed + NOISE_FAST, on_ms, FAST_MS, FAST_PERCENT);
    int64_t nominal = sim_hash(seed, SEED_NOMINAL) % 2 == 0 ? NOMINAL_LOW_DV : NOMINAL_HIGH_DV;
    int64_t noise = sim_noise_milli(seed + NOISE_VOLTAGE, on_ms, VOLTAGE_CHANGES_MS);
    int64_t sag_permille = (permille - 1000) * 8 / 1000; /* under load */
    out->energy_wh = count_mwh / 1000;
    out->power_dw = (int32_t)(mean * permille / 100);
    out->voltage_dv =
        (int32_t)(nominal * (1000 - sag_permille) / 1000 + nominal * VOLTAGE_NOISE_PERMILLE * noise / 1000000);
    out->power_factor_milli = 920 + sim_noise_milli(seed + NOISE_FACTOR, on_ms, VOLTAGE_CHANGES_MS) * 60 / 1000;
    /* mA = mW / (V × factor) */
    out->current_ma =
        (int32_t)((int64_t)out->power_dw * 100 * 10000 / ((int64_t)out->voltage_dv * out->power_factor_milli));
}

void sim_position(uint32_t seed, uint64_t unix_ms, position_values_t *out)
{
    /* Somewhere in the state of São Paulo; a receiver that stands still wanders a few metres. */
    out->latitude_udeg = -22500000 - (int32_t)(sim_hash(seed, SEED_LATITUDE) % 1200000) +
                         sim_noise_milli(seed + NOISE_SKY, unix_ms, 120000) / 40;
    out->longitude_udeg = -47000000 - (int32_t)(sim_hash(seed, SEED_LONGITUDE) % 3000000) +
                          sim_noise_milli(seed + NOISE_SKY + 1000, unix_ms, 150000) / 40;
    out->altitude_dm = 5000 + (int32_t)(sim_hash(seed, SEED_ALTITUDE) % 3000) +
                       sim_noise_milli(seed + NOISE_SKY + 2000, unix_ms, 90000) / 12;
    out->satellites = (uint8_t)(9 + sim_noise_milli(seed + NOISE_SKY + 3000, unix_ms, 600000) / 250);
}

void sim_modem(uint32_t seed, uint64_t unix_ms, modem_values_t *out)
{
    int32_t noise = sim_noise_milli(seed + NOISE_CELL, unix_ms, 300000);
    out->rsrp_dbm = (int16_t)(-98 + noise * 9 / 1000);
    out->rsrq_db = (int16_t)(-11 + noise * 3 / 1000);
}

void sim_relay(uint32_t seed, uint64_t unix_ms, relay_values_t *out)
{
    for (uint32_t i = 0; i < PHASES; i++) {
        meter_values_t phase;
        sim_meter(seed, unix_ms, &phase);
        int64_t noise = sim_noise_milli(seed + NOISE_PHASE + i, unix_ms, VOLTAGE_CHANGES_MS);
        out->voltage_dv[i] = (int32_t)(phase.voltage_dv + NOMINAL_HIGH_DV * 4 * noise / 1000000);
        out->current_ma[i] = (int32_t)(phase.current_ma + phase.current_ma * 20 * noise / 1000000);
    }
    out->frequency_mhz = NOMINAL_MHZ + FREQUENCY_NOISE_MHZ *
                                           sim_noise_milli(seed + NOISE_FREQUENCY, unix_ms, FREQUENCY_CHANGES_MS) /
                                           1000;
    out->is_on = true;
    out->starts = 1;
    out->trips = 0;
}

static uint64_t unix_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static bool meter(void *ctx, meter_values_t *out)
{
    const sim_sensors_t *sim = ctx;
    sim_meter(sim->seed, unix_ms(), out);
    return true;
}

static bool position(void *ctx, position_values_t *out)
{
    const sim_sensors_t *sim = ctx;
    sim_position(sim->seed, unix_ms(), out);
    return true;
}

static bool modem(void *ctx, modem_values_t *out)
{
    const sim_sensors_t *sim = ctx;
    sim_modem(sim->seed, unix_ms(), out);
    return true;
}

static bool relay(void *ctx, relay_values_t *out)
{
    const sim_sensors_t *sim = ctx;
    sim_relay(sim->seed, unix_ms(), out);
    return true;
}

void sim_sensors_init(sim_sensors_t *sim, uint32_t seed)
{
    *sim = (sim_sensors_t){.seed = seed};
    sim->sensors = (sensors_t){.ctx = sim, .meter = meter, .position = position, .modem = modem, .relay = relay};
}
