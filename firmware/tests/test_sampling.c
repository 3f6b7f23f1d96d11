#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/bounds.h"
#include "core/sampling.h"

#define UNIX_MS 1780000000000LL

/* The moment of the next sample; the loop comes as late as it likes. */
static uint64_t next(sampling_t *sampling, uint64_t late_ms)
{
    const uint64_t due_ms = sampling->next_ms;
    assert_false(sampling_due(sampling, due_ms - 1));
    assert_true(sampling_due(sampling, due_ms + late_ms));
    assert_false(sampling_due(sampling, due_ms + late_ms));
    return due_ms + late_ms;
}

static void the_first_sample_is_one_to_two_seconds_after_power_up(void **state)
{
    (void)state;
    sampling_t sampling;
    sampling_init(&sampling, 500, 60, 0);
    assert_int_equal(sampling.next_ms, 500 + SAMPLING_FIRST_MIN_MS);
    sampling_init(&sampling, 500, 60, UINT32_MAX);
    assert_int_equal(sampling.next_ms, 500 + SAMPLING_FIRST_MAX_MS);
}

static void then_each_interval_without_drift(void **state)
{
    (void)state;
    sampling_t sampling;
    sampling_init(&sampling, 0, 60, 0);
    for (uint64_t i = 0; i < 100; i++) {
        assert_int_equal(next(&sampling, i % 7), SAMPLING_FIRST_MIN_MS + i * 60000 + i % 7);
    }
}

static void what_a_sleep_of_a_month_missed_is_one_sample(void **state)
{
    (void)state;
    sampling_t sampling;
    sampling_init(&sampling, 0, 60, 0);
    const uint64_t month_ms = 30ULL * 86400 * 1000;
    assert_int_equal(next(&sampling, month_ms), SAMPLING_FIRST_MIN_MS + month_ms);
    assert_int_equal(sampling.next_ms, SAMPLING_FIRST_MIN_MS + month_ms + 60000);
}

static void a_sample_that_came_late_by_almost_an_interval_is_not_followed_within_its_second(void **state)
{
    (void)state;
    sampling_t sampling;
    sampling_init(&sampling, 0, 5, 0);
    const uint64_t last_ms = next(&sampling, 4999);
    assert_true(sampling.next_ms >= last_ms + SAMPLING_GAP_MS);
}

static void a_shorter_interval_counts_at_once(void **state)
{
    (void)state;
    sampling_t sampling;
    sampling_init(&sampling, 0, 86400, 0);
    uint64_t now_ms = next(&sampling, 0) + 3600 * 1000;
    sampling_set_interval(&sampling, now_ms, 60);
    assert_true(sampling.next_ms <= now_ms + 60000);
    now_ms = next(&sampling, 0);
    assert_int_equal(sampling.next_ms, now_ms + 60000);
}

static void an_interval_that_is_changed_again_and_again_measures_no_more_often_than_its_gap(void **state)
{
    (void)state;
    sampling_t sampling;
    sampling_init(&sampling, 0, INTERVAL_MIN_S, 0);
    uint64_t last_ms = 0;
    for (uint64_t now_ms = 0; now_ms < 600000; now_ms += 100) {
        if (sampling_due(&sampling, now_ms)) {
            assert_true(last_ms == 0 || now_ms >= last_ms + SAMPLING_GAP_MS);
            last_ms = now_ms;
        }
        if (now_ms % 700 == 0) {
            sampling_set_interval(&sampling, now_ms, now_ms % 1400 == 0 ? INTERVAL_MIN_S : 7);
        }
        if (now_ms % 300 == 0) {
            sampling_hurry(&sampling, now_ms);
        }
    }
}

static void somebody_in_a_hurry_gets_a_sample_at_once_and_not_two_of_a_second(void **state)
{
    (void)state;
    sampling_t sampling;
    sampling_init(&sampling, 0, 60, 0);
    sampling_hurry(&sampling, 10);
    assert_int_equal(next(&sampling, 0), 10);
    sampling_hurry(&sampling, 500);
    assert_int_equal(next(&sampling, 0), 10 + SAMPLING_GAP_MS);
    const uint64_t due_ms = sampling.next_ms;
    sampling_hurry(&sampling, due_ms + 5); /* already due: not put off */
    assert_int_equal(sampling.next_ms, due_ms);
}

static void the_first_sample_does_not_wait_for_its_place(void **state)
{
    (void)state;
    sampling_t sampling;
    sampling_init(&sampling, 0, 60, 0);
    sampling_align(&sampling, 0, UNIX_MS, 0x80000000U);
    assert_int_equal(sampling.next_ms, SAMPLING_FIRST_MIN_MS);
}

static void samples_then_lie_on_the_devices_own_place_of_the_wall_clock(void **state)
{
    (void)state;
    const uint32_t intervals_s[] = {INTERVAL_MIN_S, 7, 60, 3600, INTERVAL_MAX_S};
    for (size_t i = 0; i < sizeof(intervals_s) / sizeof(intervals_s[0]); i++) {
        const int64_t interval_ms = (int64_t)intervals_s[i] * 1000;
        for (uint32_t phase = 0; phase < 0xF0000000U; phase += 0x0FEDCBA9U) {
            sampling_t sampling;
            sampling_init(&sampling, 0, intervals_s[i], phase);
            const uint64_t last_ms = next(&sampling, 0);
            sampling_align(&sampling, last_ms, UNIX_MS, phase);
            const int64_t gap_ms = (int64_t)(sampling.next_ms - last_ms);
            assert_true(gap_ms >= SAMPLING_GAP_MS && gap_ms >= interval_ms / 2 && gap_ms <= interval_ms / 2 * 3 + 1);
            assert_int_equal((UNIX_MS + (int64_t)sampling.next_ms) % interval_ms,
                             (int64_t)(((uint64_t)phase * (uint64_t)interval_ms) >> 32));
            const uint64_t due_ms = sampling.next_ms;
            sampling_align(&sampling, last_ms, UNIX_MS, phase); /* again: nothing moves */
            assert_int_equal(sampling.next_ms, due_ms);
        }
    }
}

static void a_correction_just_after_a_sample_does_not_bring_the_same_second_again(void **state)
{
    (void)state;
    sampling_t sampling;
    sampling_init(&sampling, 0, 5, 0);
    int64_t offset_ms = UNIX_MS;
    int64_t last_s = 0;
    for (int i = 0; i < 5000; i++) {
        const uint64_t now_ms = next(&sampling, (uint64_t)(i % 11));
        const int64_t unix_s = ((int64_t)now_ms + offset_ms) / 1000;
        assert_true(unix_s > last_s);
        last_s = unix_s;
        offset_ms += (i * 7919) % 1999 - 999; /* less than CLOCK_STEP_MS either way */
        sampling_align(&sampling, now_ms, offset_ms, 0x12345678U);
    }
}

static void a_clock_before_1970_has_places_too(void **state)
{
    (void)state;
    sampling_t sampling;
    sampling_init(&sampling, 0, 60, 0);
    const uint64_t now_ms = next(&sampling, 0);
    sampling_align(&sampling, now_ms, -1000000123, 0);
    assert_int_equal(((int64_t)sampling.next_ms - 1000000123) % 60000, 0);
    assert_true(sampling.next_ms > now_ms);
}

static uint32_t apart(uint32_t a, uint32_t b)
{
    return a - b < b - a ? a - b : b - a; /* on a circle */
}

static bool share_a_second(uint32_t a, uint32_t b, uint32_t interval_s)
{
    return ((uint64_t)apart(a, b) * interval_s * 1000) >> 32 < 1000;
}

static void the_places_of_boots_in_a_row_never_share_a_second(void **state)
{
    (void)state;
    const struct {
        uint32_t interval_s, in_a_row;
    } rows[] = {{INTERVAL_MIN_S, 3}, {60, 22}, {3600, 1000}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        for (uint32_t first = 0; first < 2000; first++) {
            for (uint32_t boot = first + 1; boot < first + rows[i].in_a_row; boot++) {
                assert_false(
                    share_a_second(sampling_phase(77, first, 0), sampling_phase(77, boot, 0), rows[i].interval_s));
            }
        }
    }
    assert_int_equal(sampling_phase(5, 0, 0), 5);
}

static void nor_do_those_of_boots_with_steps_back(void **state)
{
    (void)state;
    for (uint32_t a = 0; a < 4 * 5; a++) {
        for (uint32_t b = 0; b < a; b++) {
            assert_false(share_a_second(sampling_phase(77, a / 5, a % 5), sampling_phase(77, b / 5, b % 5), 60));
        }
    }
    for (uint32_t steps = 1; steps <= 2; steps++) {
        assert_false(share_a_second(sampling_phase(77, 9, 0), sampling_phase(77, 9, steps), INTERVAL_MIN_S));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_sample_is_one_to_two_seconds_after_power_up),
        cmocka_unit_test(then_each_interval_without_drift),
        cmocka_unit_test(what_a_sleep_of_a_month_missed_is_one_sample),
        cmocka_unit_test(a_sample_that_came_late_by_almost_an_interval_is_not_followed_within_its_second),
        cmocka_unit_test(a_shorter_interval_counts_at_once),
        cmocka_unit_test(an_interval_that_is_changed_again_and_again_measures_no_more_often_than_its_gap),
        cmocka_unit_test(somebody_in_a_hurry_gets_a_sample_at_once_and_not_two_of_a_second),
        cmocka_unit_test(the_first_sample_does_not_wait_for_its_place),
        cmocka_unit_test(samples_then_lie_on_the_devices_own_place_of_the_wall_clock),
        cmocka_unit_test(a_correction_just_after_a_sample_does_not_bring_the_same_second_again),
        cmocka_unit_test(a_clock_before_1970_has_places_too),
        cmocka_unit_test(the_places_of_boots_in_a_row_never_share_a_second),
        cmocka_unit_test(nor_do_those_of_boots_with_steps_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
