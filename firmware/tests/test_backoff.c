#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/backoff.h"

static void the_ceiling_doubles_up_to_the_maximum(void **state)
{
    (void)state;
    const uint32_t ceilings_ms[] = {1000, 2000, 4000, 8000, 16000, 32000, 64000, 128000, 256000, 300000, 300000};
    backoff_t backoff;
    backoff_init(&backoff, 1000, 300000);
    for (size_t i = 0; i < sizeof(ceilings_ms) / sizeof(ceilings_ms[0]); i++) {
        assert_int_equal(backoff_next(&backoff, UINT32_MAX), ceilings_ms[i]);
    }
}

static void the_jitter_is_full_from_nothing_to_the_ceiling(void **state)
{
    (void)state;
    backoff_t backoff;
    backoff_init(&backoff, 1000, 1000);
    assert_int_equal(backoff_next(&backoff, 0), 0);
    assert_int_equal(backoff_next(&backoff, 0x80000000U), 500);
    assert_int_equal(backoff_next(&backoff, UINT32_MAX), 1000);
}

static void a_reset_begins_anew(void **state)
{
    (void)state;
    backoff_t backoff;
    backoff_init(&backoff, 1000, 300000);
    for (int i = 0; i < 20; i++) {
        (void)backoff_next(&backoff, 0);
    }
    backoff_reset(&backoff);
    assert_int_equal(backoff_next(&backoff, UINT32_MAX), 1000);
}

static void the_largest_numbers_do_not_overflow(void **state)
{
    (void)state;
    backoff_t backoff;
    backoff_init(&backoff, UINT32_MAX, UINT32_MAX);
    assert_int_equal(backoff_next(&backoff, UINT32_MAX), UINT32_MAX);
    assert_int_equal(backoff_next(&backoff, UINT32_MAX), UINT32_MAX);
}

static void a_maximum_below_the_first_counts_from_the_start(void **state)
{
    (void)state;
    backoff_t backoff;
    backoff_init(&backoff, 1000, 10);
    assert_int_equal(backoff_next(&backoff, UINT32_MAX), 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_ceiling_doubles_up_to_the_maximum),
        cmocka_unit_test(the_jitter_is_full_from_nothing_to_the_ceiling),
        cmocka_unit_test(a_reset_begins_anew),
        cmocka_unit_test(the_largest_numbers_do_not_overflow),
        cmocka_unit_test(a_maximum_below_the_first_counts_from_the_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
