/* The partition `outbox` of a family's partitions.csv holds what it measures in a day without a connection; built once
 * for each family. */
#include "board.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/health.h"
#include "core/outbox.h"
#include "port/fake/fake_flash.h"

#define MINUTES (24 * 60)
#define MS_PER_MINUTE 60000U
#define FIRST_UNIX_S 1780000000 /* 2026-05-28 */

/* As long as they get after years of counting. */
static bool meter(void *ctx, meter_values_t *out)
{
    (void)ctx;
    *out = (meter_values_t){999999999, -99999, 2399, 99999, -999};
    return true;
}

static bool position(void *ctx, position_values_t *out)
{
    (void)ctx;
    *out = (position_values_t){-33550000, -46633000, 99999, 12};
    return true;
}

static bool modem(void *ctx, modem_values_t *out)
{
    (void)ctx;
    *out = (modem_values_t){-140, -20};
    return true;
}

static bool relay(void *ctx, relay_values_t *out)
{
    (void)ctx;
    *out = (relay_values_t){.voltage_dv = {2399, 2399, 2399},
                            .current_ma = {99999, 99999, 99999},
                            .frequency_mhz = 60010,
                            .is_on = true,
                            .starts = 999999,
                            .trips = 99999};
    return true;
}

static const sensors_t s_sensors = {.meter = meter, .position = position, .modem = modem, .relay = relay};

static health_t health_of(uint32_t minute)
{
    return (health_t){.has_signal = true,
                      .signal_dbm = -99,
                      .free_bytes = 199999,
                      .free_min_bytes = 99999,
                      .uptime_s = 31536000ULL + minute * 60,
                      .reconnects = 9999,
                      .outbox_depth = 9999,
                      .dropped = 9999,
                      .boots = 9999,
                      .boot_reason = 11,
                      .clock_steps = 99,
                      .last_failure = FAILURE_TIMEOUT,
                      .storage_failures = 9};
}

static fake_flash_t s_flash;
static outbox_t s_box;

static void keep(sample_t *sample, uint32_t minute)
{
    sample->moment = (moment_t){.stamped = true, .unix_s = FIRST_UNIX_S + (int64_t)minute * 60};
    assert_true(outbox_put(&s_box, sample));
}

static uint32_t measure_for(uint32_t minutes)
{
    uint32_t kept = 0;
    sample_t sample;
    for (uint32_t minute = 0; minute < minutes; minute++) {
        for (uint8_t i = 0; board()->measure(board()->ctx, i, "MEDIDOR.1", minute * MS_PER_MINUTE, &sample); i++) {
            keep(&sample, minute);
            kept++;
        }
        const health_t health = health_of(minute);
        assert_true(health_sample(&health, &sample));
        keep(&sample, minute);
        kept++;
    }
    return kept;
}

static void a_day_without_a_connection_is_kept_whole(void **state)
{
    (void)state;
    uint8_t *medium = malloc(OUTBOX_PARTITION_BYTES);
    assert_non_null(medium);
    fake_flash_init(&s_flash, medium, OUTBOX_PARTITION_BYTES, 1);
    fake_flash_blank(&s_flash);
    assert_true(outbox_mount(&s_box, &s_flash.port, 1));
    board_use(&s_sensors);
    uint32_t kept = measure_for(MINUTES);
    assert_int_equal(outbox_depth(&s_box), kept);
    assert_int_equal(s_box.dropped, 0);
    assert_int_equal(s_flash.misuses, 0);
    free(medium);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_day_without_a_connection_is_kept_whole)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
