#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/step.h"

static void every_failure_has_a_name_of_its_own(void **state)
{
    (void)state;
    for (int a = FAILURE_NONE; a <= FAILURE_NO_BROKER; a++) {
        assert_string_not_equal(failure_name((failure_t)a), "unknown");
        for (int b = FAILURE_NONE; b < a; b++) {
            assert_string_not_equal(failure_name((failure_t)a), failure_name((failure_t)b));
        }
    }
    assert_string_equal(failure_name((failure_t)99), "unknown");
}

static void the_numbers_of_failures_are_on_the_wire_and_stay(void **state)
{
    (void)state;
    assert_int_equal(FAILURE_NETWORK, 1);
    assert_int_equal(FAILURE_TLS_EXPIRED, 4);
    assert_int_equal(FAILURE_CREDENTIALS, 12);
    assert_int_equal(FAILURE_NO_BROKER, 13);
}

static void actions_come_in_the_order_they_were_added_and_a_full_list_takes_no_more(void **state)
{
    (void)state;
    actions_t actions = {.count = 0};
    for (int i = 0; i < ACTIONS_MAX; i++) {
        action_t *action = actions_add(&actions, i % 2 == 0 ? ACTION_MEASURE : ACTION_RENEW);
        assert_ptr_equal(action, &actions.items[i]);
    }
    assert_null(actions_add(&actions, ACTION_REBOOT));
    assert_int_equal(actions.count, ACTIONS_MAX);
    assert_int_equal(actions.items[0].type, ACTION_MEASURE);
    assert_int_equal(actions.items[1].type, ACTION_RENEW);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_failure_has_a_name_of_its_own),
        cmocka_unit_test(the_numbers_of_failures_are_on_the_wire_and_stay),
        cmocka_unit_test(actions_come_in_the_order_they_were_added_and_a_full_list_takes_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
