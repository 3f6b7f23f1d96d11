/* data/host_image.bin is what tools/pack_image.py makes of two lines of shell; others are built here, segment by
 * segment. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/digest.h"
#include "core/image.h"
#include "core/le.h"
#include "port/fake/fake_crypto.h"

#define IMAGE_CAP_BYTES 8192
#define DESCRIPTOR_BYTES 256

static uint8_t s_bytes[IMAGE_CAP_BYTES];
static uint32_t s_len_bytes;
static fake_crypto_t s_crypto;
static image_t s_image;

static int begin(void **state)
{
    (void)state;
    fake_crypto_init(&s_crypto);
    FILE *file = fopen(TEST_DATA "/host_image.bin", "rb");
    assert_non_null(file);
    s_len_bytes = (uint32_t)fread(s_bytes, 1, sizeof(s_bytes), file);
    fclose(file);
    return 0;
}

static int end(void **state)
{
    (void)state;
    assert_int_equal(s_crypto.under_way, 0);
    return 0;
}

/* ---- Building one */

static void add(const void *data, uint32_t len_bytes)
{
    assert_true(len_bytes <= sizeof(s_bytes) - s_len_bytes);
    memcpy(s_bytes + s_len_bytes, data, len_bytes);
    s_len_bytes += len_bytes;
}

static void add_segment(const void *data, uint32_t len_bytes)
{
    uint8_t header[8];
    le_put32(header, 0x3F400020);
    le_put32(header + 4, len_bytes);
    add(header, sizeof(header));
    add(data, len_bytes);
}

static void add_end(uint8_t checksum)
{
    uint8_t end[16] = {0};
    uint8_t hash[SHA256_BYTES];
    uint32_t len_bytes = 16 - s_len_bytes % 16;
    end[len_bytes - 1] = checksum;
    add(end, len_bytes);
    const digest_part_t all = {s_bytes, s_len_bytes};
    assert_true(digest_of(&s_crypto.port, &all, 1, hash));
    add(hash, sizeof(hash));
}

/* An image of a chip: the descriptor with `more` bytes behind it in its segment, and further segments. */
static void build(uint16_t chip_id, uint32_t more, const uint32_t *lengths, uint8_t count)
{
    uint8_t header[24] = {0xE9, (uint8_t)(count + 1)};
    uint8_t data[4096];
    uint8_t checksum = 0xEF;
    memset(data, 0xA5, sizeof(data));
    memset(data, 0, DESCRIPTOR_BYTES);
    le_put32(data, 0xABCD5432);
    le_put32(data + 4, 3);
    memcpy(data + 16, "1.1.0", 6);
    memcpy(data + 48, "dcu-0080", 9);
    le_put16(header + 12, chip_id);
    header[23] = 1;
    s_len_bytes = 0;
    add(header, sizeof(header));
    add_segment(data, DESCRIPTOR_BYTES + more);
    for (uint32_t i = 0; i < DESCRIPTOR_BYTES + more; i++) {
        checksum ^= data[i];
    }
    memset(data, 0x5B, sizeof(data));
    for (uint8_t i = 0; i < count; i++) {
        add_segment(data, lengths[i]);
        checksum ^= lengths[i] % 2 != 0 ? 0x5B : 0;
    }
    add_end(checksum);
}

/* ---- Looking at it */

static image_status_t look_at(uint32_t len_bytes, uint32_t piece_bytes)
{
    image_status_t status = image_begin(&s_image, &s_crypto.port);
    for (uint32_t at = 0; at < len_bytes; at += piece_bytes) {
        uint32_t left_bytes = len_bytes - at;
        status =
            image_take(&s_image, &s_crypto.port, s_bytes + at, left_bytes < piece_bytes ? left_bytes : piece_bytes);
    }
    return status;
}

static image_status_t look(void)
{
    image_status_t status = look_at(s_len_bytes, s_len_bytes);
    image_give_up(&s_image, &s_crypto.port); /* of one that ended, nothing */
    return status;
}

static void expect_wrong(const char *wrong)
{
    assert_int_equal(look(), IMAGE_NONE);
    assert_string_equal(image_wrong(&s_image), wrong);
}

static void a_whole_image_says_what_it_is_in_whatever_pieces_it_comes(void **state)
{
    (void)state;
    uint8_t hash[SHA256_BYTES];
    const digest_part_t all = {s_bytes, s_len_bytes};
    assert_true(digest_of(&s_crypto.port, &all, 1, hash));
    for (uint32_t piece_bytes = 1; piece_bytes <= s_len_bytes; piece_bytes++) {
        assert_int_equal(look_at(s_len_bytes, piece_bytes), IMAGE_WHOLE);
        assert_int_equal(s_image.chip_id, IMAGE_CHIP_HOST);
        assert_int_equal(s_image.segment_count, 2);
        assert_int_equal(s_image.secure_version, 7);
        assert_string_equal(s_image.version, "1.2.3");
        assert_string_equal(s_image.project, "dcu-0080");
        assert_int_equal(s_image.len_bytes, s_len_bytes);
        assert_int_equal(s_image.last_segment_offset_bytes, 24 + 8 + DESCRIPTOR_BYTES + 8);
        assert_memory_equal(s_image.sha256, hash, sizeof(hash));
        assert_string_equal(image_wrong(&s_image), "");
    }
}

static void what_it_is_for_is_known_after_the_first_288_bytes(void **state)
{
    (void)state;
    assert_int_equal(look_at(IMAGE_HEAD_BYTES - 1, 1), IMAGE_MORE);
    assert_false(s_image.head_known);
    assert_int_equal(image_take(&s_image, &s_crypto.port, s_bytes + IMAGE_HEAD_BYTES - 1, 1), IMAGE_MORE);
    assert_true(s_image.head_known);
    assert_int_equal(s_image.chip_id, IMAGE_CHIP_HOST);
    assert_string_equal(s_image.project, "dcu-0080");
    image_give_up(&s_image, &s_crypto.port);
    assert_int_equal(s_image.status, IMAGE_NONE);
    assert_string_equal(image_wrong(&s_image), "holds an image that is cut short");
}

static void what_comes_behind_an_image_is_not_looked_at(void **state)
{
    (void)state;
    uint32_t len_bytes = s_len_bytes;
    memset(s_bytes + len_bytes, 0xFF, 100);
    s_len_bytes += 100;
    assert_int_equal(look(), IMAGE_WHOLE);
    assert_int_equal(s_image.len_bytes, len_bytes);
    assert_int_equal(image_take(&s_image, &s_crypto.port, s_bytes, s_len_bytes), IMAGE_WHOLE);
}

static void nothing_is_taken_as_nothing(void **state)
{
    (void)state;
    assert_int_equal(image_begin(&s_image, &s_crypto.port), IMAGE_MORE);
    assert_int_equal(image_take(&s_image, &s_crypto.port, s_bytes, 0), IMAGE_MORE);
    image_give_up(&s_image, &s_crypto.port);
}

static void images_of_chips_with_many_segments_are_whole(void **state)
{
    (void)state;
    static const uint32_t LENGTHS[] = {4, 0, 1000, 1, 0};
    for (uint32_t more = 0; more < 40; more++) {
        for (uint8_t count = 0; count <= sizeof(LENGTHS) / sizeof(LENGTHS[0]); count++) {
            build(0x0009, more, LENGTHS, count);
            assert_int_equal(look(), IMAGE_WHOLE);
            assert_int_equal(s_image.chip_id, 9);
            assert_int_equal(s_image.segment_count, count + 1);
            assert_int_equal(s_image.secure_version, 3);
            assert_int_equal(s_image.len_bytes, s_len_bytes);
            assert_int_equal(s_image.last_segment_len_bytes, count == 0 ? DESCRIPTOR_BYTES + more : LENGTHS[count - 1]);
        }
    }
}

static void as_many_segments_as_a_boot_loader_takes_and_no_more(void **state)
{
    (void)state;
    static const uint32_t LENGTHS[IMAGE_MAX_SEGMENTS];
    build(0, 0, LENGTHS, IMAGE_MAX_SEGMENTS - 1);
    assert_int_equal(look(), IMAGE_WHOLE);
    build(0, 0, LENGTHS, IMAGE_MAX_SEGMENTS);
    expect_wrong("holds an image of another form: 1 to 16 segments and a hash are expected");
    s_bytes[1] = 0;
    expect_wrong("holds an image of another form: 1 to 16 segments and a hash are expected");
}

static void any_bit_that_is_another_makes_it_none(void **state)
{
    (void)state;
    for (uint32_t bit = 0; bit < s_len_bytes * 8; bit++) {
        s_bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_not_equal(look(), IMAGE_WHOLE);
        assert_int_equal(s_crypto.under_way, 0);
        s_bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_int_equal(look(), IMAGE_WHOLE);
}

static void an_image_that_is_cut_short_anywhere_is_never_whole(void **state)
{
    (void)state;
    for (uint32_t len_bytes = 0; len_bytes < s_len_bytes; len_bytes++) {
        (void)look_at(len_bytes, s_len_bytes);
        assert_int_equal(s_image.status, IMAGE_MORE);
        image_give_up(&s_image, &s_crypto.port);
        assert_int_equal(s_image.status, IMAGE_NONE);
    }
}

static void lengths_that_lie_are_not_followed(void **state)
{
    (void)state;
    const uint32_t lengths[] = {IMAGE_MAX_BYTES, INT32_MAX, UINT32_MAX - 7, UINT32_MAX};
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        begin(NULL);
        le_put32(s_bytes + 28, lengths[i]);
        expect_wrong("holds an image with a segment that is too long");
        begin(NULL);
        le_put32(s_bytes + 292, lengths[i]);
        expect_wrong("holds an image with a segment that is too long");
    }
    le_put32(s_bytes + 28, DESCRIPTOR_BYTES - 1);
    expect_wrong("holds an image without an app descriptor");
}

static void each_kind_of_wrong_image_has_its_sentence(void **state)
{
    (void)state;
    s_bytes[0] = 0x7F; /* an ELF */
    expect_wrong("holds no image");
    s_bytes[0] = 0xE9;
    s_bytes[23] = 0;
    expect_wrong("holds an image of another form: 1 to 16 segments and a hash are expected");
    s_bytes[23] = 1;
    s_bytes[32] = 0;
    expect_wrong("holds an image without an app descriptor");
    begin(NULL);
    s_len_bytes -= 48;
    add_end(s_bytes[s_len_bytes + 15] ^ 1); /* the checksum alone: the hash is over it */
    expect_wrong("holds an image that is damaged: its checksums are not right");
    begin(NULL);
    s_bytes[s_len_bytes - 1] ^= 1; /* the hash alone */
    expect_wrong("holds an image that is damaged: its checksums are not right");
}

/* What they say goes into logs before any signature was looked at. */
static void a_descriptor_whose_texts_are_none_is_none(void **state)
{
    (void)state;
    memset(s_bytes + 32 + 48, 'p', 32); /* without an end */
    expect_wrong("holds an image without an app descriptor");
    begin(NULL);
    s_bytes[32 + 48 + 3] = '\n';
    expect_wrong("holds an image without an app descriptor");
    begin(NULL);
    s_bytes[32 + 16 + 1] = 0x1B;
    expect_wrong("holds an image without an app descriptor");
}

static void a_hash_that_can_not_be_had_is_not_the_images_fault(void **state)
{
    (void)state;
    uint32_t before = s_crypto.calls;
    assert_int_equal(look(), IMAGE_WHOLE);
    uint32_t calls = s_crypto.calls - before;
    for (uint32_t failing = 1; failing <= calls; failing++) {
        s_crypto.fail_call = s_crypto.calls + failing;
        assert_int_equal(look(), IMAGE_LOCAL_FAULT);
        assert_int_not_equal(image_wrong(&s_image)[0], '\0');
        assert_int_equal(s_crypto.under_way, 0);
        assert_int_equal(image_take(&s_image, &s_crypto.port, s_bytes, s_len_bytes), IMAGE_LOCAL_FAULT);
    }
}

static void chips_are_called_as_esptool_calls_them(void **state)
{
    (void)state;
    uint16_t id = 1;
    assert_true(image_chip_id("esp32", &id));
    assert_int_equal(id, 0);
    assert_true(image_chip_id("esp32s3", &id));
    assert_int_equal(id, 9);
    assert_true(image_chip_id("host", &id));
    assert_int_equal(id, IMAGE_CHIP_HOST);
    assert_false(image_chip_id("ESP32", &id));
    assert_false(image_chip_id("", &id));
    assert_string_equal(image_chip_name(0x000D), "esp32c6");
    assert_string_equal(image_chip_name(IMAGE_CHIP_HOST), "host");
    assert_null(image_chip_name(0xFFFF));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_whole_image_says_what_it_is_in_whatever_pieces_it_comes, begin, end),
        cmocka_unit_test_setup_teardown(what_it_is_for_is_known_after_the_first_288_bytes, begin, end),
        cmocka_unit_test_setup_teardown(what_comes_behind_an_image_is_not_looked_at, begin, end),
        cmocka_unit_test_setup_teardown(nothing_is_taken_as_nothing, begin, end),
        cmocka_unit_test_setup_teardown(images_of_chips_with_many_segments_are_whole, begin, end),
        cmocka_unit_test_setup_teardown(as_many_segments_as_a_boot_loader_takes_and_no_more, begin, end),
        cmocka_unit_test_setup_teardown(any_bit_that_is_another_makes_it_none, begin, end),
        cmocka_unit_test_setup_teardown(an_image_that_is_cut_short_anywhere_is_never_whole, begin, end),
        cmocka_unit_test_setup_teardown(lengths_that_lie_are_not_followed, begin, end),
        cmocka_unit_test_setup_teardown(each_kind_of_wrong_image_has_its_sentence, begin, end),
        cmocka_unit_test_setup_teardown(a_descriptor_whose_texts_are_none_is_none, begin, end),
        cmocka_unit_test_setup_teardown(a_hash_that_can_not_be_had_is_not_the_images_fault, begin, end),
        cmocka_unit_test_setup_teardown(chips_are_called_as_esptool_calls_them, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
