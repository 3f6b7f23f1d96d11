#include "core/bounds.h"
#include "core/presence.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static char s_text[256];

static void assert_payload(size_t len, const char *wanted)
{
    assert_int_equal(len, strlen(wanted));
    assert_string_equal(s_text, wanted);
}

static void the_topic_is_the_gateways_own(void **state)
{
    (void)state;
    assert_payload(presence_topic("GW-1", s_text, sizeof(s_text)), "status/GW-1");
    assert_int_equal(presence_topic("GW/1", s_text, sizeof(s_text)), 0);
    assert_int_equal(presence_topic("GW-1", s_text, 11), 0);
}

static void who_comes_says_time_firmware_and_interval(void **state)
{
    (void)state;
    assert_payload(presence_payload("GW-1", true, 1771439400, "1.4.0", 60, s_text, sizeof(s_text)),
                   "{\"gateway_code\":\"GW-1\",\"status\":\"online\",\"timestamp\":\"2026-02-18T18:30:00Z\","
                   "\"firmware\":\"1.4.0\",\"interval_s\":60}");
}

static void a_will_has_no_time(void **state)
{
    (void)state;
    assert_payload(presence_payload("GW-1", false, 0, NULL, 0, s_text, sizeof(s_text)),
                   "{\"gateway_code\":\"GW-1\",\"status\":\"offline\"}");
    assert_payload(presence_payload("GW-1", false, INT64_MAX, "", 0, s_text, sizeof(s_text)),
                   "{\"gateway_code\":\"GW-1\",\"status\":\"offline\"}");
}

static void the_longest_fits_256_bytes(void **state)
{
    (void)state;
    char code[CODE_MAX_CHARS + 1] = "";
    memset(code, 'a', CODE_MAX_CHARS);
    size_t len = presence_payload(code, false, 1771439400, "1.2.3-0123456789+0123456789abcd", 86400, s_text, 256);
    assert_in_range(len, 200, 255);
    assert_int_equal(presence_payload(code, false, 1771439400, "1", 86400, s_text, 100), 0);
}

static void a_gateway_without_a_code_says_nothing(void **state)
{
    (void)state;
    assert_int_equal(presence_payload("", true, 0, NULL, 0, s_text, sizeof(s_text)), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_topic_is_the_gateways_own),
        cmocka_unit_test(who_comes_says_time_firmware_and_interval),
        cmocka_unit_test(a_will_has_no_time),
        cmocka_unit_test(the_longest_fits_256_bytes),
        cmocka_unit_test(a_gateway_without_a_code_says_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
