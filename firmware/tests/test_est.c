#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/est.h"
#include "core/renewal.h"

#define NOT_BEFORE 1800000000
#define NOT_AFTER 1900000000

static void retry_after_is_a_number_of_seconds(void **state)
{
    (void)state;
    assert_int_equal(est_retry_after_s("7"), 7);
    assert_int_equal(est_retry_after_s("0120 "), 120);
    assert_int_equal(est_retry_after_s("0"), 0);
}

static void retry_after_of_more_than_a_device_waits_is_the_longest_that_it_waits(void **state)
{
    (void)state;
    assert_int_equal(est_retry_after_s("86400"), RENEWAL_PAUSE_MAX_S);
    assert_int_equal(est_retry_after_s("86401"), RENEWAL_PAUSE_MAX_S);
    assert_int_equal(est_retry_after_s("4294967297"), RENEWAL_PAUSE_MAX_S); /* one more than 32 bits hold */
    assert_int_equal(est_retry_after_s("99999999999999999999999999999999999999"), RENEWAL_PAUSE_MAX_S);
}

static void a_retry_after_that_is_no_number_is_none(void **state)
{
    (void)state;
    const char *const values[] = {"", "Wed, 18 Feb 2026 18:30:00 GMT", "-5", "+5", "5s", "0x10", "1e3", "\xff", "٣"};
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        assert_int_equal(est_retry_after_s(values[i]), 0);
    }
}

static void a_certificate_counts_until_its_end_and_from_a_day_before_its_begin(void **state)
{
    (void)state;
    assert_true(est_is_valid_now(NOT_BEFORE, NOT_AFTER, NOT_BEFORE));
    assert_true(est_is_valid_now(NOT_BEFORE, NOT_AFTER, NOT_BEFORE - EST_CLOCK_TOLERANCE_S));
    assert_false(est_is_valid_now(NOT_BEFORE, NOT_AFTER, NOT_BEFORE - EST_CLOCK_TOLERANCE_S - 1));
    assert_true(est_is_valid_now(NOT_BEFORE, NOT_AFTER, NOT_AFTER - 1));
    assert_false(est_is_valid_now(NOT_BEFORE, NOT_AFTER, NOT_AFTER));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(retry_after_is_a_number_of_seconds),
        cmocka_unit_test(retry_after_of_more_than_a_device_waits_is_the_longest_that_it_waits),
        cmocka_unit_test(a_retry_after_that_is_no_number_is_none),
        cmocka_unit_test(a_certificate_counts_until_its_end_and_from_a_day_before_its_begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
