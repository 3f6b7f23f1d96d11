/* When a device shows its other certificate. */
#include "core/pair_choice.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define NOW_S INT64_C(1780000000)
#define DAY_S 86400
#define REFUSED_MS ((uint64_t)PAIR_REFUSED_S * 1000)

static const pair_times_t GOOD = {NOW_S - DAY_S, NOW_S + DAY_S};

static pair_choice_t renewed(void)
{
    pair_choice_t choice;
    pair_choice_init(&choice, PAIR_RENEWED, 0);
    return choice;
}

static bool refused(pair_choice_t *choice, uint64_t now_ms)
{
    return pair_choice_failed(choice, FAILURE_TLS_OTHER, now_ms, &GOOD, NOW_S);
}

static void a_pair_that_is_refused_for_long_gives_way_to_the_other(void **state)
{
    (void)state;
    pair_choice_t choice = renewed();
    assert_false(refused(&choice, 5000));
    assert_false(refused(&choice, 5000 + REFUSED_MS / 2));
    assert_false(refused(&choice, 5000 + REFUSED_MS - 1));
    assert_true(refused(&choice, 5000 + REFUSED_MS));
    assert_int_equal(choice.in_use, PAIR_FACTORY);
    assert_int_equal(choice.changes, 1);
}

static void few_refusals_are_not_enough_however_long_it_takes(void **state)
{
    (void)state;
    pair_choice_t choice = renewed();
    for (uint64_t i = 1; i < PAIR_REFUSALS; i++) {
        assert_false(refused(&choice, i * 100 * REFUSED_MS));
    }
    assert_true(refused(&choice, PAIR_REFUSALS * 100 * REFUSED_MS));
}

static void many_refusals_in_a_short_time_are_not_enough(void **state)
{
    (void)state;
    pair_choice_t choice = renewed();
    for (uint64_t i = 0; i < 1000; i++) {
        assert_false(refused(&choice, i));
    }
    assert_int_equal(choice.in_use, PAIR_RENEWED);
}

static void a_pair_that_was_taken_begins_anew(void **state)
{
    (void)state;
    pair_choice_t choice = renewed();
    for (uint64_t i = 0; i < PAIR_REFUSALS; i++) {
        assert_false(refused(&choice, i));
    }
    pair_choice_accepted(&choice);
    assert_false(refused(&choice, REFUSED_MS * 2));
    assert_false(refused(&choice, REFUSED_MS * 2 + 1));
    assert_false(refused(&choice, REFUSED_MS * 3 - 1));
    assert_true(refused(&choice, REFUSED_MS * 3));
}

static void the_other_one_is_given_as_long_and_then_the_first_is_shown_again(void **state)
{
    (void)state;
    pair_choice_t choice = renewed();
    pair_t shown[4];
    uint64_t now_ms = 0;
    for (size_t i = 0; i < 4; i++) {
        const uint64_t began_ms = now_ms;
        while (!refused(&choice, now_ms)) {
            now_ms += 60000;
        }
        shown[i] = choice.in_use;
        assert_true(now_ms - began_ms >= REFUSED_MS);
        assert_true(now_ms - began_ms <= REFUSED_MS + 60000);
        now_ms += 60000;
    }
    assert_int_equal(shown[0], PAIR_FACTORY);
    assert_int_equal(shown[1], PAIR_RENEWED);
    assert_int_equal(shown[2], PAIR_FACTORY);
    assert_int_equal(shown[3], PAIR_RENEWED);
    assert_int_equal(choice.changes, 4);
}

static void what_says_nothing_of_the_pair_neither_counts_nor_begins_anew(void **state)
{
    (void)state;
    pair_choice_t choice = renewed();
    assert_false(refused(&choice, 0));
    assert_false(refused(&choice, 1));
    for (int failure = FAILURE_NONE; failure <= FAILURE_NO_BROKER; failure++) {
        if (failure != FAILURE_TLS_OTHER && failure != FAILURE_MQTT_REFUSED) {
            assert_false(pair_choice_failed(&choice, (failure_t)failure, REFUSED_MS, &GOOD, NOW_S));
        }
    }
    assert_true(pair_choice_failed(&choice, FAILURE_MQTT_REFUSED, REFUSED_MS, &GOOD, NOW_S));
}

static void without_another_pair_there_is_nothing_to_change_to(void **state)
{
    (void)state;
    const pair_times_t none = {0, 0};
    pair_choice_t choice;
    pair_choice_init(&choice, PAIR_FACTORY, 0);
    for (uint64_t i = 0; i < 100; i++) {
        assert_false(pair_choice_failed(&choice, FAILURE_TLS_OTHER, i * REFUSED_MS, &none, NOW_S));
    }
    assert_int_equal(choice.in_use, PAIR_FACTORY);
}

static void a_pair_that_has_run_out_is_not_tried_unless_nobody_knows_what_time_it_is(void **state)
{
    (void)state;
    const pair_times_t run_out = {NOW_S - DAY_S, NOW_S};
    const pair_times_t last_second = {NOW_S - DAY_S, NOW_S + 1};
    pair_choice_t choice = renewed();
    for (uint64_t i = 0; i < 100; i++) {
        assert_false(pair_choice_failed(&choice, FAILURE_TLS_OTHER, i * REFUSED_MS, &run_out, NOW_S));
    }
    pair_choice_t clockless = choice;
    assert_true(pair_choice_failed(&clockless, FAILURE_TLS_OTHER, 100 * REFUSED_MS, &run_out, 0));
    assert_true(pair_choice_failed(&choice, FAILURE_TLS_OTHER, 100 * REFUSED_MS, &last_second, NOW_S));
}

static void a_new_pair_begins_with_no_refusals(void **state)
{
    (void)state;
    pair_choice_t choice;
    pair_choice_init(&choice, PAIR_FACTORY, 0);
    assert_false(refused(&choice, 0));
    assert_false(refused(&choice, 1));
    pair_choice_use(&choice, PAIR_RENEWED);
    assert_false(refused(&choice, REFUSED_MS));
    assert_int_equal(choice.in_use, PAIR_RENEWED);
    assert_int_equal(choice.changes, 0);
}

static void a_shorter_time_can_be_asked_for(void **state)
{
    (void)state;
    pair_choice_t choice;
    pair_choice_init(&choice, PAIR_RENEWED, 2);
    assert_false(refused(&choice, 0));
    assert_false(refused(&choice, 1000));
    assert_false(refused(&choice, 1999));
    assert_true(refused(&choice, 2000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pair_that_is_refused_for_long_gives_way_to_the_other),
        cmocka_unit_test(few_refusals_are_not_enough_however_long_it_takes),
        cmocka_unit_test(many_refusals_in_a_short_time_are_not_enough),
        cmocka_unit_test(a_pair_that_was_taken_begins_anew),
        cmocka_unit_test(the_other_one_is_given_as_long_and_then_the_first_is_shown_again),
        cmocka_unit_test(what_says_nothing_of_the_pair_neither_counts_nor_begins_anew),
        cmocka_unit_test(without_another_pair_there_is_nothing_to_change_to),
        cmocka_unit_test(a_pair_that_has_run_out_is_not_tried_unless_nobody_knows_what_time_it_is),
        cmocka_unit_test(a_new_pair_begins_with_no_refusals),
        cmocka_unit_test(a_shorter_time_can_be_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
