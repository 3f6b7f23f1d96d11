#include "update_deeds.h"

#include <string.h>

#define MS_PER_S 1000
#define RETRY_SPREAD_PART 4 /* behind Retry-After up to so much of it more, for all were told the same */
static const char NOT_KEPT[] = "The settings take nothing.";

/* What a deed makes happen in turn. */
typedef struct {
    bool is_any;
    update_happening_t happening;
    update_reason_t reason;
    const char *detail;
} next_t;

static const next_t NOTHING = {.is_any = false};

static next_t then(update_happening_t happening, update_reason_t reason, const char *detail)
{
    return (next_t){true, happening, reason, detail};
}

uint8_t update_target_slot(const update_t *update)
{
    return update->running.slot == 0 ? 1 : 0;
}

void update_set_phase(update_t *update, update_phase_t phase)
{
    update->phase = phase;
    update->has_news = true;
}

bool update_keep(update_t *update)
{
    return update_memory_keep(&update->memory, update->options.kv);
}

static void end_hash(update_t *update)
{
    if (update->hashing) {
        update->hashing = false;
        (void)update->options.crypto->sha256_finish(update->options.crypto->ctx, &update->hash, NULL);
    }
}

void update_end_head(update_t *update)
{
    if (update->looks_at_head) {
        update->looks_at_head = false;
        image_give_up(&update->image, update->options.crypto);
    }
}

void update_from_first_byte(update_t *update)
{
    update_end_head(update);
    update->have_bytes = update->kept_bytes = update->erased_bytes = 0;
    update->head_bytes = 0;
    update->etag[0] = '\0';
    update->over_restart = update->head_is_good = false;
}

/* Whatever ran for the image ends. */
static void stop(update_t *update)
{
    end_hash(update);
    if (!update->head_is_good) {
        update_from_first_byte(update); /* a few bytes, and its head is looked at in one go */
    }
    update->to_cancel = update->to_cancel || update->requested;
    update->requested = false;
    update->due_ms = UINT64_MAX;
}

/* Deeds */

void update_begin(update_t *update, const update_at_t *at)
{
    stop(update);
    update_set_phase(update, PHASE_DOWNLOADING);
    backoff_init(&update->pause, UPDATE_PAUSE_FIRST_MS, UPDATE_PAUSE_MAX_MS);
    update->tries = update->denied = update->anew = 0;
    update->due_ms = at->now_ms;
}

static next_t fetch(update_t *update)
{
    update->due_ms = UINT64_MAX;
    return update->have_bytes < update->memory.job.size_bytes ? NOTHING : then(HAPPENED_WHOLE, REASON_NONE, "");
}

static void pause(update_t *update, const update_at_t *at)
{
    stop(update);
    uint64_t pause_ms = backoff_next(&update->pause, at->random);
    if (update->retry_after_s > 0) {
        const uint64_t asked_ms = (uint64_t)update->retry_after_s * MS_PER_S;
        pause_ms = asked_ms + ((asked_ms / RETRY_SPREAD_PART * at->random) >> 32);
        update->retry_after_s = 0;
    }
    update->due_ms = at->now_ms + pause_ms;
}

static next_t restart(update_t *update)
{
    update_from_first_byte(update);
    end_hash(update);
    update->due_ms = UINT64_MAX;
    if (update->anew >= UPDATE_ANEW_MAX) {
        return then(HAPPENED_GIVEN_UP, REASON_DOWNLOAD_FAILED, "It had to begin anew too often.");
    }
    update->anew++;
    update_set_phase(update, PHASE_DOWNLOADING);
    return update_progress_keep(update->options.kv, update->memory.job.seq, 0, "")
               ? NOTHING
               : then(HAPPENED_FLASH_FAILED, REASON_LOCAL_FAULT, NOT_KEPT);
}

static next_t start_hashing(update_t *update, const update_at_t *at)
{
    const port_crypto_t *crypto = update->options.crypto;
    stop(update);
    update_set_phase(update, PHASE_DOWNLOADED);
    update->hashed_bytes = 0;
    update->due_ms = at->now_ms;
    update->hashing = crypto->sha256_start(crypto->ctx, &update->hash);
    return update->hashing ? NOTHING : then(HAPPENED_FLASH_FAILED, REASON_LOCAL_FAULT, UPDATE_NO_HASH);
}

static next_t install(update_t *update, const update_at_t *at)
{
    const port_ota_t *ota = update->options.ota;
    update_job_t *job = &update->memory.job;
    const image_state_t former = ota->state(ota->ctx, update_target_slot(update));
    stop(update);
    if (job->installs == 0) {
        job->was_given_up = former == IMAGE_INVALID || former == IMAGE_ABORTED;
    }
    job->installs = (uint8_t)(job->installs + 1);
    job->phase = PHASE_INSTALLING;
    update_set_phase(update, PHASE_INSTALLING);
    /* In this order: what the next start finds must say why it is there. */
    if (!update_keep(update)) {
        return then(HAPPENED_FLASH_FAILED, REASON_LOCAL_FAULT, NOT_KEPT);
    }
    if (!ota->set_boot(ota->ctx, update_target_slot(update))) {
        return then(HAPPENED_BOOT_REFUSED, REASON_NOT_BOOTABLE, "The slot can't be set to boot.");
    }
    update_set_phase(update, PHASE_REBOOTING);
    update->due_ms = at->now_ms + UPDATE_TELL_MS;
    return NOTHING;
}

/* The job is over. */
static void end_job(update_t *update, update_status_t status, update_reason_t reason)
{
    update_memory_t *memory = &update->memory;
    const update_job_t *job = &memory->job;
    stop(update);
    memory->last = (update_outcome_t){
        .seq = job->seq, .size_bytes = job->size_bytes, .status = status, .phase = update->phase, .reason = reason};
    memcpy(memory->last.execution_id, job->execution_id, sizeof(memory->last.execution_id));
    memory->has_job = false;
    /* Should it not be kept, the next start finds the job and comes to the same end. */
    (void)update_keep(update);
    update_set_phase(update, PHASE_NONE);
}

/* It was tried, and the image or its boot failed. */
static bool says_it_is_bad(update_reason_t reason)
{
    return reason == REASON_NOT_BOOTABLE || reason == REASON_SELF_TEST_FAILED || reason == REASON_NOT_CONFIRMED ||
           reason == REASON_ROLLED_BACK;
}

void update_fail(update_t *update, update_reason_t reason, const char *detail)
{
    if (says_it_is_bad(reason)) {
        update_memory_note_bad(&update->memory, update->memory.job.sha256);
    }
    update->detail = detail;
    end_job(update, STATUS_FAILED, reason);
}

void update_confirm(update_t *update)
{
    update_memory_t *memory = &update->memory;
    memory->floor = memory->job.counter > memory->floor ? memory->job.counter : memory->floor;
    memory->counter = memory->job.counter;
    memcpy(memory->sha256, memory->job.sha256, sizeof(memory->sha256));
    update->running.counter = memory->counter;
    update->detail = "";
    end_job(update, STATUS_SUCCEEDED, REASON_NONE);
}

static void go_back(update_t *update, update_reason_t reason, const char *detail)
{
    stop(update);
    /* For the image that it goes back to: that one tells it. */
    update->memory.job.why = reason;
    (void)update_keep(update);
    update->detail = detail;
    update->has_news = true;
    update->to_go_back = true;
}

static bool erase_to(update_t *update, uint32_t end_bytes)
{
    const port_ota_t *ota = update->options.ota;
    while (update->erased_bytes < end_bytes) {
        if (!ota->erase(ota->ctx, update_target_slot(update), update->erased_bytes, OUTBOX_SECTOR_BYTES)) {
            return false;
        }
        update->erased_bytes += OUTBOX_SECTOR_BYTES;
    }
    return true;
}

static bool note_progress(update_t *update)
{
    const update_job_t *job = &update->memory.job;
    const bool whole = update->have_bytes == job->size_bytes;
    if (!whole && update->have_bytes - update->kept_bytes < UPDATE_KEEP_EVERY_BYTES) {
        return true;
    }
    /* In whole sectors: the next start erases from there. */
    update->kept_bytes = whole ? update->have_bytes : update->have_bytes / OUTBOX_SECTOR_BYTES * OUTBOX_SECTOR_BYTES;
    return update_progress_keep(update->options.kv, job->seq, update->kept_bytes, update->etag);
}

static next_t write_piece(update_t *update)
{
    const port_ota_t *ota = update->options.ota;
    const size_t len_bytes = update->piece_len_bytes;
    if (!erase_to(update, update->have_bytes + (uint32_t)len_bytes) ||
        !ota->write(ota->ctx, update_target_slot(update), update->have_bytes, update->piece, len_bytes)) {
        return then(HAPPENED_FLASH_FAILED, REASON_FLASH_FAILED, "The slot takes nothing.");
    }
    update->have_bytes += (uint32_t)len_bytes;
    if (!note_progress(update)) {
        return then(HAPPENED_FLASH_FAILED, REASON_LOCAL_FAULT, NOT_KEPT);
    }
    return update->have_bytes < update->memory.job.size_bytes ? NOTHING : then(HAPPENED_WHOLE, REASON_NONE, "");
}

static next_t act(update_t *update, update_deed_t deed, const next_t *why, const update_at_t *at)
{
    switch (deed) {
    case DEED_FETCH:
        return fetch(update);
    case DEED_RESTART:
        return restart(update);
    case DEED_WRITE:
        return write_piece(update);
    case DEED_HASH:
        return start_hashing(update, at);
    case DEED_INSTALL:
        return install(update, at);
    case DEED_BEGIN:
        update_begin(update, at);
        break;
    case DEED_PAUSE:
        pause(update, at);
        break;
    case DEED_REBOOT:
        update->due_ms = UINT64_MAX;
        update->to_reboot = true;
        break;
    case DEED_CONFIRM:
        update_confirm(update);
        break;
    case DEED_GO_BACK:
        go_back(update, why->reason, why->detail);
        break;
    case DEED_FAIL:
        update_fail(update, why->reason, why->detail);
        break;
    case DEED_NONE:
    case UPDATE_DEEDS:
        break;
    }
    return NOTHING;
}

void update_happen(update_t *update, update_happening_t happening, update_reason_t reason, const char *detail,
                   const update_at_t *at)
{
    next_t next = then(happening, reason, detail);
    while (next.is_any) {
        const update_move_t move = update_move(update->state, next.happening);
        update->state = move.next;
        next = act(update, move.deed, &next, at);
    }
}

bool update_is_hash(const uint8_t a[SHA256_BYTES], const uint8_t b[SHA256_BYTES])
{
    return memcmp(a, b, SHA256_BYTES) == 0;
}
