#include "port/posix/sim_noise.h"
#include "port/posix/sim_sensors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define NOW_MS 1795000000000ULL
#define DAY_MS 86400000ULL
#define SEEDS 12

static void a_meter_never_counts_back_and_agrees_with_its_power(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < SEEDS; i++) {
        const uint32_t seed = sim_hash(1, i);
        meter_values_t values;
        sim_meter(seed, NOW_MS, &values);
        const int64_t from_wh = values.energy_wh;
        int64_t last_wh = from_wh, integral_dws = 0;
        for (uint64_t at_ms = NOW_MS; at_ms < NOW_MS + DAY_MS; at_ms += 5000) {
            sim_meter(seed, at_ms, &values);
            assert_true(values.energy_wh >= last_wh);
            assert_true(values.power_dw > 0);
            last_wh = values.energy_wh;
            integral_dws += (int64_t)values.power_dw * 5;
        }
        const int64_t counted_wh = last_wh - from_wh, integral_wh = integral_dws / 36000;
        assert_true(llabs(counted_wh - integral_wh) <= 2 + counted_wh / 500);
    }
}

static void voltage_and_current_are_believable(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < SEEDS; i++) {
        meter_values_t values;
        sim_meter(sim_hash(2, i), NOW_MS + i * 977, &values);
        const int32_t nominal_dv = values.voltage_dv > 1700 ? 2200 : 1270;
        assert_true(abs(values.voltage_dv - nominal_dv) < nominal_dv / 20);
        assert_in_range(values.power_factor_milli, 800, 1000);
        /* P = U × I × cos φ, in milliwatts */
        const int64_t power_mw = (int64_t)values.voltage_dv * values.current_ma / 10 * values.power_factor_milli / 1000;
        assert_true(llabs(power_mw - (int64_t)values.power_dw * 100) < 1000 + power_mw / 500);
    }
}

static void the_same_seed_and_moment_give_the_same_values(void **state)
{
    (void)state;
    position_values_t one, other;
    modem_values_t modem;
    sim_position(3, NOW_MS, &one);
    sim_position(3, NOW_MS, &other);
    assert_int_equal(one.latitude_udeg, other.latitude_udeg);
    assert_int_equal(one.altitude_dm, other.altitude_dm);
    sim_position(4, NOW_MS, &other);
    assert_true(one.latitude_udeg != other.latitude_udeg);
    sim_modem(3, NOW_MS, &modem);
    assert_true(modem.rsrp_dbm > -110 && modem.rsrp_dbm < -85);
}

static void a_position_wanders_a_few_metres(void **state)
{
    (void)state;
    position_values_t first, now;
    sim_position(5, NOW_MS, &first);
    for (uint64_t at_ms = NOW_MS; at_ms < NOW_MS + DAY_MS; at_ms += 60000) {
        sim_position(5, at_ms, &now);
        assert_true(abs(now.latitude_udeg - first.latitude_udeg) < 60);
        assert_true(abs(now.longitude_udeg - first.longitude_udeg) < 60);
        assert_in_range(now.satellites, 5, 13);
    }
}

static void a_relay_measures_three_phases_around_60_hz(void **state)
{
    (void)state;
    relay_values_t values;
    sim_relay(6, NOW_MS, &values);
    assert_true(values.is_on);
    assert_true(abs(values.frequency_mhz - 60000) <= 60);
    assert_true(abs(values.voltage_dv[0] - values.voltage_dv[2]) < 40);
}

static void noise_is_smooth_and_within_its_bounds(void **state)
{
    (void)state;
    int32_t last = sim_noise_milli(7, 0, 60000);
    for (uint64_t at_ms = 0; at_ms < 6000000; at_ms += 500) {
        const int32_t now = sim_noise_milli(7, at_ms, 60000);
        assert_true(now >= -1000 && now <= 1000);
        assert_true(abs(now - last) <= 30); /* 3 a period at most, of which this is a 120th */
        last = now;
    }
}

static void before_it_was_mounted_a_meter_stands_still(void **state)
{
    (void)state;
    meter_values_t values;
    sim_meter(8, 0, &values);
    assert_true(values.energy_wh >= 0);
}

static void the_sensors_of_a_host_all_answer(void **state)
{
    (void)state;
    sim_sensors_t sim;
    meter_values_t meter;
    position_values_t position;
    modem_values_t modem;
    relay_values_t relay;
    sim_sensors_init(&sim, 9);
    assert_true(sim.sensors.meter(sim.sensors.ctx, &meter));
    assert_true(sim.sensors.position(sim.sensors.ctx, &position));
    assert_true(sim.sensors.modem(sim.sensors.ctx, &modem));
    assert_true(sim.sensors.relay(sim.sensors.ctx, &relay));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_meter_never_counts_back_and_agrees_with_its_power),
        cmocka_unit_test(voltage_and_current_are_believable),
        cmocka_unit_test(the_same_seed_and_moment_give_the_same_values),
        cmocka_unit_test(a_position_wanders_a_few_metres),
        cmocka_unit_test(a_relay_measures_three_phases_around_60_hz),
        cmocka_unit_test(noise_is_smooth_and_within_its_bounds),
        cmocka_unit_test(before_it_was_mounted_a_meter_stands_still),
        cmocka_unit_test(the_sensors_of_a_host_all_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
