#include "core/bounds.h"
#include "core/json_in.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TOKENS 64

static json_token_t s_tokens[TOKENS];
static size_t s_count;

static json_status_t parse_bytes(const char *text, size_t len)
{
    return json_in_parse(text, len, s_tokens, TOKENS, &s_count);
}

static json_status_t parse(const char *text)
{
    return parse_bytes(text, strlen(text));
}

static void assert_malformed(const char *text)
{
    assert_int_equal(parse(text), JSON_MALFORMED);
    assert_int_equal(s_count, 0);
}

static void assert_scalar(const char *text, json_type_t type)
{
    assert_int_equal(parse(text), JSON_OK);
    assert_int_equal(s_count, 1);
    assert_int_equal(s_tokens[0].type, type);
}

static void assert_text(const char *json, const char *wanted)
{
    char out[64];
    assert_scalar(json, JSON_STRING);
    assert_true(json_in_string(json, &s_tokens[0], out, sizeof(out)));
    assert_string_equal(out, wanted);
}

static void scalars_stand_alone(void **state)
{
    (void)state;
    assert_scalar("true", JSON_TRUE);
    assert_scalar("false", JSON_FALSE);
    assert_scalar("null", JSON_NULL);
    assert_scalar("0", JSON_NUMBER);
    assert_scalar("\"\"", JSON_STRING);
    assert_scalar(" \t\r\n1 \t\r\n", JSON_NUMBER);
}

static void tokens_say_where_values_begin_and_end(void **state)
{
    (void)state;
    const char *text = "{\"a\": [1, {}, \"xy\"], \"b\": null}";
    assert_int_equal(parse(text), JSON_OK);
    assert_int_equal(s_count, 8);
    assert_int_equal(s_tokens[0].type, JSON_OBJECT);
    assert_int_equal(s_tokens[0].start, 0);
    assert_int_equal(s_tokens[0].end, strlen(text));
    assert_int_equal(s_tokens[0].next, 8);
    assert_int_equal(s_tokens[1].type, JSON_STRING);
    assert_int_equal(s_tokens[1].start, 2);
    assert_int_equal(s_tokens[1].end, 3);
    assert_int_equal(s_tokens[2].type, JSON_ARRAY);
    assert_int_equal(s_tokens[2].next, 6);
    assert_int_equal(s_tokens[3].type, JSON_NUMBER);
    assert_int_equal(s_tokens[4].type, JSON_OBJECT);
    assert_int_equal(s_tokens[4].next, 5);
    assert_int_equal(s_tokens[5].type, JSON_STRING);
    assert_int_equal(s_tokens[7].type, JSON_NULL);
}

static void numbers_are_those_of_rfc_8259(void **state)
{
    (void)state;
    static const char *const GOOD[] = {"0", "-0", "10", "-1.5", "0.25", "1e5", "1E+05", "12.5e-3", "0e0"};
    static const char *const BAD[] = {"01", "-01", "-",   "+1", ".5",  "1.", "1.e2",
                                      "1e", "1e+", "0x1", "1a", "--1", "1 2"};
    for (size_t i = 0; i < sizeof(GOOD) / sizeof(GOOD[0]); i++) {
        assert_scalar(GOOD[i], JSON_NUMBER);
    }
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
        assert_malformed(BAD[i]);
    }
}

static void words_that_json_does_not_know_are_refused(void **state)
{
    (void)state;
    static const char *const BAD[] = {"NaN", "Infinity", "-Infinity", "True", "nul", "nulll", "undefined", "t", "'a'"};
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
        assert_malformed(BAD[i]);
    }
}

static void what_is_not_whole_is_refused(void **state)
{
    (void)state;
    static const char *const BAD[] = {"",        " ",        "{",         "[",  "\"",  "\"a",       "{\"a\"",
                                      "{\"a\":", "{\"a\":1", "{\"a\":1,", "[1", "[1,", "{\"a\" 1}", "{\"a\":1 \"b\":2}",
                                      "[1 2]",   "[1}",      "{\"a\":1]", "}"};
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
        assert_malformed(BAD[i]);
    }
}

static void a_comma_too_many_is_refused(void **state)
{
    (void)state;
    assert_malformed("[1,]");
    assert_malformed("[,1]");
    assert_malformed("[1,,2]");
    assert_malformed("{\"a\":1,}");
    assert_malformed("{,\"a\":1}");
}

static void a_key_must_be_a_string(void **state)
{
    (void)state;
    assert_malformed("{1:2}");
    assert_malformed("{a:2}");
    assert_malformed("{null:2}");
}

static void anything_behind_the_value_is_refused(void **state)
{
    (void)state;
    assert_malformed("1 1");
    assert_malformed("{}{}");
    assert_malformed("{} x");
    assert_int_equal(parse_bytes("{}\0", 3), JSON_MALFORMED);
}

static void a_byte_order_mark_is_refused(void **state)
{
    (void)state;
    assert_malformed("\xEF\xBB\xBF{}");
}

static void invalid_utf8_is_refused(void **state)
{
    (void)state;
    assert_malformed("\"\x80\"");
    assert_malformed("\"\xE2\x82\"");
    assert_malformed("\"\xC0\x80\"");
    assert_malformed("\"\xED\xA0\x80\"");
    assert_malformed("\"\xF4\x90\x80\x80\"");
}

static void control_characters_in_strings_are_refused(void **state)
{
    (void)state;
    assert_malformed("\"a\nb\"");
    assert_malformed("\"a\x1F\"");
    assert_int_equal(parse_bytes("\"a\0b\"", 5), JSON_MALFORMED);
    assert_scalar("\"\x7F\"", JSON_STRING);
}

static void escapes_are_undone(void **state)
{
    (void)state;
    assert_text("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t");
    assert_text("\"\\u0041\\u00b0\\u20ac\"", "A\xC2\xB0\xE2\x82\xAC");
    assert_text("\"\\uD83D\\uDE00\"", "\xF0\x9F\x98\x80");
    assert_text("\"\\ud800\\udc00\\uDBFF\\udfff\"", "\xF0\x90\x80\x80\xF4\x8F\xBF\xBF");
    assert_text("\"\\\\ud800\"", "\\ud800");
    assert_text("\"\xC2\xB0\"", "\xC2\xB0");
}

static void unknown_and_unfinished_escapes_are_refused(void **state)
{
    (void)state;
    static const char *const BAD[] = {"\"\\x41\"", "\"\\\"",  "\"\\u00b\"", "\"\\u00bg\"",
                                      "\"\\u",     "\"\\a\"", "\"\\U0041\""};
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
        assert_malformed(BAD[i]);
    }
    assert_int_equal(parse_bytes("\"\\\0\"", 4), JSON_MALFORMED);
    assert_int_equal(parse_bytes("\"\\", 2), JSON_MALFORMED);
}

static void half_a_surrogate_pair_is_refused(void **state)
{
    (void)state;
    static const char *const BAD[] = {
        "\"\\ud83d\"",        "\"\\ude00\"",        "\"\\ude00\\ud83d\"", "\"\\ud83d\\n\"",   "\"\\ud83dxx\"",
        "\"\\ud83d\\u0041\"", "\"\\ud83d\\ue000\"", "\"\\ud83d\\ud83d\"", "\"\\ud83d\\u12\"", "\"\\ud83d\\xde00\"",
    };
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
        assert_malformed(BAD[i]);
    }
}

/* Exactly so many bytes: whoever looks behind them is caught by the sanitizer. */
static void nothing_is_read_behind_the_end(void **state)
{
    (void)state;
    static const char WHOLE[] = "{\"a\":[true,-1.5e+2,\"\\ud83d\\ude00\xC2\xB0\"]}";
    for (size_t len = 0; len < sizeof(WHOLE) - 1; len++) {
        char *exact = malloc(len + 1);
        assert_non_null(exact);
        memcpy(exact + 1, WHOLE, len);
        assert_int_equal(parse_bytes(exact + 1, len), JSON_MALFORMED);
        free(exact);
    }
}

static void nesting_ends_at_16_levels(void **state)
{
    (void)state;
    assert_int_equal(JSON_MAX_DEPTH, 16);
    assert_int_equal(parse("[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]"), JSON_OK);
    assert_int_equal(parse("[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]"), JSON_TOO_DEEP);
    assert_int_equal(parse("[[[[[[[[[[[[[[[[{}]]]]]]]]]]]]]]]]"), JSON_TOO_DEEP);
    assert_int_equal(parse("[[],[],[[]],{}]"), JSON_OK);
}

static void json_nested_10000_deep_is_refused(void **state)
{
    (void)state;
    static char deep[20000];
    memset(deep, '[', 10000);
    memset(deep + 10000, ']', 10000);
    assert_int_equal(parse_bytes(deep, sizeof(deep)), JSON_TOO_DEEP);
    memset(deep, '[', sizeof(deep));
    assert_int_equal(parse_bytes(deep, sizeof(deep)), JSON_TOO_DEEP);
}

static void more_tokens_than_there_is_room_for_are_refused(void **state)
{
    (void)state;
    size_t count = 0;
    json_token_t three[3];
    assert_int_equal(json_in_parse("[1,2]", 5, three, 3, &count), JSON_OK);
    assert_int_equal(count, 3);
    assert_int_equal(json_in_parse("[1,2,3]", 7, three, 3, &count), JSON_TOO_MANY);
    assert_int_equal(json_in_parse("[1,2,[]]", 8, three, 3, &count), JSON_TOO_MANY);
    assert_int_equal(json_in_parse("[1,2,\"\"]", 8, three, 3, &count), JSON_TOO_MANY);
    assert_int_equal(json_in_parse("1", 1, three, 0, &count), JSON_TOO_MANY);
    assert_int_equal(json_in_parse("{\"a\":\"\"}", 8, three, 2, &count), JSON_TOO_MANY);
    assert_int_equal(count, 0);
}

static void texts_end_at_65535_bytes(void **state)
{
    (void)state;
    static char text[65536];
    memset(text, ' ', sizeof(text));
    text[65534] = '1';
    assert_int_equal(parse_bytes(text, 65535), JSON_OK);
    assert_int_equal(s_tokens[0].start, 65534);
    assert_int_equal(s_tokens[0].end, 65535);
    assert_int_equal(parse_bytes(text, 65536), JSON_TOO_LONG);
}

static const json_token_t *get(const char *text, const char *key)
{
    assert_int_equal(parse(text), JSON_OK);
    return json_in_get(text, s_tokens, &s_tokens[0], key);
}

static void a_key_is_found_in_its_own_object_only(void **state)
{
    (void)state;
    assert_null(get("{\"a\":{\"b\":1},\"c\":[{\"b\":2}]}", "b"));
    assert_non_null(get("{\"a\":{\"b\":1},\"b\":true}", "b"));
    assert_int_equal(get("{\"a\":{\"b\":1},\"b\":true}", "b")->type, JSON_TRUE);
    assert_null(get("{}", "b"));
    assert_null(get("[\"b\",1]", "b"));
    assert_null(get("\"b\"", "b"));
}

static void a_string_that_is_a_value_is_no_key(void **state)
{
    (void)state;
    assert_null(get("{\"a\":\"b\",\"c\":1}", "b"));
}

static void of_a_key_given_twice_the_last_one_counts(void **state)
{
    (void)state;
    int64_t value = 0;
    const char *text = "{\"a\":1,\"b\":5,\"a\":{\"a\":2},\"a\":3}";
    const json_token_t *token = get(text, "a");
    assert_non_null(token);
    assert_true(json_in_int(text, token, &value));
    assert_int_equal(value, 3);
}

static void keys_are_the_same_escaped_or_not(void **state)
{
    (void)state;
    assert_non_null(get("{\"leitur\\u0061s\":1}", "leituras"));
    assert_non_null(get("{\"\\u00e7\":1}", "\xC3\xA7"));
    assert_null(get("{\"leituras\\u0000\":1}", "leituras"));
    assert_null(get("{\"leitura\":1}", "leituras"));
    assert_null(get("{\"leiturasx\":1}", "leituras"));
    assert_null(get("{\"Leituras\":1}", "leituras"));
    assert_non_null(get("{\"\":1}", ""));
}

static void a_string_is_copied_only_whole(void **state)
{
    (void)state;
    char out[4] = "xxx";
    assert_scalar("\"abc\"", JSON_STRING);
    assert_true(json_in_string("\"abc\"", &s_tokens[0], out, 4));
    assert_string_equal(out, "abc");
    assert_false(json_in_string("\"abc\"", &s_tokens[0], out, 3));
    assert_false(json_in_string("\"abc\"", &s_tokens[0], out, 0));
    assert_scalar("\"ab\xC2\xB0\"", JSON_STRING);
    assert_false(json_in_string("\"ab\xC2\xB0\"", &s_tokens[0], out, 4));
}

static void a_nul_in_a_string_is_not_copied(void **state)
{
    (void)state;
    char out[8];
    assert_scalar("\"a\\u0000b\"", JSON_STRING);
    assert_false(json_in_string("\"a\\u0000b\"", &s_tokens[0], out, sizeof(out)));
}

static void a_number_instead_of_a_string_is_none(void **state)
{
    (void)state;
    char out[8];
    assert_scalar("12", JSON_NUMBER);
    assert_false(json_in_string("12", &s_tokens[0], out, sizeof(out)));
}

static bool get_int(const char *text, int64_t *out)
{
    assert_int_equal(parse(text), JSON_OK);
    return json_in_int(text, &s_tokens[0], out);
}

static void whole_numbers_of_64_bits_are_read(void **state)
{
    (void)state;
    int64_t value = 0;
    assert_true(get_int("0", &value));
    assert_int_equal(value, 0);
    assert_true(get_int("-0", &value));
    assert_int_equal(value, 0);
    assert_true(get_int("-17", &value));
    assert_int_equal(value, -17);
    assert_true(get_int("9223372036854775807", &value));
    assert_true(value == INT64_MAX);
    assert_true(get_int("-9223372036854775808", &value));
    assert_true(value == INT64_MIN);
}

static void fractions_exponents_and_what_is_too_large_are_no_whole_numbers(void **state)
{
    (void)state;
    int64_t value = 42;
    assert_false(get_int("1.0", &value));
    assert_false(get_int("1e2", &value));
    assert_false(get_int("9223372036854775808", &value));
    assert_false(get_int("-9223372036854775809", &value));
    assert_false(get_int("99999999999999999999999", &value));
    assert_false(get_int("\"1\"", &value));
    assert_false(get_int("true", &value));
    assert_int_equal(value, 42);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scalars_stand_alone),
        cmocka_unit_test(tokens_say_where_values_begin_and_end),
        cmocka_unit_test(numbers_are_those_of_rfc_8259),
        cmocka_unit_test(words_that_json_does_not_know_are_refused),
        cmocka_unit_test(what_is_not_whole_is_refused),
        cmocka_unit_test(a_comma_too_many_is_refused),
        cmocka_unit_test(a_key_must_be_a_string),
        cmocka_unit_test(anything_behind_the_value_is_refused),
        cmocka_unit_test(a_byte_order_mark_is_refused),
        cmocka_unit_test(invalid_utf8_is_refused),
        cmocka_unit_test(control_characters_in_strings_are_refused),
        cmocka_unit_test(escapes_are_undone),
        cmocka_unit_test(unknown_and_unfinished_escapes_are_refused),
        cmocka_unit_test(half_a_surrogate_pair_is_refused),
        cmocka_unit_test(nothing_is_read_behind_the_end),
        cmocka_unit_test(nesting_ends_at_16_levels),
        cmocka_unit_test(json_nested_10000_deep_is_refused),
        cmocka_unit_test(more_tokens_than_there_is_room_for_are_refused),
        cmocka_unit_test(texts_end_at_65535_bytes),
        cmocka_unit_test(a_key_is_found_in_its_own_object_only),
        cmocka_unit_test(a_string_that_is_a_value_is_no_key),
        cmocka_unit_test(of_a_key_given_twice_the_last_one_counts),
        cmocka_unit_test(keys_are_the_same_escaped_or_not),
        cmocka_unit_test(a_string_is_copied_only_whole),
        cmocka_unit_test(a_nul_in_a_string_is_not_copied),
        cmocka_unit_test(a_number_instead_of_a_string_is_none),
        cmocka_unit_test(whole_numbers_of_64_bits_are_read),
        cmocka_unit_test(fractions_exponents_and_what_is_too_large_are_no_whole_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
