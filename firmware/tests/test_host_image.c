/* data/host_image.bin is what tools/pack_image.py makes of two lines of shell; tests/launcher/test_launcher.py checks
 * that it still does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/le.h"
#include "port/fake/fake_flash.h"
#include "port/posix/launcher/host_image.h"

#define SLOT_BYTES (4 * OUTBOX_SECTOR_BYTES)
#define PROGRAM "#!/bin/sh\necho hello\n"

static uint8_t s_medium[SLOT_BYTES], s_image[1024];
static uint32_t s_image_bytes;
static fake_flash_t s_flash;
static host_image_t s_found;

static int begin(void **state)
{
    (void)state;
    FILE *file = fopen(TEST_DATA "/host_image.bin", "rb");
    assert_non_null(file);
    s_image_bytes = (uint32_t)fread(s_image, 1, sizeof(s_image), file);
    fclose(file);
    fake_flash_init(&s_flash, s_medium, SLOT_BYTES, 1);
    fake_flash_blank(&s_flash);
    memcpy(s_medium, s_image, s_image_bytes);
    return 0;
}

static const char *check(void)
{
    return host_image_check(&s_flash.port, &s_found);
}

static void a_whole_image_says_what_it_is_and_where_its_program_is(void **state)
{
    (void)state;
    assert_null(check());
    assert_int_equal(s_found.len_bytes, s_image_bytes);
    assert_string_equal(s_found.project, "dcu-0080");
    assert_string_equal(s_found.version, "1.2.3");
    assert_int_equal(s_found.secure_version, 7);
    assert_memory_equal(s_medium + s_found.program_offset_bytes, PROGRAM, strlen(PROGRAM));
    assert_true(s_found.program_len_bytes >= strlen(PROGRAM) && s_found.program_len_bytes < strlen(PROGRAM) + 4);
}

static void any_bit_that_is_another_makes_it_none(void **state)
{
    (void)state;
    for (uint32_t bit = 0; bit < s_image_bytes * 8; bit++) {
        s_medium[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_non_null(check());
        s_medium[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_null(check());
}

static void an_image_that_is_cut_short_anywhere_is_none(void **state)
{
    (void)state;
    for (uint32_t len_bytes = 0; len_bytes < s_image_bytes; len_bytes++) {
        memset(s_medium, 0xFF, SLOT_BYTES);
        memcpy(s_medium, s_image, len_bytes);
        assert_non_null(check());
        s_flash.port.size_bytes = len_bytes; /* nor behind the end of a slot */
        assert_non_null(check());
        s_flash.port.size_bytes = SLOT_BYTES;
    }
    memcpy(s_medium, s_image, s_image_bytes);
    s_flash.port.size_bytes = s_image_bytes;
    assert_null(check());
}

static void lengths_that_lie_are_not_followed(void **state)
{
    (void)state;
    const uint32_t lengths[] = {0, 1, 255, 257, SLOT_BYTES, INT32_MAX, UINT32_MAX - 7, UINT32_MAX};
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        le_put32(s_medium + 28, lengths[i]); /* of the descriptor */
        assert_non_null(check());
        memcpy(s_medium, s_image, s_image_bytes);
        le_put32(s_medium + 292, lengths[i]); /* of the program */
        assert_non_null(check());
        memcpy(s_medium, s_image, s_image_bytes);
    }
}

static void each_kind_of_wrong_image_has_its_sentence(void **state)
{
    (void)state;
    s_medium[0] = 0xE8;
    assert_string_equal(check(), "holds no image");
    s_medium[0] = 0xE9;
    le_put16(s_medium + 12, 0); /* ESP32 */
    assert_string_equal(check(), "holds an image for a chip, not for a host");
    le_put16(s_medium + 12, IMAGE_CHIP_HOST);
    s_medium[23] = 0;
    assert_string_equal(check(), "holds an image of another form: 1 to 16 segments and a hash are expected");
    s_medium[23] = 1;
    s_medium[1] = 3;
    assert_string_equal(check(), "holds an image of another form: two segments and a hash are expected");
    s_medium[1] = 2;
    s_medium[32] = 0;
    assert_string_equal(check(), "holds an image without an app descriptor");
    memcpy(s_medium, s_image, s_image_bytes);
    s_medium[s_image_bytes - 33] ^= 1; /* the checksum alone */
    assert_string_equal(check(), "holds an image that is damaged: its checksums are not right");
}

static void a_slot_that_can_not_be_read_is_said_so(void **state)
{
    (void)state;
    uint32_t before = s_flash.reads;
    assert_null(check());
    uint32_t reads = s_flash.reads - before;
    for (uint32_t failing = 1; failing <= reads; failing++) {
        s_flash.fail_reads_from = s_flash.fail_reads_to = s_flash.reads + failing;
        assert_non_null(check());
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_whole_image_says_what_it_is_and_where_its_program_is, begin),
        cmocka_unit_test_setup(any_bit_that_is_another_makes_it_none, begin),
        cmocka_unit_test_setup(an_image_that_is_cut_short_anywhere_is_none, begin),
        cmocka_unit_test_setup(lengths_that_lie_are_not_followed, begin),
        cmocka_unit_test_setup(each_kind_of_wrong_image_has_its_sentence, begin),
        cmocka_unit_test_setup(a_slot_that_can_not_be_read_is_said_so, begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
