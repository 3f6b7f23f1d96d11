#include "update_memory.h"

#include <string.h>

#include "crc32.h"
#include "le.h"

/* Layout, little endian: format (1), length of the record (2), CRC-32 of all of it but itself (4), then the fields in
 * the order of `walk_all`; a text is its length (1) and its bytes. An image goes back to one that is older, so:
 *
 * A field is added at the end (walk_appended), and none is changed or taken away. An older firmware reads what it
 * knows, and what follows is gone with its next write; for a newer one a field that is not there is 0. What can't be
 * had so is another FORMAT; whoever makes one goes on reading the former. Of every format life, floor and seq come
 * first, that going back to an older firmware does not open the way to older images. */
#define FORMAT 2 /* 1 had neither length nor CRC */
#define AT_LENGTH 1
#define AT_CRC 3
#define HEADER_BYTES 7
#define RECORD_KEY "ota_state"
#define PROGRESS_KEY "ota_progress"
#define PROGRESS_BYTES (12 + HTTP_ETAG_MAX_CHARS)

typedef struct {
    uint8_t *bytes;
    size_t at, end; /* of the buffer when it is written, of what was found when it is read */
    bool reads, good;
} cursor_t;

/* One walk for both directions, so that they can't differ. */
static void walk_bytes(cursor_t *cursor, void *field, size_t len_bytes)
{
    if (!cursor->good || len_bytes > cursor->end - cursor->at) {
        cursor->good = false;
        return;
    }
    if (cursor->reads) {
        memcpy(field, cursor->bytes + cursor->at, len_bytes);
    } else {
        memcpy(cursor->bytes + cursor->at, field, len_bytes);
    }
    cursor->at += len_bytes;
}

static void walk_u8(cursor_t *cursor, uint8_t *field)
{
    walk_bytes(cursor, field, 1);
}

static void walk_u32(cursor_t *cursor, uint32_t *field)
{
    uint8_t bytes[4];
    le_put32(bytes, *field);
    walk_bytes(cursor, bytes, sizeof(bytes));
    *field = le_get32(bytes);
}

static void walk_u64(cursor_t *cursor, uint64_t *field)
{
    uint8_t bytes[8];
    le_put64(bytes, *field);
    walk_bytes(cursor, bytes, sizeof(bytes));
    *field = le_get64(bytes);
}

static void walk_moment(cursor_t *cursor, int64_t *field)
{
    uint64_t bits = (uint64_t)*field;
    walk_u64(cursor, &bits);
    *field = (int64_t)bits;
}

static void walk_flag(cursor_t *cursor, bool *field)
{
    uint8_t byte = *field ? 1 : 0;
    walk_u8(cursor, &byte);
    *field = byte == 1;
}

static void walk_text(cursor_t *cursor, char *field, size_t cap_bytes)
{
    uint8_t len = cursor->reads ? 0 : (uint8_t)strlen(field);
    walk_u8(cursor, &len);
    if (len >= cap_bytes) {
        cursor->good = false;
        return;
    }
    walk_bytes(cursor, field, len);
    field[len] = '\0';
}

/* A number below `count`, as an enum. */
static uint8_t walk_choice(cursor_t *cursor, uint8_t value, uint8_t count)
{
    walk_u8(cursor, &value);
    if (value >= count) {
        cursor->good = false;
        return 0;
    }
    return value;
}

/* One to which a newer firmware may have added values: they are read as `otherwise`. */
static uint8_t walk_open_choice(cursor_t *cursor, uint8_t value, uint8_t count, uint8_t otherwise)
{
    walk_u8(cursor, &value);
    if (value >= count) {
        cursor->good = cursor->good && cursor->reads;
        return otherwise;
    }
    return value;
}

static update_reason_t walk_reason(cursor_t *cursor, update_reason_t reason)
{
    return (update_reason_t)walk_open_choice(cursor, (uint8_t)reason, UPDATE_REASONS, REASON_LOCAL_FAULT);
}

static void walk_last(cursor_t *cursor, update_outcome_t *last)
{
    walk_text(cursor, last->execution_id, sizeof(last->execution_id));
    walk_u64(cursor, &last->seq);
    walk_u32(cursor, &last->size_bytes);
    last->status = (update_status_t)walk_choice(cursor, (uint8_t)last->status, UPDATE_STATUSES);
    last->phase = (update_phase_t)walk_choice(cursor, (uint8_t)last->phase, UPDATE_PHASES);
    last->reason = walk_reason(cursor, last->reason);
    walk_flag(cursor, &last->told);
}

static void walk_job(cursor_t *cursor, update_job_t *job)
{
    walk_text(cursor, job->execution_id, sizeof(job->execution_id));
    walk_text(cursor, job->version, sizeof(job->version));
    walk_text(cursor, job->url, sizeof(job->url));
    walk_text(cursor, job->manifest_kid, sizeof(job->manifest_kid));
    walk_text(cursor, job->families, sizeof(job->families));
    walk_bytes(cursor, job->sha256, sizeof(job->sha256));
    walk_u32(cursor, &job->size_bytes);
    walk_u32(cursor, &job->counter);
    walk_u64(cursor, &job->seq);
    walk_moment(cursor, &job->not_before_unix_s);
    walk_moment(cursor, &job->exp_unix_s);
    job->phase = (update_phase_t)walk_choice(cursor, (uint8_t)job->phase, UPDATE_PHASES);
    walk_u8(cursor, &job->installs);
    walk_flag(cursor, &job->was_given_up);
    job->why = walk_reason(cursor, job->why);
    walk_flag(cursor, &job->knew_time);
}

/* Of every format. */
static void walk_beginning(cursor_t *cursor, update_memory_t *memory)
{
    walk_u32(cursor, &memory->life);
    walk_u32(cursor, &memory->floor);
    walk_u64(cursor, &memory->seq);
}

static bool has_more(const cursor_t *cursor)
{
    return !cursor->reads || cursor->at < cursor->end;
}

/* What came later, each behind the one before. */
static void walk_appended(cursor_t *cursor, update_memory_t *memory)
{
    if (has_more(cursor)) {
        walk_flag(cursor, &memory->is_anew);
    }
}

static void walk_all(cursor_t *cursor, update_memory_t *memory)
{
    walk_beginning(cursor, memory);
    walk_u32(cursor, &memory->counter);
    walk_bytes(cursor, memory->sha256, sizeof(memory->sha256));
    memory->bad_count = walk_choice(cursor, memory->bad_count, UPDATE_BAD_MAX + 1);
    for (uint8_t i = 0; i < memory->bad_count; i++) {
        walk_bytes(cursor, memory->bad[i].sha256, sizeof(memory->bad[i].sha256));
        walk_u8(cursor, &memory->bad[i].failures);
    }
    walk_last(cursor, &memory->last);
    walk_flag(cursor, &memory->has_job);
    if (memory->has_job) {
        walk_job(cursor, &memory->job);
    }
    walk_appended(cursor, memory);
}

static uint32_t crc_of(const uint8_t *record, size_t len_bytes)
{
    return crc32_add(crc32_add(0, record, AT_CRC), record + HEADER_BYTES, len_bytes - HEADER_BYTES);
}

static bool is_whole(const uint8_t *record, size_t len_bytes)
{
    return len_bytes >= HEADER_BYTES && le_get16(record + AT_LENGTH) == len_bytes &&
           le_get32(record + AT_CRC) == crc_of(record, len_bytes);
}

bool update_memory_keep(update_memory_t *memory, const port_kv_t *kv)
{
    cursor_t cursor = {.bytes = memory->record, .at = HEADER_BYTES, .end = sizeof(memory->record), .good = true};
    walk_all(&cursor, memory);
    if (!cursor.good) {
        return false;
    }
    memory->record[0] = FORMAT;
    le_put16(memory->record + AT_LENGTH, (uint16_t)cursor.at);
    le_put32(memory->record + AT_CRC, crc_of(memory->record, cursor.at));
    return kv->set(kv->ctx, RECORD_KEY, memory->record, cursor.at) == KV_OK;
}

/* Of a record that is whole, and of another format, or breaks its rules. */
static void take_beginning(update_memory_t *memory, cursor_t cursor)
{
    uint32_t floor = 0;
    uint64_t seq = 0;
    walk_beginning(&cursor, memory);
    /* Numbers that none could be above would end updates for ever. */
    if (cursor.good && memory->floor <= COUNTER_MAX && memory->seq <= SEQ_MAX) {
        floor = memory->floor;
        seq = memory->seq;
    }
    memset(memory, 0, offsetof(update_memory_t, record));
    memory->floor = floor;
    memory->seq = seq;
}

bool update_memory_load(update_memory_t *memory, const port_kv_t *kv, uint32_t random)
{
    size_t len = 0;
    memset(memory, 0, sizeof(*memory));
    const kv_status_t status = kv->get(kv->ctx, RECORD_KEY, memory->record, sizeof(memory->record), &len);
    if (status == KV_MISSING) {
        memory->life = random;
        return update_memory_keep(memory, kv);
    }
    if (status == KV_OK && is_whole(memory->record, len)) {
        const cursor_t start = {.bytes = memory->record, .at = HEADER_BYTES, .end = len, .reads = true, .good = true};
        cursor_t cursor = start;
        cursor.good = memory->record[0] == FORMAT;
        walk_all(&cursor, memory);
        if (cursor.good) {
            return true;
        }
        take_beginning(memory, start);
    }
    memory->life = random;
    return false;
}

bool update_memory_replace(update_memory_t *memory, const port_kv_t *kv, uint32_t running_counter)
{
    memory->floor = running_counter > memory->floor ? running_counter : memory->floor;
    memory->is_anew = true;
    return update_memory_keep(memory, kv);
}

bool update_progress_keep(const port_kv_t *kv, uint64_t seq, uint32_t bytes, const char *etag)
{
    uint8_t record[PROGRESS_BYTES];
    const size_t etag_len = strlen(etag);
    le_put64(record, seq);
    le_put32(record + 8, bytes);
    memcpy(record + 12, etag, etag_len);
    return kv->set(kv->ctx, PROGRESS_KEY, record, 12 + etag_len) == KV_OK;
}

uint32_t update_progress_load(const port_kv_t *kv, uint64_t seq, char etag[HTTP_ETAG_MAX_CHARS + 1])
{
    uint8_t record[PROGRESS_BYTES];
    size_t len = 0;
    etag[0] = '\0';
    if (kv->get(kv->ctx, PROGRESS_KEY, record, sizeof(record), &len) != KV_OK || len < 12 || le_get64(record) != seq) {
        return 0;
    }
    memcpy(etag, record + 12, len - 12);
    etag[len - 12] = '\0';
    return le_get32(record + 8);
}

static uint8_t place_of(const update_memory_t *memory, const uint8_t sha256[SHA256_BYTES])
{
    uint8_t place = 0;
    while (place < memory->bad_count && memcmp(memory->bad[place].sha256, sha256, SHA256_BYTES) != 0) {
        place++;
    }
    return place;
}

void update_memory_note_bad(update_memory_t *memory, const uint8_t sha256[SHA256_BYTES])
{
    const uint8_t place = place_of(memory, sha256);
    const bool is_new = place == memory->bad_count;
    update_bad_t bad = {.failures = is_new ? 0 : memory->bad[place].failures};
    memcpy(bad.sha256, sha256, sizeof(bad.sha256));
    bad.failures = (uint8_t)(bad.failures + (bad.failures < UINT8_MAX ? 1 : 0));
    memory->bad_count = (uint8_t)(memory->bad_count + (is_new && memory->bad_count < UPDATE_BAD_MAX ? 1 : 0));
    const uint8_t moved = is_new ? (uint8_t)(memory->bad_count - 1) : place;
    memmove(&memory->bad[1], &memory->bad[0], moved * sizeof(memory->bad[0]));
    memory->bad[0] = bad;
}

bool update_memory_is_bad(const update_memory_t *memory, const uint8_t sha256[SHA256_BYTES])
{
    const uint8_t place = place_of(memory, sha256);
    return place < memory->bad_count && memory->bad[place].failures >= UPDATE_BAD_FAILURES;
}
