#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/renewal.h"

#define FROM_S 1780000000LL
#define LIFE_S (730LL * 86400)
#define UNTIL_S (FROM_S + LIFE_S)
#define TWO_THIRDS_S (FROM_S + LIFE_S / 3 * 2)

static renewal_t of_place(uint32_t place)
{
    renewal_t renewal;
    renewal_init(&renewal, FROM_S, UNTIL_S, place);
    return renewal;
}

/* One that was asked for at two thirds of its life. */
static renewal_t asked(void)
{
    renewal_t renewal = of_place(0);
    assert_true(renewal_due(&renewal, TWO_THIRDS_S, 0));
    return renewal;
}

static void it_is_due_from_two_thirds_of_its_life_on_and_once(void **state)
{
    (void)state;
    renewal_t renewal = of_place(0);
    assert_int_equal(renewal_next_due_unix_s(&renewal, FROM_S), TWO_THIRDS_S);
    assert_false(renewal_due(&renewal, TWO_THIRDS_S - 1, 0));
    assert_true(renewal_due(&renewal, TWO_THIRDS_S, 0));
    assert_false(renewal_due(&renewal, TWO_THIRDS_S, 0));
    assert_false(renewal_due(&renewal, TWO_THIRDS_S + 1, 0));
}

static void a_box_that_was_provisioned_in_a_minute_does_not_come_back_in_one(void **state)
{
    (void)state;
    const renewal_t middle = of_place(0x80000000U), last = of_place(UINT32_MAX);
    assert_in_range(renewal_next_due_unix_s(&middle, FROM_S), TWO_THIRDS_S + LIFE_S / 24 - 1,
                    TWO_THIRDS_S + LIFE_S / 24);
    assert_in_range(renewal_next_due_unix_s(&last, FROM_S), TWO_THIRDS_S + LIFE_S / 12 - 2, TWO_THIRDS_S + LIFE_S / 12);
}

static void without_a_certificate_there_is_nothing_to_renew(void **state)
{
    (void)state;
    renewal_t renewal;
    renewal_init(&renewal, 0, 0, 7);
    assert_false(renewal_due(&renewal, FROM_S, 0));
    assert_false(renewal_has_run_out(&renewal, FROM_S));
    assert_true(renewal_next_due_unix_s(&renewal, FROM_S) == INT64_MAX);
}

static void one_that_has_run_out_is_not_renewed_with(void **state)
{
    (void)state;
    renewal_t renewal = of_place(0);
    assert_false(renewal_has_run_out(&renewal, UNTIL_S - 1));
    assert_true(renewal_has_run_out(&renewal, UNTIL_S));
    assert_false(renewal_due(&renewal, UNTIL_S, 0));
    assert_true(renewal_next_due_unix_s(&renewal, UNTIL_S) == INT64_MAX);
    assert_true(renewal_due(&renewal, UNTIL_S - 1, 0)); /* the clock was set back: it has not run out */
}

static void after_a_success_the_next_one_counts(void **state)
{
    (void)state;
    renewal_t renewal = asked();
    renewal_done(&renewal, true, TWO_THIRDS_S, TWO_THIRDS_S + LIFE_S, 0, TWO_THIRDS_S + 5, 0);
    assert_int_equal(renewal_next_due_unix_s(&renewal, TWO_THIRDS_S + 5), TWO_THIRDS_S + LIFE_S / 3 * 2);
    assert_false(renewal_due(&renewal, TWO_THIRDS_S + 6, 0));
    assert_true(renewal_due(&renewal, TWO_THIRDS_S + LIFE_S / 3 * 2, 0));
}

static void a_platform_whose_certificates_are_due_as_they_are_issued_is_not_asked_in_a_loop(void **state)
{
    (void)state;
    renewal_t renewal = asked();
    renewal_done(&renewal, true, FROM_S, UNTIL_S, 0, TWO_THIRDS_S + 5, 0);
    assert_false(renewal_due(&renewal, TWO_THIRDS_S + 5 + RENEWAL_PAUSE_FIRST_S - 1, 0));
    assert_true(renewal_due(&renewal, TWO_THIRDS_S + 5 + RENEWAL_PAUSE_FIRST_S, 0));
}

static void pauses_after_failures_grow_to_a_day_with_full_jitter(void **state)
{
    (void)state;
    renewal_t renewal = asked();
    int64_t unix_s = TWO_THIRDS_S;
    int64_t ceiling_s = RENEWAL_PAUSE_FIRST_S;
    for (int i = 0; i < 20; i++) {
        renewal_done(&renewal, false, 0, 0, 0, unix_s, UINT32_MAX);
        const int64_t next_s = renewal_next_due_unix_s(&renewal, unix_s);
        assert_int_equal(next_s - unix_s, ceiling_s);
        assert_false(renewal_due(&renewal, next_s - 1, 0));
        assert_true(renewal_due(&renewal, next_s, 0));
        unix_s = next_s;
        ceiling_s = ceiling_s * 2 < RENEWAL_PAUSE_MAX_S ? ceiling_s * 2 : RENEWAL_PAUSE_MAX_S;
    }
    renewal_done(&renewal, false, 0, 0, 0, unix_s, 0); /* no jitter makes it a loop */
    assert_int_equal(renewal_next_due_unix_s(&renewal, unix_s), unix_s + RENEWAL_PAUSE_MIN_S);
}

static void what_the_server_says_in_retry_after_is_kept_to(void **state)
{
    (void)state;
    renewal_t renewal = asked();
    renewal_done(&renewal, false, 0, 0, 7200, TWO_THIRDS_S, UINT32_MAX);
    assert_int_equal(renewal_next_due_unix_s(&renewal, TWO_THIRDS_S), TWO_THIRDS_S + 7200);
    renewal = asked();
    renewal_done(&renewal, false, 0, 0, UINT32_MAX, TWO_THIRDS_S, 0);
    assert_int_equal(renewal_next_due_unix_s(&renewal, TWO_THIRDS_S), TWO_THIRDS_S + RENEWAL_PAUSE_MAX_S);
}

static void the_less_time_is_left_the_sooner_it_tries_again(void **state)
{
    (void)state;
    renewal_t renewal = of_place(0);
    assert_true(renewal_due(&renewal, UNTIL_S - 400, 0));
    renewal_done(&renewal, false, 0, 0, 86400, UNTIL_S - 400, 0);
    assert_int_equal(renewal_next_due_unix_s(&renewal, UNTIL_S - 400), UNTIL_S - 300);
    assert_true(renewal_due(&renewal, UNTIL_S - 3, 0));
    renewal_done(&renewal, false, 0, 0, 0, UNTIL_S - 3, UINT32_MAX);
    assert_int_equal(renewal_next_due_unix_s(&renewal, UNTIL_S - 3), UNTIL_S - 2);
}

static void a_port_that_never_says_what_became_of_it_is_asked_again(void **state)
{
    (void)state;
    renewal_t renewal = asked();
    assert_int_equal(renewal_next_due_unix_s(&renewal, TWO_THIRDS_S), TWO_THIRDS_S + RENEWAL_TIMEOUT_S);
    assert_false(renewal_due(&renewal, TWO_THIRDS_S + RENEWAL_TIMEOUT_S - 1, UINT32_MAX));
    assert_true(renewal.under_way);
    assert_false(renewal_due(&renewal, TWO_THIRDS_S + RENEWAL_TIMEOUT_S, UINT32_MAX));
    assert_false(renewal.under_way);
    assert_true(renewal_due(&renewal, TWO_THIRDS_S + RENEWAL_TIMEOUT_S + RENEWAL_PAUSE_FIRST_S, 0));
}

static void a_clock_that_is_set_back_while_it_is_under_way_does_not_leave_it_so(void **state)
{
    (void)state;
    renewal_t renewal = asked();
    assert_false(renewal_due(&renewal, FROM_S, 0));
    assert_false(renewal.under_way);
}

static void a_pause_that_was_reckoned_with_a_clock_that_ran_ahead_does_not_last_for_months(void **state)
{
    (void)state;
    renewal_t renewal = of_place(0);
    const int64_t wrong_s = UNTIL_S - 100 * 86400LL;
    assert_true(renewal_due(&renewal, wrong_s, 0));
    renewal_done(&renewal, false, 0, 0, 0, wrong_s, UINT32_MAX);
    assert_true(renewal_due(&renewal, TWO_THIRDS_S + 10, 0));
}

static void one_that_is_gone_back_to_is_renewed_half_a_day_to_a_day_later_by_each_devices_place(void **state)
{
    (void)state;
    const uint32_t places[] = {0, 0x80000000U, UINT32_MAX};
    const int64_t earliest_s[] = {43200, 64800 - 1, 86400 - 1};
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        renewal_t renewal;
        const int64_t now_s = UNTIL_S - 100 * 86400LL;
        renewal_init(&renewal, now_s, now_s + LIFE_S, places[i]); /* the one that is refused */
        renewal_fall_back(&renewal, FROM_S, UNTIL_S, now_s);
        assert_in_range(renewal_next_due_unix_s(&renewal, now_s), now_s + earliest_s[i], now_s + earliest_s[i] + 1);
        assert_false(renewal_due(&renewal, now_s + earliest_s[i] - 1, 0));
        assert_true(renewal_due(&renewal, now_s + earliest_s[i] + 1, 0));
    }
}

static void one_that_is_gone_back_to_is_renewed_sooner_when_its_end_is_near_and_not_before_its_age(void **state)
{
    (void)state;
    renewal_t renewal = of_place(0);
    renewal_fall_back(&renewal, FROM_S, UNTIL_S, UNTIL_S - 4000);
    assert_int_equal(renewal_next_due_unix_s(&renewal, UNTIL_S - 4000), UNTIL_S - 3000);
    renewal_fall_back(&renewal, FROM_S, UNTIL_S, FROM_S + 5);
    assert_int_equal(renewal_next_due_unix_s(&renewal, FROM_S + 5), TWO_THIRDS_S);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_due_from_two_thirds_of_its_life_on_and_once),
        cmocka_unit_test(a_box_that_was_provisioned_in_a_minute_does_not_come_back_in_one),
        cmocka_unit_test(without_a_certificate_there_is_nothing_to_renew),
        cmocka_unit_test(one_that_has_run_out_is_not_renewed_with),
        cmocka_unit_test(after_a_success_the_next_one_counts),
        cmocka_unit_test(a_platform_whose_certificates_are_due_as_they_are_issued_is_not_asked_in_a_loop),
        cmocka_unit_test(pauses_after_failures_grow_to_a_day_with_full_jitter),
        cmocka_unit_test(what_the_server_says_in_retry_after_is_kept_to),
        cmocka_unit_test(the_less_time_is_left_the_sooner_it_tries_again),
        cmocka_unit_test(a_port_that_never_says_what_became_of_it_is_asked_again),
        cmocka_unit_test(a_clock_that_is_set_back_while_it_is_under_way_does_not_leave_it_so),
        cmocka_unit_test(a_pause_that_was_reckoned_with_a_clock_that_ran_ahead_does_not_last_for_months),
        cmocka_unit_test(one_that_is_gone_back_to_is_renewed_half_a_day_to_a_day_later_by_each_devices_place),
        cmocka_unit_test(one_that_is_gone_back_to_is_renewed_sooner_when_its_end_is_near_and_not_before_its_age),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
