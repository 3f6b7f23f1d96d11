#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/crc32.h"
#include "core/le.h"
#include "port/posix/nvs_image.h"

#define IMAGE_BYTES 24576
#define NAMESPACE "tds_factory"
#define ENTRIES_OFFSET 64
#define ENTRY_BYTES 32

static uint8_t s_unit[IMAGE_BYTES], s_types[IMAGE_BYTES], s_bytes[IMAGE_BYTES];
static char s_value[16384];
static nvs_image_t s_image;

static void load(const char *path, uint8_t out[IMAGE_BYTES])
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fread(out, 1, IMAGE_BYTES, file), IMAGE_BYTES);
    fclose(file);
}

static int begin(void **state)
{
    (void)state;
    load(TEST_DATA "/nvs_unit.bin", s_unit);
    load(TEST_DATA "/nvs_types.bin", s_types);
    return 0;
}

static void use(const uint8_t *bytes)
{
    memcpy(s_bytes, bytes, IMAGE_BYTES);
    assert_int_equal(nvs_image_init(&s_image, s_bytes, IMAGE_BYTES, NAMESPACE), NVS_IMAGE_OK);
}

static kv_status_t get(const char *key, size_t *len_bytes)
{
    memset(s_value, 0, sizeof(s_value));
    return s_image.port.get(s_image.port.ctx, key, s_value, sizeof(s_value) - 1, len_bytes);
}

static void assert_text(const char *key, const char *text)
{
    size_t len_bytes = 0;
    assert_int_equal(get(key, &len_bytes), KV_OK);
    assert_int_equal(len_bytes, strlen(text));
    assert_string_equal(s_value, text);
}

static void assert_number(const char *key, size_t expected_bytes, int64_t value)
{
    size_t len_bytes = 0;
    assert_int_equal(get(key, &len_bytes), KV_OK);
    assert_int_equal(len_bytes, expected_bytes);
    assert_memory_equal(s_value, &value, expected_bytes); /* both are little endian */
}

/* As make_nvs.py's lines(). */
static void assert_lines(const char *key, const char *what, size_t size_bytes)
{
    char line[128];
    size_t len_bytes = 0;
    assert_int_equal(get(key, &len_bytes), KV_OK);
    assert_int_equal(len_bytes, size_bytes);
    for (size_t number = 0, at = 0; at < size_bytes; number++) {
        int len = snprintf(line, sizeof(line), "%s %061zu\n", what, number);
        const char *tail = line + len - 65;
        for (size_t i = 0; i < 65 && at < size_bytes; i++, at++) {
            assert_int_equal(s_value[at], at == size_bytes - 1 ? '\n' : tail[i]);
        }
    }
}

static uint8_t *entry_of(uint8_t *image, const char *key)
{
    for (size_t at = 0; at + ENTRY_BYTES <= IMAGE_BYTES; at += ENTRY_BYTES) {
        if (strcmp((char *)image + at + 8, key) == 0 && image[at] != 0) {
            return image + at;
        }
    }
    fail_msg("%s is not in the image", key);
    return NULL;
}

static void make_right(uint8_t *entry)
{
    uint32_t crc = crc32_add(UINT32_MAX, entry, 4);
    le_put32(entry + 4, crc32_add(crc, entry + 8, 24));
}

static void make_header_right(uint8_t *page)
{
    le_put32(page + 28, crc32_add(UINT32_MAX, page + 4, 24));
}

static void the_image_that_provisioning_writes_says_what_it_was_given(void **state)
{
    (void)state;
    use(s_unit);
    assert_number("format", 1, 1);
    assert_text("gateway_code", "GW-0001");
    assert_text("family", "dcu-0080");
    assert_text("hardware", "C");
    assert_text("broker_uri", "mqtts://broker.example:8883");
    assert_text("wifi_ssid", "Rede S\xC3\xA3o Jo\xC3\xA3o");
    assert_text("wifi_password", "not-a-secret");
    assert_lines("server_ca", "authority", 3900);
    assert_lines("device_cert", "certificate", 1400);
    assert_lines("device_key", "key", 241);
    size_t len_bytes;
    assert_int_equal(get("apn", &len_bytes), KV_MISSING);
}

static void every_type_of_number_and_both_kinds_of_blob_are_read(void **state)
{
    (void)state;
    use(s_types);
    assert_number("a_u8", 1, 200);
    assert_number("a_i8", 1, -100);
    assert_number("a_u16", 2, 60000);
    assert_number("a_i16", 2, -30000);
    assert_number("a_u32", 4, 4000000000);
    assert_number("a_i32", 4, -2000000000);
    assert_number("a_u64", 8, INT64_MIN + 5);
    assert_number("a_i64", 8, -(INT64_C(1) << 62));
    assert_text("a_text", "text");
    assert_text("fifteen_chars_x", "z");
    size_t len_bytes;
    assert_int_equal(get("a_blob", &len_bytes), KV_OK);
    assert_int_equal(len_bytes, 40);
    assert_int_equal(s_value[39], 39);
    assert_int_equal(get("a_long_blob", &len_bytes), KV_OK); /* over three pages */
    assert_int_equal(len_bytes, 9000);
    for (size_t i = 0; i < len_bytes; i++) {
        assert_int_equal((uint8_t)s_value[i], i * 7 % 251);
    }
}

static void the_same_key_of_another_namespace_is_not_this_one(void **state)
{
    (void)state;
    use(s_types);
    size_t len_bytes;
    assert_int_equal(get("gateway_code", &len_bytes), KV_MISSING);
    assert_int_equal(nvs_image_init(&s_image, s_types, IMAGE_BYTES, "other"), NVS_IMAGE_OK);
    assert_text("gateway_code", "WRONG");
    assert_int_equal(nvs_image_init(&s_image, s_types, IMAGE_BYTES, "third"), NVS_IMAGE_NO_NAMESPACE);
    assert_int_equal(get("third", &len_bytes), KV_MISSING);
    assert_int_equal(nvs_image_init(&s_image, s_types, IMAGE_BYTES, "a_u8"), NVS_IMAGE_NO_NAMESPACE);
}

static void a_buffer_that_is_too_small_is_told_how_large_it_must_be(void **state)
{
    (void)state;
    use(s_types);
    const char *keys[] = {"a_text", "a_u32", "a_blob"};
    size_t sizes[] = {4, 4, 40};
    for (size_t i = 0; i < 3; i++) {
        size_t len_bytes = 0;
        memset(s_value, 'x', sizeof(s_value));
        assert_int_equal(s_image.port.get(s_image.port.ctx, keys[i], s_value, sizes[i] - 1, &len_bytes), KV_TOO_SMALL);
        assert_int_equal(len_bytes, sizes[i]);
        assert_int_equal(s_value[0], 'x');
        assert_int_equal(s_image.port.get(s_image.port.ctx, keys[i], s_value, sizes[i], &len_bytes), KV_OK);
    }
}

static void nothing_is_written(void **state)
{
    (void)state;
    use(s_unit);
    assert_int_equal(s_image.port.set(s_image.port.ctx, "apn", "x", 1), KV_FAILED);
    assert_int_equal(s_image.port.erase(s_image.port.ctx, "gateway_code"), KV_FAILED);
    assert_memory_equal(s_bytes, s_unit, IMAGE_BYTES);
}

static void a_file_that_is_no_image_is_refused(void **state)
{
    (void)state;
    memcpy(s_bytes, s_unit, IMAGE_BYTES);
    assert_int_equal(nvs_image_init(&s_image, s_bytes, 0, NAMESPACE), NVS_IMAGE_SIZE);
    assert_int_equal(nvs_image_init(&s_image, s_bytes, IMAGE_BYTES - 1, NAMESPACE), NVS_IMAGE_SIZE);
    assert_int_equal(nvs_image_init(&s_image, s_bytes, NVS_IMAGE_MAX_BYTES + 4096, NAMESPACE), NVS_IMAGE_SIZE);
    memset(s_bytes, 0xFF, sizeof(s_bytes));
    assert_int_equal(nvs_image_init(&s_image, s_bytes, IMAGE_BYTES, NAMESPACE), NVS_IMAGE_NO_PAGE);
    memset(s_bytes, 0, sizeof(s_bytes));
    assert_int_equal(nvs_image_init(&s_image, s_bytes, IMAGE_BYTES, NAMESPACE), NVS_IMAGE_NO_PAGE);
    memset(s_bytes, 0x5A, sizeof(s_bytes));
    assert_int_equal(nvs_image_init(&s_image, s_bytes, IMAGE_BYTES, NAMESPACE), NVS_IMAGE_NO_PAGE);
}

static void an_image_of_another_format_version_is_refused(void **state)
{
    (void)state;
    for (int version = 0; version < 256; version++) {
        memcpy(s_bytes, s_unit, IMAGE_BYTES);
        for (size_t page = 0; page < IMAGE_BYTES; page += NVS_IMAGE_PAGE_BYTES) {
            s_bytes[page + 8] = (uint8_t)version;
            make_header_right(s_bytes + page);
        }
        assert_int_equal(nvs_image_init(&s_image, s_bytes, IMAGE_BYTES, NAMESPACE),
                         version == 0xFE ? NVS_IMAGE_OK : NVS_IMAGE_NO_PAGE);
    }
}

static void a_truncated_image_is_read_as_far_as_it_goes(void **state)
{
    (void)state;
    memcpy(s_bytes, s_unit, IMAGE_BYTES);
    assert_int_equal(nvs_image_init(&s_image, s_bytes, NVS_IMAGE_PAGE_BYTES, NAMESPACE), NVS_IMAGE_OK);
    assert_text("gateway_code", "GW-0001");
    size_t len_bytes;
    assert_int_equal(get("server_ca", &len_bytes), KV_MISSING);
    use(s_types);
    s_image.len_bytes = 2 * NVS_IMAGE_PAGE_BYTES; /* a blob without its last pieces */
    assert_int_not_equal(get("a_long_blob", &len_bytes), KV_OK);
}

/* Each byte of what is used, one bit: never another value, and never a word that it was never there. */
static void a_flipped_bit_is_found_out(void **state)
{
    (void)state;
    char before[4096];
    size_t before_bytes, len_bytes;
    const char *keys[] = {"gateway_code", "broker_uri", "device_key", "format"};
    for (size_t k = 0; k < 4; k++) {
        use(s_unit);
        assert_int_equal(get(keys[k], &before_bytes), KV_OK);
        memcpy(before, s_value, before_bytes);
        for (size_t offset = 0; offset < 2 * NVS_IMAGE_PAGE_BYTES; offset++) {
            memcpy(s_bytes, s_unit, IMAGE_BYTES);
            s_bytes[offset] ^= (uint8_t)(1u << (offset % 8));
            if (nvs_image_init(&s_image, s_bytes, IMAGE_BYTES, NAMESPACE) != NVS_IMAGE_OK) {
                continue;
            }
            kv_status_t status = get(keys[k], &len_bytes);
            bool in_bitmap = offset % NVS_IMAGE_PAGE_BYTES >= 32 && offset % NVS_IMAGE_PAGE_BYTES < 64;
            bool in_page_state = offset % NVS_IMAGE_PAGE_BYTES < 4;
            if (status == KV_OK) {
                assert_int_equal(len_bytes, before_bytes);
                assert_memory_equal(s_value, before, before_bytes);
            } else if (status == KV_MISSING) {
                /* What marks an entry as erased has no checksum in NVS. */
                assert_true(in_bitmap || in_page_state);
            } else {
                assert_int_equal(status, KV_FAILED);
            }
        }
    }
}

static void a_flipped_bit_in_a_value_fails_that_value_alone(void **state)
{
    (void)state;
    use(s_unit);
    entry_of(s_bytes, "gateway_code")[ENTRY_BYTES + 2] ^= 1;
    size_t len_bytes;
    assert_int_equal(get("gateway_code", &len_bytes), KV_FAILED);
    assert_text("family", "dcu-0080");
}

static void a_length_that_lies_is_not_followed(void **state)
{
    (void)state;
    size_t len_bytes;
    for (uint32_t length = 0; length <= UINT16_MAX; length += length < 80 ? 1 : 4099) {
        use(s_unit);
        uint8_t *entry = entry_of(s_bytes, "gateway_code");
        le_put16(entry + 24, (uint16_t)length);
        make_right(entry);
        assert_int_equal(get("gateway_code", &len_bytes), length == 8 ? KV_OK : KV_FAILED);
    }
    /* The last entry of a page that says that it goes on behind it. */
    for (int span = 0; span < 256; span++) {
        use(s_unit);
        memset(s_bytes + 32, 0xAA, 32); /* all entries are written */
        uint8_t *last = s_bytes + ENTRIES_OFFSET + 125 * ENTRY_BYTES;
        memcpy(last, entry_of(s_bytes, "gateway_code"), ENTRY_BYTES);
        memcpy(last + 8, "last\0", 5);
        last[2] = (uint8_t)span;
        make_right(last);
        assert_int_equal(get("last", &len_bytes), KV_FAILED);
    }
    for (uint32_t size_bytes = 0; size_bytes < 60; size_bytes++) { /* of a blob and its pieces */
        use(s_types);
        uint8_t *data = entry_of(s_bytes, "a_blob");
        uint8_t *index = data + 3 * ENTRY_BYTES;
        assert_int_equal(index[1], 0x48);
        le_put32(index + 24, size_bytes);
        make_right(index);
        assert_int_equal(get("a_blob", &len_bytes), size_bytes == 40 ? KV_OK : KV_FAILED);
    }
    use(s_types);
    uint8_t *index = entry_of(s_bytes, "a_blob") + 3 * ENTRY_BYTES;
    le_put32(index + 24, UINT32_MAX);
    make_right(index);
    assert_int_equal(get("a_blob", &len_bytes), KV_FAILED);
    le_put32(index + 24, 40);
    index[28] = 200;
    index[29] = 200;
    make_right(index);
    assert_int_equal(get("a_blob", &len_bytes), KV_FAILED);
    index[28] = 2; /* a second piece that is not there */
    index[29] = 0;
    make_right(index);
    assert_int_equal(get("a_blob", &len_bytes), KV_FAILED);
}

static void a_text_without_its_end_is_none(void **state)
{
    (void)state;
    use(s_unit);
    uint8_t *entry = entry_of(s_bytes, "gateway_code");
    entry[ENTRY_BYTES + 7] = 'x';
    le_put32(entry + 28, crc32_add(UINT32_MAX, entry + ENTRY_BYTES, 8));
    make_right(entry);
    size_t len_bytes;
    assert_int_equal(get("gateway_code", &len_bytes), KV_FAILED);
}

static void a_type_that_there_is_not_is_no_value(void **state)
{
    (void)state;
    size_t len_bytes;
    for (int type = 0; type < 256; type++) {
        use(s_types);
        uint8_t *entry = entry_of(s_bytes, "a_u8");
        entry[1] = (uint8_t)type;
        make_right(entry);
        kv_status_t status = get("a_u8", &len_bytes);
        assert_true(status != KV_OK || len_bytes <= 8);
    }
    use(s_types);
    uint8_t *entry = entry_of(s_bytes, "a_u8");
    entry[1] = 0x41; /* a blob of version 1 */
    make_right(entry);
    assert_int_equal(get("a_u8", &len_bytes), KV_FAILED);
}

static void a_key_without_its_end_is_none(void **state)
{
    (void)state;
    use(s_types);
    uint8_t *entry = entry_of(s_bytes, "fifteen_chars_x");
    entry[8 + 15] = 'y';
    make_right(entry);
    size_t len_bytes;
    assert_int_equal(get("fifteen_chars_x", &len_bytes), KV_MISSING);
    assert_int_equal(get("fifteen_chars_xy", &len_bytes), KV_MISSING);
}

static void an_image_full_of_erased_entries_has_no_namespace(void **state)
{
    (void)state;
    memcpy(s_bytes, s_unit, IMAGE_BYTES);
    for (size_t page = 0; page < IMAGE_BYTES; page += NVS_IMAGE_PAGE_BYTES) {
        memset(s_bytes + page + 32, 0, 32);
    }
    assert_int_equal(nvs_image_init(&s_image, s_bytes, IMAGE_BYTES, NAMESPACE), NVS_IMAGE_NO_NAMESPACE);
}

static void of_two_values_of_a_key_the_newer_one_counts(void **state)
{
    (void)state;
    use(s_unit);
    /* As a chip leaves it when power goes between the new value and the mark on the old one. */
    uint8_t *page = s_bytes + 4 * NVS_IMAGE_PAGE_BYTES;
    memcpy(page, s_unit, NVS_IMAGE_PAGE_BYTES);
    le_put32(page + 4, 77);
    make_header_right(page);
    uint8_t *entry = NULL;
    for (size_t at = 0; at < NVS_IMAGE_PAGE_BYTES; at += ENTRY_BYTES) {
        if (strcmp((char *)page + at + 8, "gateway_code") == 0) {
            entry = page + at;
        }
    }
    assert_non_null(entry);
    memcpy(entry + ENTRY_BYTES, "GW-0002", 8);
    le_put32(entry + 28, crc32_add(UINT32_MAX, entry + ENTRY_BYTES, 8));
    make_right(entry);
    assert_text("gateway_code", "GW-0002");
    le_put32(page + 4, 0); /* and when that page is the older one, it does not */
    make_header_right(page);
    le_put32(s_bytes + 4, 78);
    make_header_right(s_bytes);
    assert_text("gateway_code", "GW-0001");
}

static void pages_that_are_full_or_being_freed_are_read_and_others_are_not(void **state)
{
    (void)state;
    const uint32_t good[] = {0xFFFFFFFE, 0xFFFFFFFC, 0xFFFFFFF8};
    const uint32_t others[] = {0xFFFFFFF0, 0, 0x12345678}; /* corrupt, and what there is not */
    for (size_t i = 0; i < 3; i++) {
        use(s_unit);
        le_put32(s_bytes, good[i]);
        assert_text("gateway_code", "GW-0001");
        le_put32(s_bytes, others[i]);
        size_t len_bytes;
        assert_int_equal(get("gateway_code", &len_bytes), KV_FAILED);
    }
}

static void an_empty_text_and_an_empty_blob_are_values(void **state)
{
    (void)state;
    size_t len_bytes = 9;
    use(s_unit);
    uint8_t *entry = entry_of(s_bytes, "gateway_code");
    entry[ENTRY_BYTES] = '\0';
    le_put16(entry + 24, 1);
    le_put32(entry + 28, crc32_add(UINT32_MAX, entry + ENTRY_BYTES, 1));
    make_right(entry);
    assert_int_equal(get("gateway_code", &len_bytes), KV_OK);
    assert_int_equal(len_bytes, 0);
    use(s_types);
    uint8_t *data = entry_of(s_bytes, "a_blob"), *index = data + 3 * ENTRY_BYTES;
    le_put16(data + 24, 0);
    le_put32(data + 28, crc32_add(UINT32_MAX, data + ENTRY_BYTES, 0));
    make_right(data);
    le_put32(index + 24, 0);
    make_right(index);
    assert_int_equal(get("a_blob", &len_bytes), KV_OK);
    assert_int_equal(len_bytes, 0);
}

static void a_namespace_that_is_no_number_is_none(void **state)
{
    (void)state;
    memcpy(s_bytes, s_unit, IMAGE_BYTES);
    uint8_t *entry = NULL;
    for (size_t at = ENTRIES_OFFSET; at < NVS_IMAGE_PAGE_BYTES && entry == NULL; at += ENTRY_BYTES) {
        entry = strcmp((char *)s_bytes + at + 8, NAMESPACE) == 0 ? s_bytes + at : NULL;
    }
    assert_non_null(entry);
    entry[1] = 0x02;
    make_right(entry);
    assert_int_equal(nvs_image_init(&s_image, s_bytes, IMAGE_BYTES, NAMESPACE), NVS_IMAGE_NO_NAMESPACE);
}

static void an_image_is_read_from_its_file(void **state)
{
    (void)state;
    assert_true(nvs_image_open(&s_image, TEST_DATA "/nvs_unit.bin", NAMESPACE));
    assert_text("gateway_code", "GW-0001");
    nvs_image_close(&s_image);
    size_t len_bytes;
    assert_int_equal(get("gateway_code", &len_bytes), KV_MISSING);
    nvs_image_close(&s_image);
    assert_false(nvs_image_open(&s_image, TEST_DATA "/make_nvs.py", NAMESPACE));
    assert_false(nvs_image_open(&s_image, TEST_DATA "/none", NAMESPACE));
    assert_false(nvs_image_open(&s_image, TEST_DATA, NAMESPACE));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_image_that_provisioning_writes_says_what_it_was_given),
        cmocka_unit_test(every_type_of_number_and_both_kinds_of_blob_are_read),
        cmocka_unit_test(the_same_key_of_another_namespace_is_not_this_one),
        cmocka_unit_test(a_buffer_that_is_too_small_is_told_how_large_it_must_be),
        cmocka_unit_test(nothing_is_written),
        cmocka_unit_test(a_file_that_is_no_image_is_refused),
        cmocka_unit_test(an_image_of_another_format_version_is_refused),
        cmocka_unit_test(a_truncated_image_is_read_as_far_as_it_goes),
        cmocka_unit_test(a_flipped_bit_is_found_out),
        cmocka_unit_test(a_flipped_bit_in_a_value_fails_that_value_alone),
        cmocka_unit_test(a_length_that_lies_is_not_followed),
        cmocka_unit_test(a_text_without_its_end_is_none),
        cmocka_unit_test(a_type_that_there_is_not_is_no_value),
        cmocka_unit_test(a_key_without_its_end_is_none),
        cmocka_unit_test(an_image_full_of_erased_entries_has_no_namespace),
        cmocka_unit_test(of_two_values_of_a_key_the_newer_one_counts),
        cmocka_unit_test(pages_that_are_full_or_being_freed_are_read_and_others_are_not),
        cmocka_unit_test(an_empty_text_and_an_empty_blob_are_values),
        cmocka_unit_test(a_namespace_that_is_no_number_is_none),
        cmocka_unit_test(an_image_is_read_from_its_file),
    };
    return cmocka_run_group_tests(tests, begin, NULL);
}
