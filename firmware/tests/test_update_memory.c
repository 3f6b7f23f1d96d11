/* What is remembered of updates: whole or not at all, whatever happened to the settings. */
#include "core/update_memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/crc32.h"
#include "core/le.h"
#include "port/fake/fake_kv.h"

#define STATE_KEY "ota_state"
#define PROGRESS_KEY "ota_progress"
#define RECORD_ROOM 1280
#define LIFE 0xC0FFEE01u
#define FORMAT 2
#define HEADER_BYTES 7     /* format, length, CRC */
#define BEGINNING_BYTES 16 /* life, floor, seq */
#define APPENDED_BYTES 1   /* behind the first layout of this format */

static fake_kv_t s_kv;
static update_memory_t s_memory, s_found;

/* Every field at its longest or highest. */
static void fill(update_memory_t *memory)
{
    memset(memory, 0, sizeof(*memory));
    memory->life = UINT32_MAX;
    memory->floor = COUNTER_MAX;
    memory->seq = SEQ_MAX;
    memory->counter = COUNTER_MAX - 1;
    memset(memory->sha256, 0xA1, SHA256_BYTES);
    memory->bad_count = UPDATE_BAD_MAX;
    for (uint8_t i = 0; i < UPDATE_BAD_MAX; i++) {
        memset(memory->bad[i].sha256, 0xB0 + i, SHA256_BYTES);
        memory->bad[i].failures = (uint8_t)(i + 1);
    }
    memset(memory->last.execution_id, 'L', EXECUTION_ID_MAX_CHARS);
    memory->last.seq = SEQ_MAX - 1;
    memory->last.size_bytes = IMAGE_MAX_BYTES;
    memory->last.status = STATUS_SUCCEEDED;
    memory->last.phase = PHASE_CONFIRMING;
    memory->last.reason = REASON_LOCAL_FAULT;
    memory->last.told = true;
    memory->has_job = true;
    update_job_t *job = &memory->job;
    memset(job->execution_id, 'E', EXECUTION_ID_MAX_CHARS);
    memset(job->version, 'V', VERSION_MAX_CHARS);
    memset(job->url, 'U', URL_MAX_CHARS);
    memset(job->manifest_kid, 'K', KID_CHARS);
    memset(job->families, 'F', UPDATE_FAMILIES_MAX_CHARS);
    memset(job->sha256, 0xC3, SHA256_BYTES);
    job->size_bytes = IMAGE_MAX_BYTES;
    job->counter = COUNTER_MAX;
    job->seq = SEQ_MAX;
    job->not_before_unix_s = NUMERIC_DATE_MAX_S - 1;
    job->exp_unix_s = NUMERIC_DATE_MAX_S;
    job->phase = PHASE_CONFIRMING;
    job->installs = UINT8_MAX;
    job->was_given_up = true;
    job->why = REASON_NOT_CONFIRMED;
    job->knew_time = true;
    memory->is_anew = true;
}

static int begin(void **state)
{
    (void)state;
    fake_kv_init(&s_kv);
    fill(&s_memory);
    return 0;
}

static void assert_same(const update_memory_t *found, const update_memory_t *wanted)
{
    assert_int_equal(found->life, wanted->life);
    assert_int_equal(found->floor, wanted->floor);
    assert_true(found->seq == wanted->seq);
    assert_int_equal(found->counter, wanted->counter);
    assert_memory_equal(found->sha256, wanted->sha256, SHA256_BYTES);
    assert_int_equal(found->bad_count, wanted->bad_count);
    for (uint8_t i = 0; i < wanted->bad_count; i++) {
        assert_memory_equal(found->bad[i].sha256, wanted->bad[i].sha256, SHA256_BYTES);
        assert_int_equal(found->bad[i].failures, wanted->bad[i].failures);
    }
    assert_string_equal(found->last.execution_id, wanted->last.execution_id);
    assert_true(found->last.seq == wanted->last.seq);
    assert_int_equal(found->last.size_bytes, wanted->last.size_bytes);
    assert_int_equal(found->last.status, wanted->last.status);
    assert_int_equal(found->last.phase, wanted->last.phase);
    assert_int_equal(found->last.reason, wanted->last.reason);
    assert_int_equal(found->last.told, wanted->last.told);
    assert_int_equal(found->is_anew, wanted->is_anew);
    assert_int_equal(found->has_job, wanted->has_job);
    if (!wanted->has_job) {
        return;
    }
    const update_job_t *a = &found->job, *b = &wanted->job;
    assert_string_equal(a->execution_id, b->execution_id);
    assert_string_equal(a->version, b->version);
    assert_string_equal(a->url, b->url);
    assert_string_equal(a->manifest_kid, b->manifest_kid);
    assert_string_equal(a->families, b->families);
    assert_memory_equal(a->sha256, b->sha256, SHA256_BYTES);
    assert_int_equal(a->size_bytes, b->size_bytes);
    assert_int_equal(a->counter, b->counter);
    assert_true(a->seq == b->seq);
    assert_true(a->not_before_unix_s == b->not_before_unix_s && a->exp_unix_s == b->exp_unix_s);
    assert_int_equal(a->phase, b->phase);
    assert_int_equal(a->installs, b->installs);
    assert_int_equal(a->was_given_up, b->was_given_up);
    assert_int_equal(a->why, b->why);
    assert_int_equal(a->knew_time, b->knew_time);
}

static size_t record(uint8_t out[RECORD_ROOM])
{
    size_t len = 0;
    assert_int_equal(s_kv.port.get(s_kv.port.ctx, STATE_KEY, out, RECORD_ROOM, &len), KV_OK);
    return len;
}

/* As another firmware would write it. */
static void put_sealed(uint8_t *bytes, size_t len)
{
    le_put16(bytes + 1, (uint16_t)len);
    le_put32(bytes + 3, crc32_add(crc32_add(0, bytes, 3), bytes + HEADER_BYTES, len - HEADER_BYTES));
    fake_kv_put(&s_kv, STATE_KEY, bytes, len);
}

static void assert_empty_but(uint32_t floor, uint64_t seq)
{
    const update_memory_t nothing = {.life = LIFE, .floor = floor, .seq = seq};
    assert_memory_equal(&s_found, &nothing, offsetof(update_memory_t, record));
}

/* It is not written over before somebody says so. */
static void assert_not_known(uint32_t floor, uint64_t seq)
{
    const uint32_t writes = s_kv.writes;
    assert_false(update_memory_load(&s_found, &s_kv.port, LIFE));
    assert_empty_but(floor, seq);
    assert_int_equal(s_kv.writes, writes);
}

static void assert_replaced(uint32_t running_counter, uint32_t floor, uint64_t seq)
{
    assert_true(update_memory_replace(&s_found, &s_kv.port, running_counter));
    assert_true(update_memory_load(&s_found, &s_kv.port, LIFE + 1));
    const update_memory_t anew = {.life = LIFE, .floor = floor, .seq = seq, .is_anew = true};
    assert_memory_equal(&s_found, &anew, offsetof(update_memory_t, record));
}

static void what_is_kept_is_what_is_loaded_at_its_longest(void **state)
{
    (void)state;
    assert_true(update_memory_keep(&s_memory, &s_kv.port));
    assert_true(update_memory_load(&s_found, &s_kv.port, LIFE));
    assert_same(&s_found, &s_memory);
}

static void without_a_job_none_is_kept(void **state)
{
    (void)state;
    s_memory.has_job = false;
    s_memory.bad_count = 0;
    assert_true(update_memory_keep(&s_memory, &s_kv.port));
    assert_true(update_memory_load(&s_found, &s_kv.port, LIFE));
    assert_same(&s_found, &s_memory);
    assert_string_equal(s_found.job.execution_id, "");
}

static void a_new_memory_draws_its_life_and_keeps_it(void **state)
{
    (void)state;
    assert_true(update_memory_load(&s_found, &s_kv.port, LIFE));
    assert_int_equal(s_found.life, LIFE);
    assert_true(update_memory_load(&s_found, &s_kv.port, LIFE + 1));
    assert_int_equal(s_found.life, LIFE);
}

static void a_new_memory_that_can_not_be_kept_is_none(void **state)
{
    (void)state;
    s_kv.fail_from_write = 1;
    assert_false(update_memory_load(&s_found, &s_kv.port, LIFE));
}

static void settings_that_can_not_be_read_are_no_new_memory_before_one_is_put_there(void **state)
{
    (void)state;
    assert_true(update_memory_keep(&s_memory, &s_kv.port));
    s_kv.fail_gets = true;
    assert_not_known(0, 0);
    s_kv.fail_gets = false;
    fake_kv_damage(&s_kv, STATE_KEY);
    assert_not_known(0, 0);
    assert_replaced(9, 9, 0);
}

static void power_that_goes_as_it_is_kept_leaves_the_one_or_the_other_whole(void **state)
{
    (void)state;
    for (int cut = FAKE_KV_CUT_KEEPS_OLD; cut <= FAKE_KV_CUT_KEEPS_NEW; cut++) {
        begin(NULL);
        assert_true(update_memory_keep(&s_memory, &s_kv.port));
        update_memory_t next = s_memory;
        next.has_job = false;
        next.floor = 9;
        next.last.told = false;
        s_kv.cut = (fake_kv_cut_t)cut;
        s_kv.cut_at_write = s_kv.writes + 1;
        assert_false(update_memory_keep(&next, &s_kv.port));
        fake_kv_power_on(&s_kv);
        assert_true(update_memory_load(&s_found, &s_kv.port, LIFE));
        assert_same(&s_found, cut == FAKE_KV_CUT_KEEPS_OLD ? &s_memory : &next);
    }
}

static void a_record_that_was_cut_off_is_not_known_wherever_it_ends(void **state)
{
    (void)state;
    uint8_t bytes[RECORD_ROOM];
    assert_true(update_memory_keep(&s_memory, &s_kv.port));
    const size_t len = record(bytes);
    for (size_t cut = 0; cut < len; cut++) {
        fake_kv_put(&s_kv, STATE_KEY, bytes, cut);
        assert_not_known(0, 0);
    }
    assert_replaced(9, 9, 0);
}

static void a_record_with_a_flipped_bit_is_not_known_wherever_it_is(void **state)
{
    (void)state;
    uint8_t bytes[RECORD_ROOM];
    assert_true(update_memory_keep(&s_memory, &s_kv.port));
    const size_t len = record(bytes);
    for (size_t bit = 0; bit < 8 * len; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        fake_kv_put(&s_kv, STATE_KEY, bytes, len);
        assert_not_known(0, 0);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

static void a_record_that_says_another_length_than_it_has_is_not_known(void **state)
{
    (void)state;
    uint8_t bytes[RECORD_ROOM];
    assert_true(update_memory_keep(&s_memory, &s_kv.port));
    const size_t len = record(bytes);
    for (int off = -1; off <= 1; off++) {
        le_put16(bytes + 1, (uint16_t)((int)len + off));
        le_put32(bytes + 3, crc32_add(crc32_add(0, bytes, 3), bytes + HEADER_BYTES, len - HEADER_BYTES));
        fake_kv_put(&s_kv, STATE_KEY, bytes, len);
        assert_int_equal(update_memory_load(&s_found, &s_kv.port, LIFE), off == 0);
    }
}

static void the_layout_before_this_one_which_had_no_length_and_no_crc_is_not_known(void **state)
{
    (void)state;
    uint8_t bytes[RECORD_ROOM];
    assert_true(update_memory_keep(&s_memory, &s_kv.port));
    const size_t len = record(bytes) - HEADER_BYTES - APPENDED_BYTES + 1;
    memmove(bytes + 1, bytes + HEADER_BYTES, len - 1);
    bytes[0] = 1;
    fake_kv_put(&s_kv, STATE_KEY, bytes, len);
    assert_not_known(0, 0);
    assert_replaced(9, 9, 0);
}

/* Or, for all that this one knows, an older one; of each what every format has is taken over. */
static void of_a_record_of_another_format_floor_and_seq_are_known_and_the_rest_is_not(void **state)
{
    (void)state;
    uint8_t bytes[RECORD_ROOM];
    s_memory.floor = 70;
    s_memory.seq = 1234;
    assert_true(update_memory_keep(&s_memory, &s_kv.port));
    const size_t len = record(bytes);
    memset(bytes + HEADER_BYTES + BEGINNING_BYTES, 0xEE, len - HEADER_BYTES - BEGINNING_BYTES);
    for (int format = 0; format <= UINT8_MAX; format++) {
        bytes[0] = (uint8_t)format; /* its own with nonsense: a firmware that broke the rules */
        put_sealed(bytes, len);
        assert_not_known(70, 1234);
        assert_replaced(9, 70, 1234); /* never below what is known */
        put_sealed(bytes, len);
        assert_not_known(70, 1234);
        assert_replaced(71, 71, 1234);
        put_sealed(bytes, HEADER_BYTES + BEGINNING_BYTES);
        assert_not_known(70, 1234);
        put_sealed(bytes, HEADER_BYTES + BEGINNING_BYTES - 1);
        assert_not_known(0, 0);
    }
}

static void a_floor_or_seq_that_none_could_reach_is_not_taken_over(void **state)
{
    (void)state;
    uint8_t bytes[HEADER_BYTES + BEGINNING_BYTES] = {FORMAT + 1};
    le_put32(bytes + HEADER_BYTES + 4, (uint32_t)COUNTER_MAX + 1);
    le_put64(bytes + HEADER_BYTES + 8, 5);
    put_sealed(bytes, sizeof(bytes));
    assert_not_known(0, 0);
    le_put32(bytes + HEADER_BYTES + 4, 5);
    le_put64(bytes + HEADER_BYTES + 8, (uint64_t)SEQ_MAX + 1);
    put_sealed(bytes, sizeof(bytes));
    assert_not_known(0, 0);
}

static void of_a_newer_layout_what_is_known_is_read_and_what_follows_goes_with_the_next_write(void **state)
{
    (void)state;
    uint8_t bytes[RECORD_ROOM];
    for (int with_job = 0; with_job <= 1; with_job++) {
        s_memory.has_job = with_job == 1;
        assert_true(update_memory_keep(&s_memory, &s_kv.port));
        const size_t len = record(bytes);
        for (size_t more = 1; more <= RECORD_ROOM - len; more++) {
            memset(bytes + len, 0x5A, more);
            put_sealed(bytes, len + more);
            assert_true(update_memory_load(&s_found, &s_kv.port, LIFE));
            assert_same(&s_found, &s_memory);
        }
        assert_true(update_memory_keep(&s_found, &s_kv.port));
        assert_int_equal(record(bytes), len);
    }
}

static void of_an_older_layout_what_it_has_is_read_and_what_is_missing_is_nothing(void **state)
{
    (void)state;
    uint8_t bytes[RECORD_ROOM];
    for (int with_job = 0; with_job <= 1; with_job++) {
        s_memory.has_job = with_job == 1;
        s_memory.is_anew = true;
        assert_true(update_memory_keep(&s_memory, &s_kv.port));
        put_sealed(bytes, record(bytes) - APPENDED_BYTES);
        assert_true(update_memory_load(&s_found, &s_kv.port, LIFE));
        s_memory.is_anew = false;
        assert_same(&s_found, &s_memory);
    }
}

static void what_is_shorter_than_the_first_layout_is_none_of_them_wherever_it_ends(void **state)
{
    (void)state;
    uint8_t bytes[RECORD_ROOM];
    s_memory.floor = 70;
    assert_true(update_memory_keep(&s_memory, &s_kv.port));
    const size_t len = record(bytes) - APPENDED_BYTES;
    for (size_t end = HEADER_BYTES + BEGINNING_BYTES; end < len; end++) {
        put_sealed(bytes, end);
        assert_not_known(70, SEQ_MAX);
    }
}

static void a_reason_that_only_a_newer_firmware_has_is_a_local_fault(void **state)
{
    (void)state;
    uint8_t bytes[RECORD_ROOM];
    s_memory.last.reason = REASON_REPLAYED;
    s_memory.has_job = false;
    assert_true(update_memory_keep(&s_memory, &s_kv.port));
    const size_t len = record(bytes);
    const size_t at = len - APPENDED_BYTES - 3; /* then whether it was told, and whether there is a job */
    assert_int_equal(bytes[at], REASON_REPLAYED);
    bytes[at] = UPDATE_REASONS;
    put_sealed(bytes, len);
    assert_true(update_memory_load(&s_found, &s_kv.port, LIFE));
    s_memory.last.reason = REASON_LOCAL_FAULT;
    assert_same(&s_found, &s_memory);
}

static void a_record_longer_than_any_is_not_known(void **state)
{
    (void)state;
    uint8_t bytes[RECORD_ROOM + 1] = {FORMAT};
    put_sealed(bytes, sizeof(bytes));
    assert_not_known(0, 0);
    assert_replaced(9, 9, 0);
}

static void power_that_goes_as_it_is_replaced_leaves_the_former_to_be_replaced_or_the_new_whole(void **state)
{
    (void)state;
    uint8_t bytes[RECORD_ROOM];
    for (int cut = FAKE_KV_CUT_KEEPS_OLD; cut <= FAKE_KV_CUT_KEEPS_NEW; cut++) {
        begin(NULL);
        s_memory.floor = 70;
        s_memory.seq = 1234;
        assert_true(update_memory_keep(&s_memory, &s_kv.port));
        const size_t len = record(bytes);
        bytes[0] = FORMAT + 1;
        put_sealed(bytes, len);
        assert_not_known(70, 1234);
        s_kv.cut = (fake_kv_cut_t)cut;
        s_kv.cut_at_write = s_kv.writes + 1;
        assert_false(update_memory_replace(&s_found, &s_kv.port, 80));
        fake_kv_power_on(&s_kv);
        if (cut == FAKE_KV_CUT_KEEPS_OLD) {
            assert_not_known(70, 1234);
            assert_replaced(80, 80, 1234);
        }
        assert_true(update_memory_load(&s_found, &s_kv.port, LIFE + 1));
        assert_int_equal(s_found.life, LIFE);
        assert_int_equal(s_found.floor, 80);
        assert_true(s_found.seq == 1234 && s_found.is_anew);
    }
}

/* A firmware with an error in it. What can't be so is not believed in part; and nothing is read beyond an array. */
static void any_byte_under_a_right_crc_may_be_wrong_and_what_comes_of_it_is_within_bounds(void **state)
{
    (void)state;
    uint8_t bytes[RECORD_ROOM];
    assert_true(update_memory_keep(&s_memory, &s_kv.port));
    const size_t len = record(bytes);
    size_t refused = 0;
    for (size_t at = HEADER_BYTES; at < len; at++) {
        const uint8_t good = bytes[at];
        for (int value = 0; value <= UINT8_MAX; value += 15) {
            bytes[at] = (uint8_t)value;
            put_sealed(bytes, len);
            if (!update_memory_load(&s_found, &s_kv.port, LIFE)) {
                refused++;
                continue;
            }
            assert_in_range(s_found.bad_count, 0, UPDATE_BAD_MAX);
            assert_in_range(s_found.last.status, 0, UPDATE_STATUSES - 1);
            assert_in_range(s_found.last.reason, 0, UPDATE_REASONS - 1);
            assert_in_range(s_found.job.phase, 0, UPDATE_PHASES - 1);
            assert_in_range(s_found.job.why, 0, UPDATE_REASONS - 1);
            assert_in_range(strlen(s_found.job.url), 0, URL_MAX_CHARS);
        }
        bytes[at] = good;
    }
    assert_true(refused > 0);
}

static void a_memory_with_a_number_that_is_none_is_not_kept(void **state)
{
    (void)state;
    s_memory.bad_count = UPDATE_BAD_MAX + 1;
    assert_false(update_memory_keep(&s_memory, &s_kv.port));
    fill(&s_memory);
    s_memory.job.why = UPDATE_REASONS;
    assert_false(update_memory_keep(&s_memory, &s_kv.port));
    assert_int_equal(s_kv.writes, 0);
}

/* Progress */

static void progress_is_of_one_ticket(void **state)
{
    (void)state;
    char etag[HTTP_ETAG_MAX_CHARS + 1] = "x";
    assert_int_equal(update_progress_load(&s_kv.port, 7, etag), 0);
    assert_string_equal(etag, "");
    assert_true(update_progress_keep(&s_kv.port, 7, 65536, "\"tag\""));
    assert_int_equal(update_progress_load(&s_kv.port, 7, etag), 65536);
    assert_string_equal(etag, "\"tag\"");
    assert_int_equal(update_progress_load(&s_kv.port, 8, etag), 0);
    assert_string_equal(etag, "");
}

static void the_longest_etag_and_none_are_kept_whole(void **state)
{
    (void)state;
    char longest[HTTP_ETAG_MAX_CHARS + 1], etag[HTTP_ETAG_MAX_CHARS + 1];
    memset(longest, 'e', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    assert_true(update_progress_keep(&s_kv.port, 7, UINT32_MAX, longest));
    assert_true(update_progress_load(&s_kv.port, 7, etag) == UINT32_MAX);
    assert_string_equal(etag, longest);
    assert_true(update_progress_keep(&s_kv.port, 7, 0, ""));
    assert_int_equal(update_progress_load(&s_kv.port, 7, etag), 0);
    assert_string_equal(etag, "");
}

static void progress_that_is_damaged_too_short_too_long_or_was_not_kept_is_none(void **state)
{
    (void)state;
    char etag[HTTP_ETAG_MAX_CHARS + 1];
    uint8_t bytes[200] = {7};
    for (size_t len = 0; len < 12; len++) {
        fake_kv_put(&s_kv, PROGRESS_KEY, bytes, len);
        assert_int_equal(update_progress_load(&s_kv.port, 7, etag), 0);
    }
    fake_kv_put(&s_kv, PROGRESS_KEY, bytes, 12 + HTTP_ETAG_MAX_CHARS + 1);
    assert_int_equal(update_progress_load(&s_kv.port, 7, etag), 0);
    assert_true(update_progress_keep(&s_kv.port, 7, 4096, ""));
    fake_kv_damage(&s_kv, PROGRESS_KEY);
    assert_int_equal(update_progress_load(&s_kv.port, 7, etag), 0);
    s_kv.fail_from_write = s_kv.writes + 1;
    assert_false(update_progress_keep(&s_kv.port, 7, 8192, ""));
}

static void power_that_goes_as_progress_is_kept_leaves_the_former_or_the_new(void **state)
{
    (void)state;
    char etag[HTTP_ETAG_MAX_CHARS + 1];
    for (int cut = FAKE_KV_CUT_KEEPS_OLD; cut <= FAKE_KV_CUT_KEEPS_NEW; cut++) {
        begin(NULL);
        assert_true(update_progress_keep(&s_kv.port, 7, 65536, "\"t\""));
        s_kv.cut = (fake_kv_cut_t)cut;
        s_kv.cut_at_write = s_kv.writes + 1;
        assert_false(update_progress_keep(&s_kv.port, 7, 131072, "\"t\""));
        fake_kv_power_on(&s_kv);
        assert_int_equal(update_progress_load(&s_kv.port, 7, etag), cut == FAKE_KV_CUT_KEEPS_OLD ? 65536 : 131072);
    }
}

/* Images that failed */

static void of_too_many_bad_images_the_one_that_is_longest_ago_is_forgotten(void **state)
{
    (void)state;
    uint8_t image[SHA256_BYTES];
    memset(&s_memory, 0, sizeof(s_memory));
    for (uint8_t i = 0; i < UPDATE_BAD_MAX + 1; i++) {
        memset(image, i, sizeof(image));
        update_memory_note_bad(&s_memory, image);
        update_memory_note_bad(&s_memory, image);
        assert_true(update_memory_is_bad(&s_memory, image));
    }
    assert_int_equal(s_memory.bad_count, UPDATE_BAD_MAX);
    memset(image, 0, sizeof(image));
    assert_false(update_memory_is_bad(&s_memory, image));
    memset(image, 1, sizeof(image));
    update_memory_note_bad(&s_memory, image); /* it is the latest again */
    memset(image, 9, sizeof(image));
    update_memory_note_bad(&s_memory, image);
    memset(image, 1, sizeof(image));
    assert_true(update_memory_is_bad(&s_memory, image));
    memset(image, 2, sizeof(image));
    assert_false(update_memory_is_bad(&s_memory, image));
}

static void an_image_that_failed_more_often_than_can_be_counted_stays_bad(void **state)
{
    (void)state;
    uint8_t image[SHA256_BYTES] = {1};
    memset(&s_memory, 0, sizeof(s_memory));
    assert_false(update_memory_is_bad(&s_memory, image));
    update_memory_note_bad(&s_memory, image);
    assert_false(update_memory_is_bad(&s_memory, image));
    for (int i = 0; i < 300; i++) {
        update_memory_note_bad(&s_memory, image);
        assert_true(update_memory_is_bad(&s_memory, image));
    }
    assert_int_equal(s_memory.bad_count, 1);
}

#define FACT(name) cmocka_unit_test_setup(name, begin)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FACT(what_is_kept_is_what_is_loaded_at_its_longest),
        FACT(without_a_job_none_is_kept),
        FACT(a_new_memory_draws_its_life_and_keeps_it),
        FACT(a_new_memory_that_can_not_be_kept_is_none),
        FACT(settings_that_can_not_be_read_are_no_new_memory_before_one_is_put_there),
        FACT(power_that_goes_as_it_is_kept_leaves_the_one_or_the_other_whole),
        FACT(a_record_that_was_cut_off_is_not_known_wherever_it_ends),
        FACT(a_record_with_a_flipped_bit_is_not_known_wherever_it_is),
        FACT(a_record_that_says_another_length_than_it_has_is_not_known),
        FACT(the_layout_before_this_one_which_had_no_length_and_no_crc_is_not_known),
        FACT(of_a_record_of_another_format_floor_and_seq_are_known_and_the_rest_is_not),
        FACT(a_floor_or_seq_that_none_could_reach_is_not_taken_over),
        FACT(of_a_newer_layout_what_is_known_is_read_and_what_follows_goes_with_the_next_write),
        FACT(of_an_older_layout_what_it_has_is_read_and_what_is_missing_is_nothing),
        FACT(what_is_shorter_than_the_first_layout_is_none_of_them_wherever_it_ends),
        FACT(a_reason_that_only_a_newer_firmware_has_is_a_local_fault),
        FACT(a_record_longer_than_any_is_not_known),
        FACT(power_that_goes_as_it_is_replaced_leaves_the_former_to_be_replaced_or_the_new_whole),
        FACT(any_byte_under_a_right_crc_may_be_wrong_and_what_comes_of_it_is_within_bounds),
        FACT(a_memory_with_a_number_that_is_none_is_not_kept),
        FACT(progress_is_of_one_ticket),
        FACT(the_longest_etag_and_none_are_kept_whole),
        FACT(progress_that_is_damaged_too_short_too_long_or_was_not_kept_is_none),
        FACT(power_that_goes_as_progress_is_kept_leaves_the_former_or_the_new),
        FACT(of_too_many_bad_images_the_one_that_is_longest_ago_is_forgotten),
        FACT(an_image_that_failed_more_often_than_can_be_counted_stays_bad),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
