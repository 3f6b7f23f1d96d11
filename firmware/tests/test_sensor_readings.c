#include "drivers/sensor_readings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static sample_t s_sample;
static bool s_answers;

static bool meter(void *ctx, meter_values_t *out)
{
    (void)ctx;
    *out = (meter_values_t){
        .energy_wh = 123450, .power_dw = -15, .voltage_dv = 2201, .current_ma = 4040, .power_factor_milli = -920};
    return s_answers;
}

static bool position(void *ctx, position_values_t *out)
{
    (void)ctx;
    *out = (position_values_t){
        .latitude_udeg = -23550520, .longitude_udeg = -46633308, .altitude_dm = 7605, .satellites = 9};
    return s_answers;
}

static bool modem(void *ctx, modem_values_t *out)
{
    (void)ctx;
    *out = (modem_values_t){.rsrp_dbm = -101, .rsrq_db = -11};
    return s_answers;
}

static bool relay(void *ctx, relay_values_t *out)
{
    (void)ctx;
    *out = (relay_values_t){.voltage_dv = {2200, 2201, 2202},
                            .current_ma = {1, 2, 3},
                            .frequency_mhz = 59987,
                            .is_on = true,
                            .starts = 4,
                            .trips = 5};
    return s_answers;
}

static const sensors_t ALL = {.meter = meter, .position = position, .modem = modem, .relay = relay};
static const sensors_t NONE;

static int begin(void **state)
{
    (void)state;
    s_answers = true;
    return sample_init(&s_sample, "D01") ? 0 : -1;
}

static void assert_reading(size_t place, const char *tipo, const char *unidade, int64_t digits, uint8_t places)
{
    assert_true(place < s_sample.count);
    const reading_t *reading = &s_sample.readings[place];
    assert_string_equal(reading->tipo, tipo);
    assert_string_equal(reading->unidade, unidade);
    assert_true(reading->valor.digits == digits);
    assert_int_equal(reading->valor.places, places);
}

static void a_meter_gives_five_readings(void **state)
{
    (void)state;
    sensor_readings_meter(&ALL, &s_sample);
    assert_int_equal(s_sample.count, 5);
    assert_reading(0, "energia", "kWh", 123450, 3);
    assert_reading(1, "potencia", "W", -15, 1);
    assert_reading(2, "tensao", "V", 2201, 1);
    assert_reading(3, "corrente", "A", 4040, 3);
    assert_reading(4, "fator_potencia", "", -920, 3);
}

static void a_position_is_in_degrees(void **state)
{
    (void)state;
    sensor_readings_position(&ALL, &s_sample);
    assert_int_equal(s_sample.count, 4);
    assert_reading(0, "latitude", "°", -23550520, 6);
    assert_reading(1, "longitude", "°", -46633308, 6);
    assert_reading(2, "altitude", "m", 7605, 1);
    assert_reading(3, "satelites", "", 9, 0);
}

static void a_modem_gives_its_signal(void **state)
{
    (void)state;
    sensor_readings_modem(&ALL, &s_sample);
    assert_int_equal(s_sample.count, 2);
    assert_reading(0, "rsrp", "dBm", -101, 0);
    assert_reading(1, "rsrq", "dB", -11, 0);
}

static void a_relay_gives_three_phases_and_its_state(void **state)
{
    (void)state;
    sensor_readings_relay(&ALL, &s_sample);
    assert_int_equal(s_sample.count, 10);
    assert_reading(0, "tensao_a", "V", 2200, 1);
    assert_reading(5, "corrente_c", "A", 3, 3);
    assert_reading(6, "frequencia", "Hz", 59987, 3);
    assert_reading(7, "rele_ligado", "", 1, 0);
    assert_reading(8, "partidas_motor", "", 4, 0);
    assert_reading(9, "disparos", "", 5, 0);
}

static void assert_nothing(const sensors_t *sensors)
{
    sensor_readings_meter(sensors, &s_sample);
    sensor_readings_position(sensors, &s_sample);
    sensor_readings_modem(sensors, &s_sample);
    sensor_readings_relay(sensors, &s_sample);
    assert_int_equal(s_sample.count, 0);
}

static void a_sensor_that_does_not_answer_is_left_out(void **state)
{
    (void)state;
    s_answers = false;
    assert_nothing(&ALL);
}

static void what_is_not_connected_is_left_out(void **state)
{
    (void)state;
    assert_nothing(&NONE);
    assert_nothing(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_meter_gives_five_readings, begin),
        cmocka_unit_test_setup(a_position_is_in_degrees, begin),
        cmocka_unit_test_setup(a_modem_gives_its_signal, begin),
        cmocka_unit_test_setup(a_relay_gives_three_phases_and_its_state, begin),
        cmocka_unit_test_setup(a_sensor_that_does_not_answer_is_left_out, begin),
        cmocka_unit_test_setup(what_is_not_connected_is_left_out, begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
