#include "core/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void assert_point(const char *text, size_t bytes, uint32_t wanted)
{
    uint32_t code_point = 0;
    assert_int_equal(utf8_next(text, strlen(text), &code_point), bytes);
    assert_int_equal(code_point, wanted);
}

static void assert_none(const char *text)
{
    uint32_t code_point = 0;
    assert_int_equal(utf8_next(text, strlen(text), &code_point), 0);
}

static void sequences_of_one_to_four_bytes_are_code_points(void **state)
{
    (void)state;
    assert_point("A", 1, 'A');
    assert_point("\x7F", 1, 0x7F);
    assert_point("\xC2\x80", 2, 0x80);
    assert_point("\xC2\xB0", 2, 0xB0);
    assert_point("\xDF\xBF", 2, 0x7FF);
    assert_point("\xE0\xA0\x80", 3, 0x800);
    assert_point("\xED\x9F\xBF", 3, 0xD7FF);
    assert_point("\xEE\x80\x80", 3, 0xE000);
    assert_point("\xEF\xBF\xBF", 3, 0xFFFF);
    assert_point("\xF0\x90\x80\x80", 4, 0x10000);
    assert_point("\xF4\x8F\xBF\xBF", 4, 0x10FFFF);
}

static void code_points_are_written_as_they_are_read(void **state)
{
    (void)state;
    for (uint32_t point = 0; point <= 0x10FFFF; point += point < 0x3000 ? 1 : 251) {
        char bytes[4];
        uint32_t again = 0;
        size_t len = utf8_write(point, bytes);
        bool is_half = point >= 0xD800 && point <= 0xDFFF;
        assert_int_equal(utf8_next(bytes, len, &again), is_half ? 0 : len);
        assert_int_equal(again, is_half ? 0 : point);
    }
}

static void a_nul_is_a_code_point_like_any_other(void **state)
{
    (void)state;
    uint32_t code_point = 1;
    assert_int_equal(utf8_next("", 1, &code_point), 1);
    assert_int_equal(code_point, 0);
}

static void nothing_is_no_code_point(void **state)
{
    (void)state;
    assert_none("");
}

static void overlong_forms_are_refused(void **state)
{
    (void)state;
    assert_none("\xC0\x80");
    assert_none("\xC1\xBF");
    assert_none("\xE0\x9F\xBF");
    assert_none("\xF0\x8F\xBF\xBF");
}

static void halves_of_surrogate_pairs_are_refused(void **state)
{
    (void)state;
    assert_none("\xED\xA0\x80");
    assert_none("\xED\xBF\xBF");
}

static void what_is_beyond_unicode_is_refused(void **state)
{
    (void)state;
    assert_none("\xF4\x90\x80\x80");
    assert_none("\xF5\x80\x80\x80");
    assert_none("\xFF");
}

static void sequences_cut_short_are_refused(void **state)
{
    (void)state;
    assert_none("\x80");
    assert_none("\xC2");
    assert_none("\xE2\x82");
    assert_none("\xE2\x82(");
    assert_none("\xF0\x9F\x98");
    assert_none("\xC2\xC2");
}

static void format_and_control_characters_are_not_visible(void **state)
{
    (void)state;
    assert_true(utf8_is_visible_text("temperatura \xC2\xB0"
                                     "C",
                                     15));
    assert_true(utf8_is_visible_text("", 0));
    assert_false(utf8_is_visible_text("a\nb", 3));
    assert_false(utf8_is_visible_text("a\x7F", 2));
    assert_false(utf8_is_visible_text("\xC2\x85", 2));
    assert_false(utf8_is_visible_text("\xC2\xAD", 2));
    assert_false(utf8_is_visible_text("a\xE2\x80\x8B", 4));
    assert_false(utf8_is_visible_text("\xEF\xBB\xBF", 3));
    assert_false(utf8_is_visible_text("\xF3\xA0\x81\xBF", 4));
    assert_false(utf8_is_visible_text("\xFF", 1));
    assert_true(utf8_is_visible_text("\xF3\xA0\x82\x80", 4));
    assert_true(utf8_is_visible_text("\xC2\xA0", 2));
}

static void the_ends_of_each_range_are_in_it(void **state)
{
    (void)state;
    static const uint32_t INSIDE[] = {0,      0x1F,   0x7F,   0x9F,   0xAD,   0x600,  0x605,   0x61C,   0x200B,
                                      0x200F, 0x2060, 0x2064, 0x2066, 0xFFF9, 0xFFFB, 0x1D173, 0x1D17A, 0xE007F};
    static const uint32_t OUTSIDE[] = {0x20, 0x7E, 0xA0, 0xAC, 0xAE, 0x606, 0x2065, 0xFFFC, 0xE0080, 0x10FFFF};
    for (size_t i = 0; i < sizeof(INSIDE) / sizeof(INSIDE[0]); i++) {
        assert_true(utf8_is_invisible(INSIDE[i]));
    }
    for (size_t i = 0; i < sizeof(OUTSIDE) / sizeof(OUTSIDE[0]); i++) {
        assert_false(utf8_is_invisible(OUTSIDE[i]));
    }
}

static void text_may_have_format_characters_and_no_controls(void **state)
{
    (void)state;
    assert_true(utf8_is_text("a\xE2\x80\x8D"
                             "b",
                             5));
    assert_false(utf8_is_text("\x1B[A", 3));
    assert_false(utf8_is_text("\x7F", 1));
    assert_false(utf8_is_text("\xC2\x9B", 2));
    assert_false(utf8_is_text("\xC3", 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sequences_of_one_to_four_bytes_are_code_points),
        cmocka_unit_test(code_points_are_written_as_they_are_read),
        cmocka_unit_test(a_nul_is_a_code_point_like_any_other),
        cmocka_unit_test(nothing_is_no_code_point),
        cmocka_unit_test(overlong_forms_are_refused),
        cmocka_unit_test(halves_of_surrogate_pairs_are_refused),
        cmocka_unit_test(what_is_beyond_unicode_is_refused),
        cmocka_unit_test(sequences_cut_short_are_refused),
        cmocka_unit_test(format_and_control_characters_are_not_visible),
        cmocka_unit_test(the_ends_of_each_range_are_in_it),
        cmocka_unit_test(text_may_have_format_characters_and_no_controls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
