#include "core/command.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define OWN_TOPIC "ota/GW-1/update"

static command_t s_command;
static char s_text[COMMAND_MAX_BYTES + 2];

static void parse_on(const char *topic, const char *text)
{
    command_parse("GW-1", topic, (const uint8_t *)text, strlen(text), &s_command);
}

static void assert_refused(const char *text)
{
    parse_on(OWN_TOPIC, text);
    assert_int_equal(s_command.type, COMMAND_REFUSED);
    assert_non_null(s_command.refusal);
    /* Nothing half-read is left for somebody to use. */
    assert_string_equal(s_command.execution_id, "");
    assert_string_equal(s_command.url, "");
    assert_null(s_command.manifest);
    assert_null(s_command.ticket);
}

/* The command with one member as the test wants it; NULL: without it. */
static const char *with(const char *name, const char *value)
{
    static const char *const MEMBERS[][2] = {
        {"execution_id", "\"e-1\""},
        {"version", "\"1.4.0\""},
        {"url", "\"https://ota.example:8070/a.bin\""},
        {"manifest", "\"eyJhbGc.eyJ2.c2ln\""},
        {"ticket", "\"aA0-_.b.c\""},
    };
    s_text[0] = '\0';
    for (size_t i = 0; i < 5; i++) {
        const char *text = strcmp(MEMBERS[i][0], name) == 0 ? value : MEMBERS[i][1];
        if (text != NULL) {
            size_t len = strlen(s_text);
            (void)snprintf(s_text + len, sizeof(s_text) - len, "%c\"%s\":%s", len == 0 ? '{' : ',', MEMBERS[i][0],
                           text);
        }
    }
    (void)strcat(s_text, "}");
    return s_text;
}

static void an_update_command_is_read_whole(void **state)
{
    (void)state;
    parse_on(OWN_TOPIC, with("", NULL));
    assert_int_equal(s_command.type, COMMAND_UPDATE);
    assert_null(s_command.refusal);
    assert_string_equal(s_command.execution_id, "e-1");
    assert_string_equal(s_command.version, "1.4.0");
    assert_string_equal(s_command.url, "https://ota.example:8070/a.bin");
    assert_int_equal(s_command.manifest_len_bytes, 17);
    assert_memory_equal(s_command.manifest, "eyJhbGc.eyJ2.c2ln", 17);
    assert_int_equal(s_command.ticket_len_bytes, 9);
    assert_memory_equal(s_command.ticket, "aA0-_.b.c", 9);
}

static void unknown_keys_are_ignored(void **state)
{
    (void)state;
    parse_on(OWN_TOPIC, with("ticket", "\"a.b.c\",\"new\":{\"deep\":[1,2,{}]},\"x\":null"));
    assert_int_equal(s_command.type, COMMAND_UPDATE);
}

static void a_command_of_1_mb_is_refused_unread(void **state)
{
    (void)state;
    /* Nobody may look at one byte of it: there is none behind the first. */
    static const uint8_t NOTHING[1] = {'{'};
    command_parse("GW-1", OWN_TOPIC, NOTHING, 1u << 20, &s_command);
    assert_int_equal(s_command.type, COMMAND_REFUSED);
    assert_non_null(strstr(s_command.refusal, "3072 bytes"));
    command_parse("GW-1", "ota/update", NOTHING, 1u << 20, &s_command);
    assert_int_equal(s_command.type, COMMAND_REFUSED);
}

static void a_command_may_have_3072_bytes(void **state)
{
    (void)state;
    (void)with("", NULL);
    size_t len = strlen(s_text);
    memset(s_text + len, ' ', sizeof(s_text) - len);
    command_parse("GW-1", OWN_TOPIC, (const uint8_t *)s_text, COMMAND_MAX_BYTES, &s_command);
    assert_int_equal(s_command.type, COMMAND_UPDATE);
    command_parse("GW-1", OWN_TOPIC, (const uint8_t *)s_text, COMMAND_MAX_BYTES + 1, &s_command);
    assert_int_equal(s_command.type, COMMAND_REFUSED);
}

static void json_nested_deep_is_refused(void **state)
{
    (void)state;
    memset(s_text, '[', COMMAND_MAX_BYTES);
    command_parse("GW-1", OWN_TOPIC, (const uint8_t *)s_text, COMMAND_MAX_BYTES, &s_command);
    assert_int_equal(s_command.type, COMMAND_REFUSED);
    assert_non_null(strstr(s_command.refusal, "deeper than 16"));
    static char ten_thousand[10000];
    memset(ten_thousand, '[', sizeof(ten_thousand));
    command_parse("GW-1", OWN_TOPIC, (const uint8_t *)ten_thousand, sizeof(ten_thousand), &s_command);
    assert_int_equal(s_command.type, COMMAND_REFUSED);
}

static void more_keys_than_there_are_tokens_are_refused(void **state)
{
    (void)state;
    memset(s_text, 0, sizeof(s_text));
    s_text[0] = '[';
    for (size_t i = 0; i < JSON_MAX_TOKENS; i++) {
        memcpy(s_text + 1 + 2 * i, "1,", 2);
    }
    assert_refused(s_text);
    assert_non_null(strstr(s_command.refusal, "64"));
}

static void another_gateways_topic_is_refused(void **state)
{
    (void)state;
    static const char *const TOPICS[] = {
        "ota/GW-2/update",
        "ota/GW-1",
        "ota/GW-1/updat",
        "ota/GW-1/update/",
        "ota/GW-11/update",
        "ota/GW-/update",
        "ota/gw-1/update",
        "ota/GW-1/status",
        "/ota/GW-1/update",
        "ota//update",
        "ota/+/update",
        "ota/update/",
        "Ota/update",
        "ota",
        "",
        "telemetry/GW-1/D01/data",
    };
    for (size_t i = 0; i < sizeof(TOPICS) / sizeof(TOPICS[0]); i++) {
        parse_on(TOPICS[i], with("", NULL));
        assert_int_equal(s_command.type, COMMAND_REFUSED);
        assert_non_null(strstr(s_command.refusal, "not this gateway's"));
    }
}

static void missing_fields_are_refused(void **state)
{
    (void)state;
    static const char *const NAMES[] = {"execution_id", "version", "url", "manifest", "ticket"};
    for (size_t i = 0; i < 5; i++) {
        assert_refused(with(NAMES[i], NULL));
        assert_refused(with(NAMES[i], "null"));
        assert_refused(with(NAMES[i], "\"\""));
    }
    assert_refused("{}");
}

static void numbers_instead_of_strings_are_refused(void **state)
{
    (void)state;
    static const char *const NAMES[] = {"execution_id", "version", "url", "manifest", "ticket"};
    for (size_t i = 0; i < 5; i++) {
        assert_refused(with(NAMES[i], "12"));
        assert_refused(with(NAMES[i], "[\"a.b.c\"]"));
        assert_refused(with(NAMES[i], "{}"));
        assert_refused(with(NAMES[i], "true"));
    }
}

static void escapes_in_strings_are_undone(void **state)
{
    (void)state;
    parse_on(OWN_TOPIC, with("url", "\"https:\\/\\/ota.example\\u003a8070\\/a.bin\""));
    assert_int_equal(s_command.type, COMMAND_UPDATE);
    assert_string_equal(s_command.url, "https://ota.example:8070/a.bin");
    parse_on(OWN_TOPIC, with("execution_id", "\"\\u0065-2\""));
    assert_string_equal(s_command.execution_id, "e-2");
}

/* They are handed on as they stand in the payload. */
static void a_signed_part_with_an_escape_is_refused(void **state)
{
    (void)state;
    assert_refused(with("manifest", "\"a\\u002eb.c\""));
    assert_refused(with("ticket", "\"\\u0061.b.c\""));
}

static void of_a_key_given_twice_the_last_one_counts(void **state)
{
    (void)state;
    parse_on(OWN_TOPIC, with("version", "7,\"version\":\"2.0.0\""));
    assert_int_equal(s_command.type, COMMAND_UPDATE);
    assert_string_equal(s_command.version, "2.0.0");
    assert_refused(with("version", "\"2.0.0\",\"version\":7"));
}

static void a_nul_in_a_string_is_refused(void **state)
{
    (void)state;
    static const char *const NAMES[] = {"execution_id", "version", "url", "manifest", "ticket"};
    for (size_t i = 0; i < 5; i++) {
        assert_refused(with(NAMES[i], "\"https://a\\u0000.b.c\""));
    }
    assert_refused(with("version", "\"1.0\\u0000\""));
    static const char RAW[] = "{\"version\":\"1\0\"}";
    command_parse("GW-1", OWN_TOPIC, (const uint8_t *)RAW, sizeof(RAW) - 1, &s_command);
    assert_int_equal(s_command.type, COMMAND_REFUSED);
}

static void texts_beyond_their_bounds_are_refused(void **state)
{
    (void)state;
    static char value[URL_MAX_CHARS + 8];
    (void)snprintf(value, sizeof(value), "\"%065d\"", 1);
    assert_refused(with("execution_id", value));
    (void)snprintf(value, sizeof(value), "\"%064d\"", 1);
    parse_on(OWN_TOPIC, with("execution_id", value));
    assert_int_equal(s_command.type, COMMAND_UPDATE);
    (void)snprintf(value, sizeof(value), "\"%032d\"", 1);
    assert_refused(with("version", value));
    (void)snprintf(value, sizeof(value), "\"https://%0248d\"", 1);
    assert_refused(with("url", value));
    (void)snprintf(value, sizeof(value), "\"https://%0247d\"", 1);
    parse_on(OWN_TOPIC, with("url", value));
    assert_int_equal(s_command.type, COMMAND_UPDATE);
    assert_int_equal(strlen(s_command.url), URL_MAX_CHARS);
}

static void what_would_break_a_log_or_a_report_is_no_execution_id(void **state)
{
    (void)state;
    assert_refused(with("execution_id", "\"a b\""));
    assert_refused(with("execution_id", "\"a\\n\""));
    assert_refused(with("execution_id", "\"a\\\"b\""));
    assert_refused(with("execution_id", "\"\xC3\xA9\""));
    assert_refused(with("version", "\"1.0/2\""));
}

static void a_url_without_tls_is_refused(void **state)
{
    (void)state;
    assert_refused(with("url", "\"http://ota.example/a.bin\""));
    assert_refused(with("url", "\"HTTPS://ota.example/a.bin\""));
    assert_refused(with("url", "\"file:///etc/passwd\""));
    assert_refused(with("url", "\"https://\""));
    assert_refused(with("url", "\"https://ota.example/a b\""));
    assert_refused(with("url", "\"https://ota.example/\\r\\nHost: x\""));
    assert_refused(with("url", "\"https://ota.ex\xC3\xA1mple/\""));
}

static void what_is_no_jws_in_compact_form_is_refused(void **state)
{
    (void)state;
    static const char *const BAD[] = {"\"a.b\"",  "\"a.b.c.d\"", "\".b.c\"",   "\"a..c\"",
                                      "\"a.b.\"", "\"a.b.c=\"",  "\"a.b.c/\"", "\"a.b c.d\""};
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
        assert_refused(with("manifest", BAD[i]));
        assert_refused(with("ticket", BAD[i]));
    }
}

static void what_is_no_json_object_is_refused(void **state)
{
    (void)state;
    assert_refused("");
    assert_refused("update now");
    assert_refused("[]");
    assert_refused("\"https://a\"");
    assert_refused("{\"url\":\"\xFF\"}");
    assert_refused("\xEF\xBB\xBF{}");
    assert_refused("{} {}");
}

static void a_call_to_all_means_check_now(void **state)
{
    (void)state;
    parse_on("ota/update", "{}");
    assert_int_equal(s_command.type, COMMAND_CHECK_NOW);
    parse_on("ota/update", "");
    assert_int_equal(s_command.type, COMMAND_CHECK_NOW);
}

static void a_url_in_a_call_to_all_is_accepted_and_ignored(void **state)
{
    (void)state;
    parse_on("ota/update", "{\"url\":\"http://evil.example/x.bin\"}");
    assert_int_equal(s_command.type, COMMAND_CHECK_NOW);
    assert_string_equal(s_command.url, "");
    parse_on("ota/update", with("", NULL));
    assert_int_equal(s_command.type, COMMAND_CHECK_NOW);
    assert_string_equal(s_command.url, "");
    assert_null(s_command.manifest);
    parse_on("ota/update", "{\"url\":7}");
    assert_int_equal(s_command.type, COMMAND_CHECK_NOW);
}

static void a_call_to_all_that_is_no_json_is_refused(void **state)
{
    (void)state;
    parse_on("ota/update", "https://evil.example/x.bin");
    assert_int_equal(s_command.type, COMMAND_REFUSED);
    parse_on("ota/update", "[]");
    assert_int_equal(s_command.type, COMMAND_REFUSED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_update_command_is_read_whole),
        cmocka_unit_test(unknown_keys_are_ignored),
        cmocka_unit_test(a_command_of_1_mb_is_refused_unread),
        cmocka_unit_test(a_command_may_have_3072_bytes),
        cmocka_unit_test(json_nested_deep_is_refused),
        cmocka_unit_test(more_keys_than_there_are_tokens_are_refused),
        cmocka_unit_test(another_gateways_topic_is_refused),
        cmocka_unit_test(missing_fields_are_refused),
        cmocka_unit_test(numbers_instead_of_strings_are_refused),
        cmocka_unit_test(escapes_in_strings_are_undone),
        cmocka_unit_test(a_signed_part_with_an_escape_is_refused),
        cmocka_unit_test(of_a_key_given_twice_the_last_one_counts),
        cmocka_unit_test(a_nul_in_a_string_is_refused),
        cmocka_unit_test(texts_beyond_their_bounds_are_refused),
        cmocka_unit_test(what_would_break_a_log_or_a_report_is_no_execution_id),
        cmocka_unit_test(a_url_without_tls_is_refused),
        cmocka_unit_test(what_is_no_jws_in_compact_form_is_refused),
        cmocka_unit_test(what_is_no_json_object_is_refused),
        cmocka_unit_test(a_call_to_all_means_check_now),
        cmocka_unit_test(a_url_in_a_call_to_all_is_accepted_and_ignored),
        cmocka_unit_test(a_call_to_all_that_is_no_json_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
