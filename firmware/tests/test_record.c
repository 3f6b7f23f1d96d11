#include "core/record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static sample_t s_sample;
static uint8_t s_bytes[RECORD_MAX_BYTES];

static int set_up(void **state)
{
    (void)state;
    bool ok = sample_init(&s_sample, "D01") && sample_add(&s_sample, "temperatura", "\xC2\xB0", (decimal_t){-235, 1}) &&
              sample_add(&s_sample, "energia", "kWh", (decimal_t){INT64_MAX, 2}) &&
              sample_add(&s_sample, "fundo", "", (decimal_t){INT64_MIN, 9});
    s_sample.moment = (moment_t){.stamped = true, .unix_s = 1771439400};
    return ok ? 0 : 1;
}

static void assert_same(const sample_t *a, const sample_t *b)
{
    assert_string_equal(a->device_code, b->device_code);
    assert_int_equal(a->moment.stamped, b->moment.stamped);
    assert_int_equal(a->moment.unix_s, b->moment.unix_s);
    assert_int_equal(a->moment.boot, b->moment.boot);
    assert_int_equal(a->moment.since_boot_ms, b->moment.since_boot_ms);
    assert_int_equal(a->count, b->count);
    for (size_t i = 0; i < a->count; i++) {
        assert_string_equal(a->readings[i].tipo, b->readings[i].tipo);
        assert_string_equal(a->readings[i].unidade, b->readings[i].unidade);
        assert_true(a->readings[i].valor.digits == b->readings[i].valor.digits);
        assert_int_equal(a->readings[i].valor.places, b->readings[i].valor.places);
    }
}

static void what_was_kept_is_read_again(void **state)
{
    (void)state;
    sample_t out;
    size_t len = record_encode(&s_sample, s_bytes, sizeof(s_bytes));
    assert_true(len > 0);
    assert_true(record_decode(s_bytes, len, &out));
    assert_same(&s_sample, &out);
}

static void a_moment_before_the_clock_was_set_is_kept_as_boot_and_milliseconds(void **state)
{
    (void)state;
    sample_t out;
    s_sample.moment = (moment_t){.boot = UINT32_MAX, .since_boot_ms = UINT64_MAX};
    size_t len = record_encode(&s_sample, s_bytes, sizeof(s_bytes));
    assert_true(record_decode(s_bytes, len, &out));
    assert_same(&s_sample, &out);
}

static void the_bytes_are_those_of_the_layout(void **state)
{
    (void)state;
    static const uint8_t WANTED[] = {1, 1, 2, 'D', '1', 0x28, 0x08, 0x96, 0x69, 0,   0,
                                     0, 0, 1, 1,   't', 1,    'V',  3,    0xF9, 0x01};
    assert_true(sample_init(&s_sample, "D1"));
    s_sample.moment = (moment_t){.stamped = true, .unix_s = 0x69960828};
    assert_true(sample_add(&s_sample, "t", "V", (decimal_t){-125, 3}));
    assert_int_equal(record_encode(&s_sample, s_bytes, sizeof(s_bytes)), sizeof(WANTED));
    assert_memory_equal(s_bytes, WANTED, sizeof(WANTED));
}

static void every_cut_of_a_record_is_refused(void **state)
{
    (void)state;
    sample_t out;
    size_t len = record_encode(&s_sample, s_bytes, sizeof(s_bytes));
    for (size_t cut = 0; cut < len; cut++) {
        uint8_t exact[RECORD_MAX_BYTES];
        memcpy(exact, s_bytes, cut);
        assert_false(record_decode(exact, cut, &out));
    }
    s_bytes[len] = 0;
    assert_false(record_decode(s_bytes, len + 1, &out));
}

static void a_record_needs_room_for_all_of_it(void **state)
{
    (void)state;
    size_t len = record_encode(&s_sample, s_bytes, sizeof(s_bytes));
    for (size_t cap = 0; cap < len; cap++) {
        assert_int_equal(record_encode(&s_sample, s_bytes, cap), 0);
    }
    assert_int_equal(record_encode(&s_sample, s_bytes, len), len);
}

static void another_format_and_unknown_flags_are_refused(void **state)
{
    (void)state;
    sample_t out;
    size_t len = record_encode(&s_sample, s_bytes, sizeof(s_bytes));
    s_bytes[0] = 2;
    assert_false(record_decode(s_bytes, len, &out));
    s_bytes[0] = 1;
    s_bytes[1] = 3;
    assert_false(record_decode(s_bytes, len, &out));
    s_sample.moment.stamped = false;
    len = record_encode(&s_sample, s_bytes, sizeof(s_bytes));
    s_bytes[1] = 2;
    assert_false(record_decode(s_bytes, len, &out));
}

static void texts_that_break_the_contract_are_refused(void **state)
{
    (void)state;
    sample_t out;
    size_t len = record_encode(&s_sample, s_bytes, sizeof(s_bytes));
    s_bytes[3] = '/'; /* of the device's code */
    assert_false(record_decode(s_bytes, len, &out));
    s_bytes[3] = '\0';
    assert_false(record_decode(s_bytes, len, &out));
    s_bytes[3] = 'D';
    assert_true(record_decode(s_bytes, len, &out));
    s_bytes[17] = '\n'; /* of the first tipo */
    assert_false(record_decode(s_bytes, len, &out));
    s_bytes[17] = '\0';
    assert_false(record_decode(s_bytes, len, &out));
    s_bytes[17] = 't';
    s_bytes[2] = 65;
    assert_false(record_decode(s_bytes, len, &out));
}

static void a_time_outside_of_the_calendar_is_refused(void **state)
{
    (void)state;
    sample_t out;
    size_t len = record_encode(&s_sample, s_bytes, sizeof(s_bytes));
    s_bytes[13] = 0x7F;
    assert_false(record_decode(s_bytes, len, &out));
    s_sample.moment.unix_s = INT64_MIN;
    assert_int_equal(record_encode(&s_sample, s_bytes, sizeof(s_bytes)), 0);
}

static void a_sample_without_readings_is_no_record(void **state)
{
    (void)state;
    static const uint8_t EMPTY[] = {1, 1, 1, 'D', 0, 0, 0, 0, 0, 0, 0, 0, 0};
    sample_t out;
    assert_false(record_decode(EMPTY, sizeof(EMPTY), &out));
    assert_true(sample_init(&s_sample, "D01"));
    assert_int_equal(record_encode(&s_sample, s_bytes, sizeof(s_bytes)), 0);
}

static void too_many_and_repeated_readings_are_refused(void **state)
{
    (void)state;
    sample_t out;
    uint8_t bytes[13 + 5 * 25] = {1, 1, 1, 'D'};
    bytes[12] = 25;
    for (size_t i = 0; i < 25; i++) {
        bytes[13 + 5 * i] = 1;
        bytes[14 + 5 * i] = (uint8_t)('a' + i);
    }
    assert_false(record_decode(bytes, sizeof(bytes), &out));
    bytes[12] = 24;
    assert_true(record_decode(bytes, sizeof(bytes) - 5, &out));
    bytes[14 + 5] = 'a';
    assert_false(record_decode(bytes, sizeof(bytes) - 5, &out));
}

/* Of the one reading t in no unit, of no places. */
static bool decode_digits(const uint8_t *varint, size_t len, int64_t *digits)
{
    uint8_t bytes[64] = {1, 1, 1, 'D', 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 't', 0, 0};
    sample_t out;
    memcpy(bytes + 17, varint, len);
    bool ok = record_decode(bytes, 17 + len, &out);
    *digits = ok ? out.readings[0].valor.digits : 0;
    return ok;
}

static void a_number_has_one_form_only(void **state)
{
    (void)state;
    int64_t digits = 0;
    assert_true(decode_digits((const uint8_t[]){0x00}, 1, &digits));
    assert_true(decode_digits((const uint8_t[]){0x80, 0x01}, 2, &digits));
    assert_int_equal(digits, 64);
    assert_false(decode_digits((const uint8_t[]){0x80, 0x00}, 2, &digits));
    assert_true(decode_digits((const uint8_t[]){255, 255, 255, 255, 255, 255, 255, 255, 255, 1}, 10, &digits));
    assert_true(digits == INT64_MIN);
    assert_false(decode_digits((const uint8_t[]){255, 255, 255, 255, 255, 255, 255, 255, 255, 2}, 10, &digits));
    assert_false(decode_digits((const uint8_t[]){255, 255, 255, 255, 255, 255, 255, 255, 255, 129, 0}, 11, &digits));
    assert_false(decode_digits((const uint8_t[]){128, 128, 128, 128, 128, 128, 128, 128, 128, 0}, 10, &digits));
    assert_false(decode_digits((const uint8_t[]){128, 128}, 2, &digits));
}

static void places_beyond_nine_are_refused(void **state)
{
    (void)state;
    static const uint8_t BYTES[] = {1, 1, 1, 'D', 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 't', 0, 10, 0};
    sample_t out;
    assert_false(record_decode(BYTES, sizeof(BYTES), &out));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(what_was_kept_is_read_again, set_up),
        cmocka_unit_test_setup(a_moment_before_the_clock_was_set_is_kept_as_boot_and_milliseconds, set_up),
        cmocka_unit_test_setup(the_bytes_are_those_of_the_layout, set_up),
        cmocka_unit_test_setup(every_cut_of_a_record_is_refused, set_up),
        cmocka_unit_test_setup(a_record_needs_room_for_all_of_it, set_up),
        cmocka_unit_test_setup(another_format_and_unknown_flags_are_refused, set_up),
        cmocka_unit_test_setup(texts_that_break_the_contract_are_refused, set_up),
        cmocka_unit_test_setup(a_time_outside_of_the_calendar_is_refused, set_up),
        cmocka_unit_test_setup(a_sample_without_readings_is_no_record, set_up),
        cmocka_unit_test_setup(too_many_and_repeated_readings_are_refused, set_up),
        cmocka_unit_test_setup(a_number_has_one_form_only, set_up),
        cmocka_unit_test_setup(places_beyond_nine_are_refused, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
