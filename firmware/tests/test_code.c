#include "core/code.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static bool is_code(const char *text)
{
    return code_is_valid(text, strlen(text));
}

static void letters_digits_dots_dashes_and_underscores_are_a_code(void **state)
{
    (void)state;
    assert_true(is_code("GW-TEST-001"));
    assert_true(is_code("a"));
    assert_true(is_code("Z"));
    assert_true(is_code("0._-"));
    assert_true(is_code("zZ9"));
}

static void a_code_begins_with_a_letter_or_a_digit(void **state)
{
    (void)state;
    assert_false(is_code(".a"));
    assert_false(is_code("_a"));
    assert_false(is_code("-a"));
}

static void a_code_has_1_to_64_characters(void **state)
{
    (void)state;
    char longest[65];
    memset(longest, 'a', sizeof(longest));
    assert_false(is_code(""));
    assert_true(code_is_valid(longest, 64));
    assert_false(code_is_valid(longest, 65));
}

static void what_could_leave_its_topic_level_is_no_code(void **state)
{
    (void)state;
    assert_false(is_code("a/b"));
    assert_false(is_code("a+"));
    assert_false(is_code("a#"));
    assert_false(is_code("a\n"));
    assert_false(is_code("a b"));
    assert_false(code_is_valid("a\0b", 3));
    assert_false(is_code("caf\xC3\xA9"));
    assert_false(is_code("a@"));
    assert_false(is_code("a["));
    assert_false(is_code("a`"));
    assert_false(is_code("a{"));
    assert_false(is_code("a:"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(letters_digits_dots_dashes_and_underscores_are_a_code),
        cmocka_unit_test(a_code_begins_with_a_letter_or_a_digit),
        cmocka_unit_test(a_code_has_1_to_64_characters),
        cmocka_unit_test(what_could_leave_its_topic_level_is_no_code),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
