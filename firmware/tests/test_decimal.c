#include "core/decimal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void assert_printed(int64_t digits, uint8_t places, const char *wanted)
{
    char text[DECIMAL_MAX_CHARS];
    assert_int_equal(decimal_print((decimal_t){digits, places}, text, sizeof(text)), strlen(wanted));
    assert_string_equal(text, wanted);
}

static void assert_nearest(double value, uint8_t places, int64_t digits)
{
    decimal_t decimal = {0, 0};
    assert_true(decimal_from_double(value, places, &decimal));
    assert_int_equal(decimal.digits, digits);
    assert_int_equal(decimal.places, places);
}

static void assert_refused(double value, uint8_t places)
{
    decimal_t decimal = {42, 7};
    assert_false(decimal_from_double(value, places, &decimal));
    assert_int_equal(decimal.digits, 42);
    assert_int_equal(decimal.places, 7);
}

static void all_places_are_printed_and_no_exponent(void **state)
{
    (void)state;
    assert_printed(-23550520, 6, "-23.550520");
    assert_printed(12345, 2, "123.45");
    assert_printed(55, 0, "55");
    assert_printed(-55, 0, "-55");
    assert_printed(100, 2, "1.00");
    assert_printed(10, 0, "10");
}

static void a_fraction_alone_has_its_zero_in_front(void **state)
{
    (void)state;
    assert_printed(-125, 3, "-0.125");
    assert_printed(1, 9, "0.000000001");
    assert_printed(0, 3, "0.000");
    assert_printed(0, 0, "0");
    assert_printed(-1, 1, "-0.1");
}

static void the_ends_of_the_range_are_printed(void **state)
{
    (void)state;
    assert_printed(INT64_MAX, 0, "9223372036854775807");
    assert_printed(INT64_MIN, 0, "-9223372036854775808");
    assert_printed(INT64_MIN, 9, "-9223372036.854775808");
}

static void more_places_than_nine_are_refused(void **state)
{
    (void)state;
    char text[DECIMAL_MAX_CHARS] = "as before";
    assert_int_equal(decimal_print((decimal_t){1, 10}, text, sizeof(text)), 0);
    assert_int_equal(decimal_print((decimal_t){1, 255}, text, sizeof(text)), 0);
    assert_string_equal(text, "as before");
    assert_refused(1.0, 10);
}

static void a_buffer_too_small_is_left_alone(void **state)
{
    (void)state;
    char text[] = "xxxxx";
    assert_int_equal(decimal_print((decimal_t){-125, 2}, text, 5), 0);
    assert_string_equal(text, "xxxxx");
    assert_int_equal(decimal_print((decimal_t){-125, 2}, text, 6), 5);
    assert_string_equal(text, "-1.25");
    assert_int_equal(decimal_print((decimal_t){1, 0}, text, 0), 0);
}

static void a_double_becomes_the_nearest_decimal(void **state)
{
    (void)state;
    assert_nearest(23.5, 1, 235);
    assert_nearest(123.45, 2, 12345);
    assert_nearest(-23.550520, 6, -23550520);
    assert_nearest(0.1, 9, 100000000);
    assert_nearest(0.0, 3, 0);
    assert_nearest(-0.0, 3, 0);
    assert_nearest(4294967295.0, 0, 4294967295);
    assert_nearest(1e-300, 9, 0);
    assert_nearest(4.9e-324, 9, 0);
}

static void halves_go_away_from_zero(void **state)
{
    (void)state;
    assert_nearest(0.5, 0, 1);
    assert_nearest(-0.5, 0, -1);
    assert_nearest(2.5, 0, 3);
    assert_nearest(-2.5, 0, -3);
    assert_nearest(0.125, 2, 13);
    assert_nearest(0.49999999999999994, 0, 0);
    assert_nearest(-0.49999999999999994, 0, 0);
}

/* 1.115 is a little less as a double; times 100 in doubles it is a little more than 111.5. */
static void rounding_twice_does_not_happen(void **state)
{
    (void)state;
    assert_nearest(1.115, 2, 111);
    assert_nearest(1.005, 2, 100);
    assert_nearest(0.285, 2, 28);
}

/* printf() of the C library rounds exactly, but halves to even: a digit more than a double has tells them apart. */
static void random_doubles_round_as_the_c_library_does(void **state)
{
    (void)state;
    uint64_t random = 88172645463325252u; /* xorshift64: Marsaglia, "Xorshift RNGs", 2003 */
    for (int i = 0; i < 20000; i++) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        uint8_t places = (uint8_t)(random % 10);
        double value = (double)(int64_t)random / (double)(UINT64_C(1) << (random >> 8 & 63)) / 1e9;
        char wanted[64];
        char text[DECIMAL_MAX_CHARS];
        decimal_t decimal;
        if (!decimal_from_double(value, places, &decimal)) {
            continue;
        }
        (void)snprintf(wanted, sizeof(wanted), "%.*f", places, value);
        assert_true(decimal_print(decimal, text, sizeof(text)) > 0);
        if (decimal.digits == 0) {
            assert_false(strtod(wanted, NULL) > 0.0 || strtod(wanted, NULL) < 0.0);
            continue;
        }
        assert_string_equal(text, wanted);
    }
}

static void what_is_not_finite_or_too_large_is_refused(void **state)
{
    (void)state;
    double zero = strtod("0", NULL);
    assert_refused(strtod("inf", NULL), 0);
    assert_refused(strtod("-inf", NULL), 0);
    assert_refused(strtod("nan", NULL), 3);
    assert_refused(zero + 9223372036854775808.0, 0);
    assert_refused(-9223372036854775808.0, 0);
    assert_refused(1e300, 0);
    assert_refused(1.7976931348623157e308, 9);
    assert_refused(9223372036.854775808, 9);
    assert_refused(1e18, 1);
    assert_refused(1e18, 9);
}

static void the_largest_that_fit_are_taken(void **state)
{
    (void)state;
    assert_nearest(9223372036854774784.0, 0, 9223372036854774784);
    assert_nearest(-9223372036854774784.0, 0, -9223372036854774784);
    assert_nearest(9007199254740992.0, 0, 9007199254740992);
    assert_nearest(9007199254740991.0, 0, 9007199254740991);
    assert_nearest(4503599627370495.5, 0, 4503599627370496);
    assert_nearest(9223372036.0, 9, 9223372036000000000);
    assert_nearest(36028797018963968.0, 2, 3602879701896396800);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_places_are_printed_and_no_exponent),
        cmocka_unit_test(a_fraction_alone_has_its_zero_in_front),
        cmocka_unit_test(the_ends_of_the_range_are_printed),
        cmocka_unit_test(more_places_than_nine_are_refused),
        cmocka_unit_test(a_buffer_too_small_is_left_alone),
        cmocka_unit_test(a_double_becomes_the_nearest_decimal),
        cmocka_unit_test(halves_go_away_from_zero),
        cmocka_unit_test(rounding_twice_does_not_happen),
        cmocka_unit_test(random_doubles_round_as_the_c_library_does),
        cmocka_unit_test(what_is_not_finite_or_too_large_is_refused),
        cmocka_unit_test(the_largest_that_fit_are_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
