#include "update_deeds.h"

#define MS_PER_S 1000

/* Byte by byte: a copy of one takes more of the stack than there should be to spare. */
static void swap_jobs(update_job_t *a, update_job_t *b)
{
    uint8_t *a_bytes = (uint8_t *)a, *b_bytes = (uint8_t *)b;
    for (size_t i = 0; i < sizeof(*a); i++) {
        const uint8_t byte = a_bytes[i];
        a_bytes[i] = b_bytes[i];
        b_bytes[i] = byte;
    }
}

bool update_accept(update_t *update, update_job_t *job, uint64_t now_ms, int64_t now_unix_s)
{
    const update_at_t at = {now_ms, 0};
    update_memory_t *memory = &update->memory;
    const bool had_job = memory->has_job;
    const uint64_t former_seq = memory->seq;
    if (!update->has_memory || update->options.ota == NULL || update_is_busy(update)) {
        return false;
    }
    const bool is_same_image = had_job && update_is_hash(memory->job.sha256, job->sha256);
    swap_jobs(&memory->job, job);
    memory->job.knew_time = now_unix_s != 0;
    memory->has_job = true;
    memory->seq = memory->job.seq;
    if (!update_keep(update)) {
        swap_jobs(&memory->job, job);
        memory->has_job = had_job;
        memory->seq = former_seq;
        return false;
    }
    if (!is_same_image) {
        update_from_first_byte(update);
    } else if (update->kept_bytes > 0) {
        /* Should it be lost, what is there is fetched once more. */
        (void)update_progress_keep(update->options.kv, memory->seq, update->kept_bytes, update->etag);
    }
    update_happen(update, HAPPENED_ACCEPTED, REASON_NONE, "", &at);
    return true;
}

/* Time */

static void hash_on(update_t *update, const update_at_t *at, uint8_t *scratch, size_t scratch_bytes)
{
    const port_ota_t *ota = update->options.ota;
    const port_crypto_t *crypto = update->options.crypto;
    const update_job_t *job = &update->memory.job;
    uint8_t found[SHA256_BYTES];
    for (uint32_t done = 0; done < UPDATE_HASH_AT_ONCE_BYTES && update->hashed_bytes < job->size_bytes;) {
        const uint32_t left_bytes = job->size_bytes - update->hashed_bytes;
        const uint32_t len_bytes = left_bytes < scratch_bytes ? left_bytes : (uint32_t)scratch_bytes;
        if (!ota->read(ota->ctx, update_target_slot(update), update->hashed_bytes, scratch, len_bytes) ||
            !crypto->sha256_update(crypto->ctx, &update->hash, scratch, len_bytes)) {
            update_happen(update, HAPPENED_FLASH_FAILED, REASON_FLASH_FAILED, "The slot can't be read.", at);
            return;
        }
        update->hashed_bytes += len_bytes;
        done += len_bytes;
    }
    if (update->hashed_bytes < job->size_bytes) {
        update->due_ms = at->now_ms;
        return;
    }
    update->hashing = false;
    if (!crypto->sha256_finish(crypto->ctx, &update->hash, found)) {
        update_happen(update, HAPPENED_FLASH_FAILED, REASON_LOCAL_FAULT, UPDATE_NO_HASH, at);
    } else if (update_is_hash(found, job->sha256)) {
        update_set_phase(update, PHASE_VERIFIED);
        update_happen(update, HAPPENED_HASH_RIGHT, REASON_NONE, "", at);
    } else if (update->over_restart) {
        /* It may be of two files, or what power left of a sector. */
        update_happen(update, HAPPENED_ANEW, REASON_NONE, "", at);
    } else {
        update_happen(update, HAPPENED_HASH_WRONG, REASON_HASH_MISMATCH, "What came is not what the manifest says.",
                      at);
    }
}

static bool is_waiting_for_its_moment(const update_t *update, int64_t now_unix_s)
{
    return update->state == UPDATE_WAITING && now_unix_s != 0 && now_unix_s < update->memory.job.not_before_unix_s;
}

void update_step(update_t *update, uint64_t now_ms, int64_t now_unix_s, uint32_t random, void *scratch,
                 size_t scratch_bytes)
{
    const update_at_t at = {now_ms, random};
    if (now_unix_s != 0 && !update_is_busy(update)) {
        update->memory.job.knew_time = true; /* kept when its slot is set to boot */
    }
    if (update->memory.has_job && now_unix_s != 0 && now_unix_s >= update->memory.job.exp_unix_s) {
        update_happen(update, HAPPENED_EXPIRED, REASON_EXPIRED,
                      "The ticket's time was over before the image was there.", &at);
    }
    if (update->state == UPDATE_ON_TRIAL && now_ms >= update->trial_until_ms) {
        update_happen(update, HAPPENED_TOO_LATE, REASON_NOT_CONFIRMED, "Nothing was acknowledged in time.", &at);
    }
    if (now_ms < update->due_ms || is_waiting_for_its_moment(update, now_unix_s)) {
        return;
    }
    if (update->state == UPDATE_HASHING) {
        hash_on(update, &at, scratch, scratch_bytes);
    } else {
        update_happen(update, update->state == UPDATE_LEAVING ? HAPPENED_TOLD : HAPPENED_DUE, REASON_NONE, "", &at);
    }
}

static uint64_t in_s(uint64_t now_ms, int64_t left_s)
{
    return left_s <= 0 ? now_ms : now_ms + (uint64_t)left_s * MS_PER_S;
}

uint64_t update_next_due_ms(const update_t *update, uint64_t now_ms, int64_t now_unix_s)
{
    uint64_t due_ms = update->state == UPDATE_ON_TRIAL ? update->trial_until_ms : update->due_ms;
    if (is_waiting_for_its_moment(update, now_unix_s)) {
        due_ms = in_s(now_ms, update->memory.job.not_before_unix_s - now_unix_s);
    }
    const update_move_t move = update_move(update->state, HAPPENED_EXPIRED);
    if (move.deed != DEED_NONE && now_unix_s != 0) {
        const uint64_t expires_ms = in_s(now_ms, update->memory.job.exp_unix_s - now_unix_s);
        due_ms = expires_ms < due_ms ? expires_ms : due_ms;
    }
    return due_ms;
}

/* What others find out */

void update_told(update_t *update, update_phase_t phase, bool of_last, uint64_t now_ms)
{
    const update_at_t at = {now_ms, 0};
    if (of_last && !update->memory.last.told) {
        update->memory.last.told = true;
        (void)update_keep(update); /* otherwise it is told again after the next start */
    }
    if (phase == PHASE_REBOOTING) {
        update_happen(update, HAPPENED_TOLD, REASON_NONE, "", &at);
    }
}

void update_told_anew(update_t *update)
{
    update->memory.is_anew = false;
    (void)update_keep(update); /* otherwise it is told again after the next start */
}

void update_proven(update_t *update, uint64_t now_ms)
{
    const update_at_t at = {now_ms, 0};
    const port_ota_t *ota = update->options.ota;
    /* The boot loader first: what it does not know is not so. */
    if (update_is_on_trial(update) && ota->confirm(ota->ctx)) {
        update_happen(update, HAPPENED_PROVEN, REASON_NONE, "", &at);
    }
}

void update_self_test_failed(update_t *update, uint64_t now_ms, const char *detail)
{
    const update_at_t at = {now_ms, 0};
    update_happen(update, HAPPENED_SELF_TEST_FAILED, REASON_SELF_TEST_FAILED, detail, &at);
}

void update_key_revoked(update_t *update, uint64_t now_ms)
{
    const update_at_t at = {now_ms, 0};
    update_happen(update, HAPPENED_WITHDRAWN, REASON_KEY_REVOKED, "The key of its manifest was revoked.", &at);
}

bool update_is_on_trial(const update_t *update)
{
    return update->state == UPDATE_ON_TRIAL;
}

bool update_is_busy(const update_t *update)
{
    return update->state >= UPDATE_LEAVING;
}
