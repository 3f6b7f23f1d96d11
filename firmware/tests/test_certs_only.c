#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/certs_only.h"

// ContentInfo { signedData, [0] SignedData { 1, {}, { data }, [0] { SEQUENCE {01 02 03}, SEQUENCE {04} }, {} } }
static const uint8_t MESSAGE[] = {0x30, 0x2B, 0x06, 0x09, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x07,
                                  0x02, 0xA0, 0x1E, 0x30, 0x1C, 0x02, 0x01, 0x01, 0x31, 0x00, 0x30, 0x0B,
                                  0x06, 0x09, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x07, 0x01, 0xA0,
                                  0x08, 0x30, 0x03, 0x01, 0x02, 0x03, 0x30, 0x01, 0x04};

static void each_certificate_is_found_by_its_place(void **state)
{
    (void)state;
    const uint8_t *found = NULL;
    size_t len = 0;
    assert_true(certs_only_find(MESSAGE, sizeof(MESSAGE), 0, &found, &len));
    assert_int_equal(len, 5);
    assert_memory_equal(found, ((const uint8_t[]){0x30, 0x03, 0x01, 0x02, 0x03}), 5);
    assert_true(certs_only_find(MESSAGE, sizeof(MESSAGE), 1, &found, &len));
    assert_int_equal(len, 3);
    assert_false(certs_only_find(MESSAGE, sizeof(MESSAGE), 2, &found, &len));
}

static void a_message_that_is_cut_short_anywhere_is_none(void **state)
{
    (void)state;
    for (size_t len = 0; len < sizeof(MESSAGE); len++) {
        uint8_t *copy = malloc(len + 1); // so that the sanitizer sees a read behind the end
        assert_non_null(copy);
        memcpy(copy, MESSAGE, len);
        const uint8_t *found = NULL;
        size_t found_len = 0;
        assert_false(certs_only_find(copy, len, 0, &found, &found_len));
        free(copy);
    }
}

static void no_byte_that_is_changed_leads_out_of_the_message(void **state)
{
    (void)state;
    uint8_t copy[sizeof(MESSAGE)];
    for (size_t at = 0; at < sizeof(MESSAGE); at++) {
        for (unsigned value = 0; value < 256; value++) {
            memcpy(copy, MESSAGE, sizeof(MESSAGE));
            copy[at] = (uint8_t)value;
            const uint8_t *found = NULL;
            size_t len = 0;
            if (certs_only_find(copy, sizeof(copy), 0, &found, &len)) {
                assert_true(found >= copy && len <= sizeof(copy) && found + len <= copy + sizeof(copy));
            }
        }
    }
}

static void a_long_certificate_has_its_length_in_two_bytes(void **state)
{
    (void)state;
    uint8_t message[700] = {0x30, 0x82, 0x02, 0x7C, 0x06, 0x09, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01,
                            0x07, 0x02, 0xA0, 0x82, 0x02, 0x6D, 0x30, 0x82, 0x02, 0x69, 0x02, 0x01, 0x01,
                            0x31, 0x00, 0x30, 0x00, 0xA0, 0x82, 0x02, 0x5E, 0x30, 0x82, 0x02, 0x5A};
    const uint8_t *found = NULL;
    size_t len = 0;
    assert_true(certs_only_find(message, sizeof(message), 0, &found, &len));
    assert_int_equal(len, 0x25A + 4);
}

static void another_content_type_is_refused(void **state)
{
    (void)state;
    uint8_t copy[sizeof(MESSAGE)];
    memcpy(copy, MESSAGE, sizeof(MESSAGE));
    copy[12] = 0x01; // id-data
    const uint8_t *found = NULL;
    size_t len = 0;
    assert_false(certs_only_find(copy, sizeof(copy), 0, &found, &len));
}

static void base64_is_undone_in_place_with_its_line_breaks(void **state)
{
    (void)state;
    char text[] = "TW Fu\r\nTQ==\n";
    assert_int_equal(certs_only_unbase64(text, strlen(text)), 4);
    assert_memory_equal(text, "ManM", 4);
}

static void what_is_no_base64_is_refused(void **state)
{
    (void)state;
    static const char *const TEXTS[] = {"", "T", "TWF", "TW=u", "TWFu=", "T===", "TWF*", "\xC3\xA9TWF", "===="};
    for (size_t i = 0; i < sizeof(TEXTS) / sizeof(TEXTS[0]); i++) {
        char copy[16];
        strcpy(copy, TEXTS[i]);
        assert_int_equal(certs_only_unbase64(copy, strlen(copy)), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_certificate_is_found_by_its_place),
        cmocka_unit_test(a_message_that_is_cut_short_anywhere_is_none),
        cmocka_unit_test(no_byte_that_is_changed_leads_out_of_the_message),
        cmocka_unit_test(a_long_certificate_has_its_length_in_two_bytes),
        cmocka_unit_test(another_content_type_is_refused),
        cmocka_unit_test(base64_is_undone_in_place_with_its_line_breaks),
        cmocka_unit_test(what_is_no_base64_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
