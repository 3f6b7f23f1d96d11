#include "port/posix/host_options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <getopt.h>
#include <stdio.h>
#include <string.h>

static host_options_t s_options;

/* Words, the last one NULL. They stay until the next call: options point to them. */
static host_options_state_t read_words(const char *const *words)
{
    static char copies[24][64];
    char *argv[25] = {copies[0]};
    int argc = 1;
    (void)snprintf(copies[0], sizeof(copies[0]), "dcu-0080");
    for (; words[argc - 1] != NULL; argc++) {
        (void)snprintf(copies[argc], sizeof(copies[argc]), "%s", words[argc - 1]);
        argv[argc] = copies[argc];
    }
    optind = 0; /* glibc: begin anew */
    return host_options_read(&s_options, argc, argv, "dcu-0080");
}

#define READ(...) read_words((const char *const[]){__VA_ARGS__, NULL})

static void assert_value(const char *key, const char *wanted)
{
    char value[64] = "";
    size_t len = 0;
    const port_kv_t *kv = &s_options.overlay.port;
    assert_int_equal(kv->get(kv->ctx, key, value, sizeof(value), &len), KV_OK);
    assert_int_equal(len, strlen(wanted));
    assert_memory_equal(value, wanted, len);
}

static void who_it_is_and_where_it_keeps_its_state_is_enough(void **state)
{
    (void)state;
    assert_int_equal(READ("--box", "box/GW-1", "--state", "s"), HOST_OPTIONS_GOOD);
    assert_string_equal(s_options.box, "box/GW-1");
    assert_null(s_options.factory);
    assert_int_equal(s_options.console, POSIX_CONSOLE_STDIN);
    assert_int_equal(s_options.log_level, LOG_INFO);
    assert_true(s_options.knows_time);
    assert_false(s_options.once);
    assert_false(s_options.launched);
    assert_null(s_options.http_via);
}

static void its_requests_may_take_another_way(void **state)
{
    (void)state;
    assert_int_equal(READ("--box", "b", "--state", "s", "--http-via", "127.0.0.1:9"), HOST_OPTIONS_GOOD);
    assert_string_equal(s_options.http_via, "127.0.0.1:9");
}

static void what_is_said_instead_of_the_factory_stands_before_it(void **state)
{
    (void)state;
    assert_int_equal(READ("--factory", "nvs.bin", "--state", "s", "--broker", "mqtt://a:1", "--ota-url", "https://b:2",
                          "--interval", "5", "--set", "device_code=M=1"),
                     HOST_OPTIONS_GOOD);
    assert_value("broker_uri", "mqtt://a:1");
    assert_value("ota_url", "https://b:2");
    assert_value("interval_s", "5");
    assert_value("device_code", "M=1");
    size_t len;
    char value[2];
    const port_kv_t *kv = &s_options.overlay.port;
    assert_int_equal(kv->get(kv->ctx, "wifi_ssid", value, sizeof(value), &len), KV_MISSING);
    assert_int_equal(kv->get(kv->ctx, "broker_uri", value, sizeof(value), &len), KV_TOO_SMALL);
    assert_int_equal(len, strlen("mqtt://a:1"));
    assert_int_equal(kv->set(kv->ctx, "apn", "x", 1), KV_FAILED);
    assert_int_equal(kv->erase(kv->ctx, "broker_uri"), KV_FAILED);
}

static void said_twice_the_last_word_counts(void **state)
{
    (void)state;
    assert_int_equal(READ("--box", "b", "--state", "s", "--interval", "5", "--interval", "60"), HOST_OPTIONS_GOOD);
    assert_value("interval_s", "60");
}

static void what_it_is_put_through_is_read(void **state)
{
    (void)state;
    assert_int_equal(READ("--box", "b", "--state", "s", "--clock-offset", "-86400", "--no-clock", "--console", "pty",
                          "--log-level", "debug", "--report", "r", "--once", "--launched", "--pair-refused", "2"),
                     HOST_OPTIONS_GOOD);
    assert_int_equal(s_options.pair_refused_s, 2);
    assert_true(s_options.clock_offset_s == -86400);
    assert_false(s_options.knows_time);
    assert_int_equal(s_options.console, POSIX_CONSOLE_PTY);
    assert_int_equal(s_options.log_level, LOG_DEBUG);
    assert_string_equal(s_options.report, "r");
    assert_true(s_options.once);
    assert_true(s_options.launched);
}

static void what_is_wrong_is_refused(void **state)
{
    (void)state;
    assert_int_equal(READ("--state", "s"), HOST_OPTIONS_WRONG);
    assert_int_equal(READ("--box", "b", "--factory", "f", "--state", "s"), HOST_OPTIONS_WRONG);
    assert_int_equal(READ("--box", "b"), HOST_OPTIONS_WRONG);
    assert_int_equal(READ("--box", "b", "--state", "s", "word"), HOST_OPTIONS_WRONG);
    assert_int_equal(READ("--box", "b", "--state", "s", "--console", "tty"), HOST_OPTIONS_WRONG);
    assert_int_equal(READ("--box", "b", "--state", "s", "--log-level", "2"), HOST_OPTIONS_WRONG);
    assert_int_equal(READ("--box", "b", "--state", "s", "--set", "interval_s"), HOST_OPTIONS_WRONG);
    assert_int_equal(READ("--box", "b", "--state", "s", "--set", "a_key_of_16_chars=1"), HOST_OPTIONS_WRONG);
    assert_int_equal(READ("--box", "b", "--state", "s", "--frobnicate"), HOST_OPTIONS_WRONG);
    assert_int_equal(READ("--box"), HOST_OPTIONS_WRONG);
    const char *const offsets[] = {"", "x", "1x", "99999999999", "-99999999999", "999999999999999999999"};
    for (size_t i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++) {
        assert_int_equal(READ("--box", "b", "--state", "s", "--clock-offset", offsets[i]), HOST_OPTIONS_WRONG);
    }
    const char *const times[] = {"", "x", "1x", "0", "-1", "1801", "999999999999999999999"};
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        assert_int_equal(READ("--box", "b", "--state", "s", "--pair-refused", times[i]), HOST_OPTIONS_WRONG);
    }
}

static void more_settings_than_there_is_room_for_are_refused(void **state)
{
    (void)state;
    posix_overlay_t *overlay = &s_options.overlay;
    posix_overlay_init(overlay);
    for (int i = 0; i < POSIX_OVERLAY_MAX; i++) {
        assert_true(posix_overlay_set(overlay, "apn", "x"));
    }
    assert_false(posix_overlay_set(overlay, "apn", "x"));
}

static void help_and_version_end_it(void **state)
{
    (void)state;
    assert_int_equal(READ("--help"), HOST_OPTIONS_DONE);
    assert_int_equal(READ("--version", "--frobnicate"), HOST_OPTIONS_DONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_it_is_and_where_it_keeps_its_state_is_enough),
        cmocka_unit_test(its_requests_may_take_another_way),
        cmocka_unit_test(what_is_said_instead_of_the_factory_stands_before_it),
        cmocka_unit_test(said_twice_the_last_word_counts),
        cmocka_unit_test(what_it_is_put_through_is_read),
        cmocka_unit_test(what_is_wrong_is_refused),
        cmocka_unit_test(more_settings_than_there_is_room_for_are_refused),
        cmocka_unit_test(help_and_version_end_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
