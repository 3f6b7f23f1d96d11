#include "core/connack.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void a_broker_that_is_busy_is_told_from_one_that_refuses(void **state)
{
    (void)state;
    const int unavailable[] = {0x80, 0x83, 0x88, 0x89, 0x8B, 0x97, 0x9C, 0x9D, 0x9F, 3};
    const int refused[] = {0x81, 0x82, 0x84, 0x85, 0x86, 0x87, 0x8A, 0x8C, 0x90, 0x95, 0x99, 1, 2, 4, 5, 0xFF};
    for (size_t i = 0; i < sizeof(unavailable) / sizeof(unavailable[0]); i++) {
        assert_int_equal(connack_failure(unavailable[i]), FAILURE_MQTT_UNAVAILABLE);
    }
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        assert_int_equal(connack_failure(refused[i]), FAILURE_MQTT_REFUSED);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_broker_that_is_busy_is_told_from_one_that_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
