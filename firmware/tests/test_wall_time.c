#define _POSIX_C_SOURCE 200809L /* gmtime_r */

#include "core/wall_time.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

static void assert_time(int64_t unix_s, const char *wanted)
{
    char text[WALL_TIME_CHARS + 1];
    assert_int_equal(wall_time_print(unix_s, text), WALL_TIME_CHARS);
    assert_string_equal(text, wanted);
}

static void seconds_since_1970_become_a_time_in_utc(void **state)
{
    (void)state;
    assert_time(0, "1970-01-01T00:00:00Z");
    assert_time(-1, "1969-12-31T23:59:59Z");
    assert_time(1771439400, "2026-02-18T18:30:00Z");
    assert_time(INT32_MAX, "2038-01-19T03:14:07Z");
    assert_time((int64_t)INT32_MAX + 1, "2038-01-19T03:14:08Z");
}

static void leap_days_are_where_the_gregorian_calendar_has_them(void **state)
{
    (void)state;
    assert_time(951782400, "2000-02-29T00:00:00Z");
    assert_time(951868800, "2000-03-01T00:00:00Z");
    assert_time(978220800, "2000-12-31T00:00:00Z");
    assert_time(1709164800, "2024-02-29T00:00:00Z");
    assert_time(4107542399, "2100-02-28T23:59:59Z");
    assert_time(4107542400, "2100-03-01T00:00:00Z");
}

static void the_calendar_ends_with_the_years_1_and_9999(void **state)
{
    (void)state;
    char text[WALL_TIME_CHARS + 1] = "as before";
    assert_time(-62135596800, "0001-01-01T00:00:00Z");
    assert_time(253402300799, "9999-12-31T23:59:59Z");
    text[0] = 'a';
    assert_int_equal(wall_time_print(-62135596801, text), 0);
    assert_int_equal(wall_time_print(253402300800, text), 0);
    assert_int_equal(wall_time_print(INT64_MAX, text), 0);
    assert_int_equal(wall_time_print(INT64_MIN, text), 0);
    assert_string_equal(text, "as before");
}

static void every_day_of_a_thousand_years_is_the_c_librarys(void **state)
{
    (void)state;
    for (int64_t day = -250000; day < 250000; day++) {
        char text[WALL_TIME_CHARS + 1];
        char wanted[WALL_TIME_CHARS + 1];
        time_t unix_s = (time_t)(day * 86400 + (day * 7919 % 86400 + 86400) % 86400);
        struct tm parts;
        assert_non_null(gmtime_r(&unix_s, &parts));
        assert_int_equal(strftime(wanted, sizeof(wanted), "%Y-%m-%dT%H:%M:%SZ", &parts), WALL_TIME_CHARS);
        assert_int_equal(wall_time_print(unix_s, text), WALL_TIME_CHARS);
        assert_string_equal(text, wanted);
    }
}

static void no_time_and_one_that_can_not_be_printed_are_said_otherwise(void **state)
{
    (void)state;
    char text[WALL_TIME_CHARS + 1];
    assert_string_equal(wall_time_text(1, "not set", text), "1970-01-01T00:00:01Z");
    assert_string_equal(wall_time_text(0, "not set", text), "not set");
    assert_string_equal(wall_time_text(INT64_MAX, "not set", text), "not set");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(seconds_since_1970_become_a_time_in_utc),
        cmocka_unit_test(leap_days_are_where_the_gregorian_calendar_has_them),
        cmocka_unit_test(the_calendar_ends_with_the_years_1_and_9999),
        cmocka_unit_test(every_day_of_a_thousand_years_is_the_c_librarys),
        cmocka_unit_test(no_time_and_one_that_can_not_be_printed_are_said_otherwise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
