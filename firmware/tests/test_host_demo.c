/* What a device of the demo measures is what src/tds/simulator measures: the numbers here are of that. */
#include "port/posix/demo_board.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "port/posix/demo_noise.h"

#define LONG_CODE "GGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGG" /* of 64 characters */

static void a_key_is_the_simulators(void **state)
{
    (void)state;
    assert_true(demo_noise_key("device", "GW-DEMO-001", "D01") == 0x5eced017d57af49f);
    assert_true(demo_noise_key("supply", "GW-DEMO-001", NULL) == 0x7026b161cb1fa0a7);
    assert_true(demo_noise_key("temperatura", LONG_CODE, "D03") == 0xd1bc7074452732bb);
}

static void assert_measures(const char *gateway_code, const char *device_code, int64_t unix_s, const int64_t digits[4])
{
    static const char *const TIPOS[] = {"temperatura", "umidade", "energia", "tensao"};
    sample_t sample;
    assert_true(sample_init(&sample, device_code));
    demo_sample(gateway_code, unix_s, &sample);
    assert_int_equal(sample.count, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_string_equal(sample.readings[i].tipo, TIPOS[i]);
        assert_int_equal(sample.readings[i].valor.digits, digits[i]);
    }
}

static void a_value_is_the_simulators(void **state)
{
    (void)state;
    assert_measures("GW-DEMO-001", "D01", 1795659620, (const int64_t[]){219, 711, 96443010, 1281});
    /* A second before its meter was mounted. */
    assert_measures("GW-DEMO-002", "D03", 1577836799, (const int64_t[]){221, 658, 432524, 1267});
    assert_measures("GW-1", "D02", 1800000001, (const int64_t[]){223, 695, 167591179, 1269});
}

static bool measure_three(void *ctx, uint8_t index, const char *own_code, uint64_t since_boot_ms, sample_t *out)
{
    (void)ctx;
    (void)since_boot_ms;
    static const char *const CODES[] = {NULL, "GPS", "MODEM"};
    return index < 3 && sample_init(out, index == 0 ? own_code : CODES[index]);
}

static void its_sensors_take_the_place_of_a_boards_first_device_alone(void **state)
{
    (void)state;
    static const char *const WANTED[] = {"D01", "D02", "D03", "GPS", "MODEM"};
    const board_t under = {.family = "dcu-all", .hardware = "C", .has_modem = true, .measure = measure_three};
    demo_board_t demo;
    sample_t sample;
    const board_t *board = demo_board_init(&demo, &under, "GW-1");
    assert_string_equal(board->family, "dcu-all");
    assert_true(board->has_modem);
    assert_null(board->leds);
    for (uint8_t i = 0; i < 5; i++) {
        assert_true(board->measure(board->ctx, i, "MEDIDOR", 0, &sample));
        assert_string_equal(sample.device_code, WANTED[i]);
    }
    assert_false(board->measure(board->ctx, 5, "MEDIDOR", 0, &sample));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_is_the_simulators),
        cmocka_unit_test(a_value_is_the_simulators),
        cmocka_unit_test(its_sensors_take_the_place_of_a_boards_first_device_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
