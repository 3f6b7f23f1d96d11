#include "core/console.h"
#include "port/fake/fake_kv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define NO_KEY ((config_key_t)CONFIG_KEYS)

static fake_kv_t s_kv;
static config_t s_config;
static config_key_t s_changed;
static char s_said[8192]; /* lines, each with a line feed behind it */
static size_t s_lines;
static char s_ctx;

static void say(void *ctx, const char *line)
{
    assert_ptr_equal(ctx, &s_ctx);
    assert_null(strchr(line, '\n'));
    assert_in_range(strlen(line), 1, CONSOLE_LINE_MAX_BYTES);
    size_t len = strlen(s_said);
    (void)snprintf(s_said + len, sizeof(s_said) - len, "%s\n", line);
    s_lines++;
}

static console_did_t type_at(uint64_t now_ms, const char *line)
{
    s_said[0] = '\0';
    s_lines = 0;
    s_changed = NO_KEY;
    return console_line(&s_config, line, now_ms, &s_changed, say, &s_ctx);
}

static console_did_t type(const char *line)
{
    return type_at(0, line);
}

static int set_up(void **state)
{
    (void)state;
    fake_kv_init(&s_kv);
    config_load(&s_config, &s_kv.port, NULL, 0);
    return 0;
}

static bool said(const char *text)
{
    return strstr(s_said, text) != NULL;
}

static void assert_refused(const char *line, const char *sentence)
{
    uint32_t writes = s_kv.writes;
    assert_int_equal(type(line), CONSOLE_DONE);
    assert_int_equal(s_lines, 1);
    assert_true(said(sentence));
    assert_int_equal(s_kv.writes, writes);
    assert_int_equal(s_changed, NO_KEY);
}

static void help_lists_commands_and_keys(void **state)
{
    (void)state;
    static const char *const WORDS[] = {"help", "show", "set", "test", "status", "reboot"};
    assert_int_equal(type("help"), CONSOLE_DONE);
    for (size_t i = 0; i < sizeof(WORDS) / sizeof(WORDS[0]); i++) {
        assert_true(said(WORDS[i]));
    }
    for (int key = 0; key < CONFIG_KEYS; key++) {
        assert_true(said(config_name((config_key_t)key)));
        assert_true(said(config_accepts((config_key_t)key)));
    }
}

static void show_tells_each_value_and_where_it_is_from(void **state)
{
    (void)state;
    assert_int_equal(type("set interval_s 30"), CONSOLE_CHANGED);
    assert_int_equal(type("show"), CONSOLE_DONE);
    assert_int_equal(s_lines, CONFIG_KEYS);
    assert_true(said("interval_s = 30 (set)\n"));
    assert_true(said("apn = claro.com.br (default)\n"));
    assert_true(said("broker_uri is not set\n"));
}

static void show_with_a_key_tells_that_one(void **state)
{
    (void)state;
    assert_int_equal(type("show apn"), CONSOLE_DONE);
    assert_string_equal(s_said, "apn = claro.com.br (default)\n");
}

static void the_factorys_values_are_shown_as_such(void **state)
{
    (void)state;
    static fake_kv_t factory;
    fake_kv_init(&factory);
    fake_kv_put_text(&factory, "wifi_ssid", "Fábrica");
    config_load(&s_config, &s_kv.port, &factory.port, 0);
    (void)type("show wifi_ssid");
    assert_string_equal(s_said, "wifi_ssid = Fábrica (factory)\n");
}

static void secrets_are_never_shown(void **state)
{
    (void)state;
    assert_int_equal(type("set wifi_password segredo123"), CONSOLE_CHANGED);
    assert_string_equal(config_text(&s_config, CONFIG_WIFI_PASSWORD), "segredo123");
    assert_false(said("segredo"));
    (void)type("show");
    assert_false(said("segredo"));
    assert_true(said("wifi_password = ****** (set)\n"));
    (void)type("set wifi_password segredo");
    assert_false(said("segredo"));
    (void)type("set wifi_password segredo123");
    assert_false(said("segredo"));
    (void)type("wifi_password segredo123");
    assert_false(said("segredo"));
    (void)type("show segredo123");
    assert_false(said("segredo"));
}

static void set_changes_keeps_and_says_so(void **state)
{
    (void)state;
    assert_int_equal(type("set interval_s 30"), CONSOLE_CHANGED);
    assert_int_equal(s_changed, CONFIG_INTERVAL_S);
    assert_string_equal(s_said, "interval_s = 30 (set)\n");
    assert_true(fake_kv_is_text(&s_kv, "interval_s", "30"));
}

static void spaces_around_words_do_not_count(void **state)
{
    (void)state;
    assert_int_equal(type("   set   wifi_ssid   Casa da  Ana   "), CONSOLE_CHANGED);
    assert_string_equal(config_text(&s_config, CONFIG_WIFI_SSID), "Casa da  Ana");
    assert_int_equal(type(" help "), CONSOLE_DONE);
    assert_true(s_lines > 1);
}

static void set_without_a_value_goes_back_to_the_default(void **state)
{
    (void)state;
    (void)type("set interval_s 30");
    assert_int_equal(type("set interval_s"), CONSOLE_CHANGED);
    assert_string_equal(s_said, "interval_s = 60 (default)\n");
    assert_int_equal(type("set interval_s "), CONSOLE_DONE);
    assert_string_equal(s_said, "interval_s = 60 (default)\n");
}

static void setting_what_is_set_is_no_change(void **state)
{
    (void)state;
    (void)type("set apn x.example");
    assert_int_equal(type("set apn x.example"), CONSOLE_DONE);
    assert_string_equal(s_said, "apn = x.example (set)\n");
    assert_int_equal(s_changed, NO_KEY);
}

static void a_wrong_value_is_refused_with_a_sentence(void **state)
{
    (void)state;
    assert_refused("set interval_s 4", "interval_s takes a whole number from 5 to 86400.");
    assert_refused("set interval_s 30 40", "interval_s takes a whole number from 5 to 86400.");
    assert_refused("set broker_uri http://x", "broker_uri takes mqtts://host:port");
}

static void a_full_storage_is_said(void **state)
{
    (void)state;
    s_kv.room_bytes = 0;
    assert_refused("set interval_s 30", "The storage is full; nothing was changed.");
}

static void a_trial_is_said_with_the_time_that_is_left(void **state)
{
    (void)state;
    (void)type("set wifi_ssid old");
    config_confirm(&s_config);
    assert_int_equal(type_at(1000, "set wifi_ssid new"), CONSOLE_CHANGED);
    assert_true(said("wifi_ssid = new (set)\nOn trial: unless a publish is acknowledged within 600 s"));
    (void)type_at(61001, "show wifi_ssid");
    assert_true(said("within 540 s"));
    (void)type_at(UINT64_MAX, "show wifi_ssid");
    assert_true(said("within 0 s"));
    config_confirm(&s_config);
    (void)type("show");
    assert_false(said("On trial"));
}

static void the_app_is_told_to_test_to_reboot_and_to_tell_its_status(void **state)
{
    (void)state;
    assert_int_equal(type("test"), CONSOLE_TEST);
    assert_int_equal(type("status"), CONSOLE_STATUS);
    assert_int_equal(type("reboot"), CONSOLE_REBOOT);
    assert_int_equal(type("update"), CONSOLE_UPDATE);
}

static void an_unknown_command_is_answered_with_a_sentence(void **state)
{
    (void)state;
    assert_refused("format", "That is no command; help lists them.");
    assert_refused("Help", "That is no command");
    assert_refused("helpme", "That is no command");
    assert_refused("hel", "That is no command");
    assert_refused("café", "That is no command");
}

static void an_unknown_key_is_answered_with_a_sentence(void **state)
{
    (void)state;
    assert_refused("set gateway_code GW-2", "There is no such key; show lists them.");
    assert_refused("set", "There is no such key");
    assert_refused("show interval", "There is no such key");
    assert_refused("set config_trial x", "There is no such key");
}

static void too_many_words_are_refused(void **state)
{
    (void)state;
    assert_refused("reboot now", "There is too much behind that command");
    assert_refused("help set", "There is too much");
    assert_refused("show apn apn", "There is too much");
    assert_refused("test it", "There is too much");
    assert_refused("status all", "There is too much");
    assert_refused("update 1.1.0", "There is too much");
}

static void an_empty_line_is_nothing(void **state)
{
    (void)state;
    assert_int_equal(type(""), CONSOLE_DONE);
    assert_int_equal(s_lines, 0);
    assert_int_equal(type("   "), CONSOLE_DONE);
    assert_int_equal(s_lines, 0);
}

static void a_line_too_long_is_refused(void **state)
{
    (void)state;
    static char line[(1 << 20) + 1];
    memset(line, ' ', CONSOLE_LINE_MAX_BYTES);
    memcpy(line, "help", 4);
    assert_int_equal(type(line), CONSOLE_DONE);
    assert_true(s_lines > 1);
    line[CONSOLE_LINE_MAX_BYTES] = ' ';
    assert_refused(line, "The line is too long");
    memset(line, 'a', sizeof(line) - 1);
    assert_refused(line, "The line is too long");
}

static void control_characters_are_refused(void **state)
{
    (void)state;
    assert_refused("set wifi_ssid ab\x1B[D", "The line has control characters or is no UTF-8");
    assert_refused("help\r", "The line has control characters");
    assert_refused("set\tapn\tx", "The line has control characters");
    assert_refused("help\x7F", "The line has control characters");
    assert_refused("help\xC2\x9B", "The line has control characters");
}

static void invalid_utf8_is_refused(void **state)
{
    (void)state;
    assert_refused("set wifi_ssid Caf\xE9", "is no UTF-8");
    assert_refused("\xFF", "is no UTF-8");
    assert_refused("set wifi_ssid \xC0\x80", "is no UTF-8");
}

static void the_longest_value_can_be_set_and_shown(void **state)
{
    (void)state;
    char label[64] = "";
    char line[CONSOLE_LINE_MAX_BYTES + 1];
    memset(label, 'a', 63);
    (void)snprintf(line, sizeof(line), "set broker_uri mqtts://%s.%s.%s.%.61s:65535", label, label, label, label);
    assert_int_equal(type(line), CONSOLE_CHANGED);
    assert_true(said(":65535 (set)\n"));
    (void)type("show ota_url");
    assert_true(said(":8070 (default)\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(help_lists_commands_and_keys, set_up),
        cmocka_unit_test_setup(show_tells_each_value_and_where_it_is_from, set_up),
        cmocka_unit_test_setup(show_with_a_key_tells_that_one, set_up),
        cmocka_unit_test_setup(the_factorys_values_are_shown_as_such, set_up),
        cmocka_unit_test_setup(secrets_are_never_shown, set_up),
        cmocka_unit_test_setup(set_changes_keeps_and_says_so, set_up),
        cmocka_unit_test_setup(spaces_around_words_do_not_count, set_up),
        cmocka_unit_test_setup(set_without_a_value_goes_back_to_the_default, set_up),
        cmocka_unit_test_setup(setting_what_is_set_is_no_change, set_up),
        cmocka_unit_test_setup(a_wrong_value_is_refused_with_a_sentence, set_up),
        cmocka_unit_test_setup(a_full_storage_is_said, set_up),
        cmocka_unit_test_setup(a_trial_is_said_with_the_time_that_is_left, set_up),
        cmocka_unit_test_setup(the_app_is_told_to_test_to_reboot_and_to_tell_its_status, set_up),
        cmocka_unit_test_setup(an_unknown_command_is_answered_with_a_sentence, set_up),
        cmocka_unit_test_setup(an_unknown_key_is_answered_with_a_sentence, set_up),
        cmocka_unit_test_setup(too_many_words_are_refused, set_up),
        cmocka_unit_test_setup(an_empty_line_is_nothing, set_up),
        cmocka_unit_test_setup(a_line_too_long_is_refused, set_up),
        cmocka_unit_test_setup(control_characters_are_refused, set_up),
        cmocka_unit_test_setup(invalid_utf8_is_refused, set_up),
        cmocka_unit_test_setup(the_longest_value_can_be_set_and_shown, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
