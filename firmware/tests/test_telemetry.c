#include "core/record.h"
#include "core/telemetry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static sample_t s_sample;
static char s_text[MESSAGE_MAX_BYTES];

static int set_up(void **state)
{
    (void)state;
    bool ok = sample_init(&s_sample, "D01") && sample_add(&s_sample, "energia", "kWh", (decimal_t){12345, 2});
    s_sample.moment = (moment_t){.stamped = true, .unix_s = 1771439400};
    return ok ? 0 : 1;
}

static void the_topic_has_both_codes(void **state)
{
    (void)state;
    assert_int_equal(telemetry_topic("GW-1", "D01", s_text, sizeof(s_text)), 23);
    assert_string_equal(s_text, "telemetry/GW-1/D01/data");
}

static void the_longest_codes_fit_a_topic(void **state)
{
    (void)state;
    char code[CODE_MAX_CHARS + 1] = "";
    char topic[TOPIC_MAX_CHARS + 1];
    memset(code, 'a', CODE_MAX_CHARS);
    assert_int_equal(telemetry_topic(code, code, topic, sizeof(topic)), 144);
    assert_int_equal(telemetry_topic(code, code, topic, 145), 144);
    assert_int_equal(telemetry_topic(code, code, topic, 144), 0);
}

static void what_is_no_code_makes_no_topic(void **state)
{
    (void)state;
    assert_int_equal(telemetry_topic("GW/1", "D01", s_text, sizeof(s_text)), 0);
    assert_int_equal(telemetry_topic("GW-1", "#", s_text, sizeof(s_text)), 0);
}

static void the_payload_is_the_contracts(void **state)
{
    (void)state;
    size_t len = telemetry_payload("GW-1", &s_sample, s_text, sizeof(s_text));
    assert_string_equal(s_text,
                        "{\"gateway_code\":\"GW-1\",\"device_code\":\"D01\",\"timestamp\":\"2026-02-18T18:30:00Z\","
                        "\"leituras\":[{\"tipo\":\"energia\",\"valor\":123.45,\"unidade\":\"kWh\"}]}");
    assert_int_equal(len, strlen(s_text));
}

static void quotes_in_names_are_escaped(void **state)
{
    (void)state;
    assert_true(sample_add(&s_sample, "a\"b\\c", "\"", (decimal_t){0, 0}));
    assert_true(telemetry_payload("GW-1", &s_sample, s_text, sizeof(s_text)) > 0);
    assert_non_null(strstr(s_text, "{\"tipo\":\"a\\\"b\\\\c\",\"valor\":0,\"unidade\":\"\\\"\"}"));
}

static void what_has_no_time_is_not_sent(void **state)
{
    (void)state;
    s_sample.moment.stamped = false;
    assert_int_equal(telemetry_payload("GW-1", &s_sample, s_text, sizeof(s_text)), 0);
    s_sample.moment = (moment_t){.stamped = true, .unix_s = INT64_MAX};
    assert_int_equal(telemetry_payload("GW-1", &s_sample, s_text, sizeof(s_text)), 0);
}

static void a_sample_without_readings_is_not_sent(void **state)
{
    (void)state;
    s_sample.count = 0;
    assert_int_equal(telemetry_payload("GW-1", &s_sample, s_text, sizeof(s_text)), 0);
}

static void a_gateway_without_a_code_sends_nothing(void **state)
{
    (void)state;
    assert_int_equal(telemetry_payload("", &s_sample, s_text, sizeof(s_text)), 0);
}

static void a_message_is_written_whole_or_not_at_all(void **state)
{
    (void)state;
    size_t len = telemetry_payload("GW-1", &s_sample, s_text, sizeof(s_text));
    for (size_t cap = 0; cap <= len; cap++) {
        assert_int_equal(telemetry_payload("GW-1", &s_sample, s_text, cap), 0);
    }
    assert_int_equal(telemetry_payload("GW-1", &s_sample, s_text, len + 1), len);
}

/* The worst that the outbox takes: quotes alone, which double, and numbers of full length. */
static void whatever_fits_a_record_fits_a_message(void **state)
{
    (void)state;
    static uint8_t record[RECORD_MAX_BYTES];
    char code[CODE_MAX_CHARS + 1] = "";
    memset(code, 'a', CODE_MAX_CHARS);
    assert_true(sample_init(&s_sample, code));
    s_sample.moment = (moment_t){.stamped = true, .unix_s = 1771439400};
    for (size_t i = 0; i < SAMPLE_MAX_READINGS; i++) {
        char tipo[TIPO_MAX_BYTES + 1] = "";
        memset(tipo, '"', 26);
        tipo[0] = (char)('a' + i);
        assert_true(sample_add(&s_sample, tipo, "", (decimal_t){INT64_MIN, 9}));
    }
    size_t len = record_encode(&s_sample, record, sizeof(record));
    assert_in_range(len, RECORD_MAX_BYTES - 30, RECORD_MAX_BYTES);
    assert_true(telemetry_payload(code, &s_sample, s_text, sizeof(s_text)) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_topic_has_both_codes),
        cmocka_unit_test(the_longest_codes_fit_a_topic),
        cmocka_unit_test(what_is_no_code_makes_no_topic),
        cmocka_unit_test_setup(the_payload_is_the_contracts, set_up),
        cmocka_unit_test_setup(quotes_in_names_are_escaped, set_up),
        cmocka_unit_test_setup(what_has_no_time_is_not_sent, set_up),
        cmocka_unit_test_setup(a_sample_without_readings_is_not_sent, set_up),
        cmocka_unit_test_setup(a_gateway_without_a_code_sends_nothing, set_up),
        cmocka_unit_test_setup(a_message_is_written_whole_or_not_at_all, set_up),
        cmocka_unit_test(whatever_fits_a_record_fits_a_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
