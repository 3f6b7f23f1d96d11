#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/wall_clock.h"

#define NOW_MS ((int64_t)1780000000 * 1000)
#define DAY_MS ((int64_t)24 * 3600 * 1000)

static void the_first_time_is_taken(void **state)
{
    (void)state;
    wall_clock_t clock = {0};
    assert_int_equal(wall_clock_set(&clock, 5000, NOW_MS), CLOCK_FIRST);
    assert_true(clock.known);
    assert_int_equal(clock.steps, 0);
    assert_true(wall_clock_unix_ms(&clock, 5000) == NOW_MS);
    assert_true(wall_clock_unix_ms(&clock, 65000) == NOW_MS + 60000);
    assert_true(wall_clock_unix_ms(&clock, 0) == NOW_MS - 5000);
}

static void a_time_before_this_was_written_is_none(void **state)
{
    (void)state;
    wall_clock_t clock = {0};
    int64_t earliest_ms = (int64_t)CLOCK_EARLIEST_UNIX_S * 1000;
    int64_t latest_ms = (int64_t)CLOCK_LATEST_UNIX_S * 1000;
    const int64_t refused[] = {INT64_MIN, -1, 0, earliest_ms - 1, latest_ms + 1, INT64_MAX};
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        assert_int_equal(wall_clock_set(&clock, 1, refused[i]), CLOCK_REFUSED);
        assert_false(clock.known);
    }
    assert_int_equal(wall_clock_set(&clock, 1, earliest_ms), CLOCK_FIRST);
    clock.known = false;
    assert_int_equal(wall_clock_set(&clock, 1, latest_ms), CLOCK_FIRST);
}

static void garbage_after_a_good_time_changes_nothing(void **state)
{
    (void)state;
    wall_clock_t clock = {0};
    assert_int_equal(wall_clock_set(&clock, 0, NOW_MS), CLOCK_FIRST);
    assert_int_equal(wall_clock_set(&clock, 1000, 0), CLOCK_REFUSED);
    assert_int_equal(wall_clock_set(&clock, UINT64_MAX, NOW_MS), CLOCK_REFUSED);
    assert_true(wall_clock_unix_ms(&clock, 1000) == NOW_MS + 1000);
    assert_int_equal(clock.steps, 0);
}

static void a_small_correction_is_no_step(void **state)
{
    (void)state;
    const int64_t corrections_ms[] = {0, 1, -1, 999, CLOCK_STEP_MS, -CLOCK_STEP_MS};
    for (size_t i = 0; i < sizeof(corrections_ms) / sizeof(corrections_ms[0]); i++) {
        wall_clock_t clock = {0};
        wall_clock_set(&clock, 0, NOW_MS);
        assert_int_equal(wall_clock_set(&clock, 60000, NOW_MS + 60000 + corrections_ms[i]), CLOCK_ADJUSTED);
        assert_true(wall_clock_unix_ms(&clock, 60000) == NOW_MS + 60000 + corrections_ms[i]);
        assert_int_equal(clock.steps, 0);
    }
}

static void a_large_correction_is_a_step_forward_or_back_and_is_counted(void **state)
{
    (void)state;
    wall_clock_t clock = {0};
    wall_clock_set(&clock, 0, NOW_MS);
    assert_int_equal(wall_clock_set(&clock, 10, NOW_MS + 10 + CLOCK_STEP_MS + 1), CLOCK_STEPPED_FORWARD);
    assert_int_equal(wall_clock_set(&clock, 20, NOW_MS + 20), CLOCK_STEPPED_BACK);
    assert_int_equal(wall_clock_set(&clock, 30, NOW_MS + 20000 * DAY_MS), CLOCK_STEPPED_FORWARD);
    assert_int_equal(wall_clock_set(&clock, 40, NOW_MS), CLOCK_STEPPED_BACK);
    assert_int_equal(clock.steps, 4);
    assert_true(wall_clock_unix_ms(&clock, 40) == NOW_MS);
}

static void a_counter_of_milliseconds_that_jumps_overflows_nothing(void **state)
{
    (void)state;
    wall_clock_t clock = {0};
    assert_int_equal(wall_clock_set(&clock, INT64_MAX, NOW_MS), CLOCK_FIRST);
    assert_true(wall_clock_unix_ms(&clock, INT64_MAX) == NOW_MS);
    assert_int_not_equal(wall_clock_set(&clock, 0, NOW_MS), CLOCK_REFUSED);
    assert_true(wall_clock_unix_ms(&clock, 0) == NOW_MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_time_is_taken),
        cmocka_unit_test(a_time_before_this_was_written_is_none),
        cmocka_unit_test(garbage_after_a_good_time_changes_nothing),
        cmocka_unit_test(a_small_correction_is_no_step),
        cmocka_unit_test(a_large_correction_is_a_step_forward_or_back_and_is_counted),
        cmocka_unit_test(a_counter_of_milliseconds_that_jumps_overflows_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
