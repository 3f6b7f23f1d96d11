#include "core/base64url.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define CHARS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

static uint8_t s_bytes[64];
static size_t s_len;

static bool decode(const char *text)
{
    return base64url_decode(text, strlen(text), s_bytes, sizeof(s_bytes), &s_len);
}

/* RFC 4648, 10, without padding. */
static void the_rfcs_own_examples(void **state)
{
    (void)state;
    static const char *const EXAMPLES[][2] = {
        {"", ""},           {"f", "Zg"},          {"fo", "Zm8"},         {"foo", "Zm9v"},
        {"foob", "Zm9vYg"}, {"fooba", "Zm9vYmE"}, {"foobar", "Zm9vYmFy"}};
    for (size_t i = 0; i < sizeof(EXAMPLES) / sizeof(EXAMPLES[0]); i++) {
        char text[16];
        const char *bytes = EXAMPLES[i][0];
        assert_true(decode(EXAMPLES[i][1]));
        assert_int_equal(s_len, strlen(bytes));
        assert_memory_equal(s_bytes, bytes, s_len);
        assert_int_equal(base64url_encode((const uint8_t *)bytes, s_len, text, sizeof(text)), strlen(EXAMPLES[i][1]));
        assert_memory_equal(text, EXAMPLES[i][1], strlen(EXAMPLES[i][1]));
    }
}

static void every_byte_comes_back(void **state)
{
    (void)state;
    for (size_t len = 1; len <= 4; len++) {
        for (uint32_t value = 0; value < 256; value++) {
            char text[8];
            const uint8_t bytes[4] = {(uint8_t)value, (uint8_t)(255 - value), (uint8_t)(value * 7), (uint8_t)value};
            size_t chars = base64url_encode(bytes, len, text, sizeof(text));
            assert_int_equal(chars, (len * 4 + 2) / 3);
            assert_true(base64url_decode(text, chars, s_bytes, len, &s_len));
            assert_int_equal(s_len, len);
            assert_memory_equal(s_bytes, bytes, len);
        }
    }
}

static void one_text_for_the_same_bytes(void **state)
{
    (void)state;
    size_t two = 0, three = 0;
    for (size_t i = 0; i < 64; i++) {
        const char text_of_1[] = {'A', CHARS[i], '\0'};
        const char text_of_2[] = {'A', 'A', CHARS[i], '\0'};
        two += decode(text_of_1);
        three += decode(text_of_2);
    }
    assert_int_equal(two, 64 / 16);  /* four bits are unused */
    assert_int_equal(three, 64 / 4); /* two are */
}

static void no_character_but_those_64(void **state)
{
    (void)state;
    size_t taken = 0;
    for (int c = 0; c < 256; c++) {
        const char text[] = {'A', 'A', 'A', (char)c};
        taken += base64url_decode(text, sizeof(text), s_bytes, sizeof(s_bytes), &s_len);
    }
    assert_int_equal(taken, 64);
    assert_false(decode("Zg=="));
    assert_false(decode("Zm8="));
    assert_false(decode("Zm9v\n"));
    assert_false(decode("Zm 9v"));
    assert_false(decode("Zm9vY"));
    assert_false(decode("A"));
    assert_int_equal(s_len, 0);
}

static void what_does_not_fit_is_refused(void **state)
{
    (void)state;
    uint8_t guarded[4] = {0, 0, 0, 0x55};
    char text[6] = "-----";
    assert_false(base64url_decode("Zm9vYg", 6, guarded, 3, &s_len));
    assert_int_equal(guarded[3], 0x55);
    assert_true(base64url_decode("Zm9v", 4, guarded, 3, &s_len));
    for (size_t cap = 0; cap < 4; cap++) {
        assert_int_equal(base64url_encode((const uint8_t *)"foo", 3, text, cap), 0);
        assert_int_equal(base64url_encode((const uint8_t *)"fo", 2, text, cap), cap < 3 ? 0 : 3);
    }
    assert_int_equal(text[4], '-');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_rfcs_own_examples),        cmocka_unit_test(every_byte_comes_back),
        cmocka_unit_test(one_text_for_the_same_bytes),  cmocka_unit_test(no_character_but_those_64),
        cmocka_unit_test(what_does_not_fit_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
