/* What holds for each family's board; built once for each. */
#include "board.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/record.h"
#include "port/posix/sim_sensors.h"

#define DEVICES_MAX 8

static sim_sensors_t s_sim;

/* How many devices it has; each with `expected` readings at least. */
static uint8_t measure_all(uint8_t expected)
{
    uint8_t index = 0;
    sample_t sample;
    while (index < DEVICES_MAX && board()->measure(board()->ctx, index, "D01", 0, &sample)) {
        assert_true(code_is_valid(sample.device_code, strlen(sample.device_code)));
        assert_true(sample.count >= expected);
        index++;
    }
    return index;
}

static void it_says_which_family_it_is(void **state)
{
    (void)state;
    assert_string_equal(board()->family, FAMILY);
    assert_true(strlen(board()->hardware) > 0);
}

static void it_has_a_few_devices_and_then_no_more(void **state)
{
    (void)state;
    board_use(&s_sim.sensors);
    uint8_t devices = measure_all(1);
    assert_in_range(devices, 1, DEVICES_MAX - 1);
}

static void its_first_device_has_the_configured_code(void **state)
{
    (void)state;
    sample_t sample;
    board_use(&s_sim.sensors);
    assert_true(board()->measure(board()->ctx, 0, "MEDIDOR.1", 0, &sample));
    assert_string_equal(sample.device_code, "MEDIDOR.1");
}

static void without_sensors_its_samples_are_empty(void **state)
{
    (void)state;
    board_use(NULL);
    assert_true(measure_all(0) > 0);
    sample_t sample;
    assert_true(board()->measure(board()->ctx, 0, "D01", 0, &sample));
    assert_int_equal(sample.count, 0);
}

static void each_sample_is_one_that_the_outbox_keeps(void **state)
{
    (void)state;
    uint8_t record[RECORD_MAX_BYTES];
    sample_t sample;
    board_use(&s_sim.sensors);
    for (uint8_t i = 0; board()->measure(board()->ctx, i, "D01", 0, &sample); i++) {
        sample.moment = (moment_t){.stamped = true, .unix_s = 1771439400};
        assert_true(sample_is_valid(&sample));
        assert_true(record_encode(&sample, record, sizeof(record)) > 0);
    }
}

int main(void)
{
    sim_sensors_init(&s_sim, 7);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_says_which_family_it_is),
        cmocka_unit_test(it_has_a_few_devices_and_then_no_more),
        cmocka_unit_test(its_first_device_has_the_configured_code),
        cmocka_unit_test(without_sensors_its_samples_are_empty),
        cmocka_unit_test(each_sample_is_one_that_the_outbox_keeps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
