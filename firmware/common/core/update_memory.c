#include "update_memory.h"

#include <string.h>

#include "le.h"

/* Layout, little endian: format (1), then the fields in the order of `put_all`; a text is its length (1) and its bytes.
 * A later firmware may put more behind what is there: that is kept out of sight, and gone with the next write. */
#define FORMAT 1
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

static void walk_last(cursor_t *cursor, update_outcome_t *last)
{
    walk_text(cursor, last->execution_id, sizeof(last->execution_id));
    walk_u64(cursor, &last->seq);
    walk_u32(cursor, &last->size_bytes);
    last->status = (update_status_t)walk_choice(cursor, (uint8_t)last->status, UPDATE_STATUSES);
    last->phase = (update_phase_t)walk_choice(cursor, (uint8_t)last->phase, UPDATE_PHASES);
    last->reason = (update_reason_t)walk_choice(cursor, (uint8_t)last->reason, UPDATE_REASONS);
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
    job->why = (update_reason_t)walk_choice(cursor, (uint8_t)job->why, UPDATE_REASONS);
    walk_flag(cursor, &job->knew_time);
}

static void walk_all(cursor_t *cursor, update_memory_t *memory)
{
    walk_u32(cursor, &memory->life);
    walk_u32(cursor, &memory->floor);
    walk_u64(cursor, &memory->seq);
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
}

bool update_memory_keep(update_memory_t *memory, const port_kv_t *kv)
{
    cursor_t cursor = {.bytes = memory->record, .at = 1, .end = sizeof(memory->record), .good = true};
    memory->record[0] = FORMAT;
    walk_all(&cursor, memory);
    return cursor.good && kv->set(kv->ctx, RECORD_KEY, memory->record, cursor.at) == KV_OK;
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
    if (status == KV_OK && len > 0 && memory->record[0] == FORMAT) {
        cursor_t cursor = {.bytes = memory->record, .at = 1, .end = len, .reads = true, .good = true};
        walk_all(&cursor, memory);
        if (cursor.good) {
            return true;
        }
    }
    memset(memory, 0, sizeof(*memory));
    memory->life = random;
    return false;
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
