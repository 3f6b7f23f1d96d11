#include "core/json_out.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void structure_texts_and_numbers_are_written_in_order(void **state)
{
    (void)state;
    char text[64];
    json_out_t out;
    json_out_init(&out, text, sizeof(text));
    json_out_raw(&out, "{\"a\":");
    json_out_string(&out, "b", 1);
    json_out_raw(&out, ",\"c\":");
    json_out_decimal(&out, (decimal_t){-125, 3});
    json_out_raw(&out, ",\"d\":");
    json_out_int(&out, INT64_MIN);
    json_out_raw(&out, "}");
    assert_true(json_out_end(&out));
    assert_string_equal(text, "{\"a\":\"b\",\"c\":-0.125,\"d\":-9223372036854775808}");
    assert_int_equal(out.len_bytes, strlen(text));
}

static void quotes_backslashes_and_control_characters_are_escaped(void **state)
{
    (void)state;
    char text[64];
    json_out_t out;
    json_out_init(&out, text, sizeof(text));
    json_out_string(&out, "a\"b\\c\n\x1F\0d", 9);
    assert_true(json_out_end(&out));
    assert_string_equal(text, "\"a\\\"b\\\\c\\u000a\\u001f\\u0000d\"");
}

static void utf8_is_left_as_it_is(void **state)
{
    (void)state;
    char text[16];
    json_out_t out;
    json_out_init(&out, text, sizeof(text));
    json_out_string(&out,
                    "\xC2\xB0"
                    "C\x7F",
                    4);
    assert_true(json_out_end(&out));
    assert_string_equal(text, "\"\xC2\xB0"
                              "C\x7F\"");
}

static void what_fits_to_the_last_byte_is_written(void **state)
{
    (void)state;
    char text[4];
    json_out_t out;
    json_out_init(&out, text, sizeof(text));
    json_out_raw(&out, "123");
    assert_true(json_out_end(&out));
    assert_string_equal(text, "123");
}

static void nothing_is_written_behind_an_overflow(void **state)
{
    (void)state;
    char text[5] = "xxxx";
    json_out_t out;
    json_out_init(&out, text, sizeof(text));
    json_out_raw(&out, "12");
    json_out_raw(&out, "345");
    json_out_raw(&out, "6");
    assert_false(json_out_end(&out));
    assert_string_equal(text, "12");
    assert_true(out.overflow);
}

static void a_buffer_of_no_bytes_is_never_touched(void **state)
{
    (void)state;
    char text = 'x';
    json_out_t out;
    json_out_init(&out, &text, 0);
    json_out_raw(&out, "");
    assert_false(json_out_end(&out));
    assert_int_equal(text, 'x');
}

static void a_decimal_of_too_many_places_is_an_overflow(void **state)
{
    (void)state;
    char text[64];
    json_out_t out;
    json_out_init(&out, text, sizeof(text));
    json_out_decimal(&out, (decimal_t){1, 10});
    assert_false(json_out_end(&out));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(structure_texts_and_numbers_are_written_in_order),
        cmocka_unit_test(quotes_backslashes_and_control_characters_are_escaped),
        cmocka_unit_test(utf8_is_left_as_it_is),
        cmocka_unit_test(what_fits_to_the_last_byte_is_written),
        cmocka_unit_test(nothing_is_written_behind_an_overflow),
        cmocka_unit_test(a_buffer_of_no_bytes_is_never_touched),
        cmocka_unit_test(a_decimal_of_too_many_places_is_an_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
