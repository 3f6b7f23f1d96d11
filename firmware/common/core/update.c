#include "update.h"

#include <string.h>

#define MS_PER_S 1000
#define SECTOR_BYTES OUTBOX_SECTOR_BYTES
#define RUNNING_CHUNK_BYTES 1024
static const char NOT_KEPT[] = "The settings take nothing.";
static const char NO_HASH[] = "SHA-256 can't be had.";
#define RETRY_SPREAD_PART 4 /* behind Retry-After up to so much of it more, for all were told the same */

/* One moment, as the step has it. */
typedef struct {
    uint64_t now_ms;
    uint32_t random;
} at_t;

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

static uint8_t target_slot(const update_t *update)
{
    return update->running.slot == 0 ? 1 : 0;
}

static void set_phase(update_t *update, update_phase_t phase)
{
    update->phase = phase;
    update->has_news = true;
}

static bool keep(update_t *update)
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

static void end_head(update_t *update)
{
    if (update->looks_at_head) {
        update->looks_at_head = false;
        image_give_up(&update->image, update->options.crypto);
    }
}

static void from_first_byte(update_t *update)
{
    end_head(update);
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
        from_first_byte(update); /* a few bytes, and its head is looked at in one go */
    }
    update->to_cancel = update->to_cancel || update->requested;
    update->requested = false;
    update->due_ms = UINT64_MAX;
}

/* Deeds */

static void begin(update_t *update, const at_t *at)
{
    stop(update);
    set_phase(update, PHASE_DOWNLOADING);
    backoff_init(&update->pause, UPDATE_PAUSE_FIRST_MS, UPDATE_PAUSE_MAX_MS);
    update->tries = update->denied = update->anew = 0;
    update->due_ms = at->now_ms;
}

static next_t fetch(update_t *update)
{
    update->due_ms = UINT64_MAX;
    return update->have_bytes < update->memory.job.size_bytes ? NOTHING : then(HAPPENED_WHOLE, REASON_NONE, "");
}

static void pause(update_t *update, const at_t *at)
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
    from_first_byte(update);
    end_hash(update);
    update->due_ms = UINT64_MAX;
    if (update->anew >= UPDATE_ANEW_MAX) {
        return then(HAPPENED_GIVEN_UP, REASON_DOWNLOAD_FAILED, "It had to begin anew too often.");
    }
    update->anew++;
    set_phase(update, PHASE_DOWNLOADING);
    return update_progress_keep(update->options.kv, update->memory.job.seq, 0, "")
               ? NOTHING
               : then(HAPPENED_FLASH_FAILED, REASON_LOCAL_FAULT, NOT_KEPT);
}

static next_t start_hashing(update_t *update, const at_t *at)
{
    const port_crypto_t *crypto = update->options.crypto;
    stop(update);
    set_phase(update, PHASE_DOWNLOADED);
    update->hashed_bytes = 0;
    update->due_ms = at->now_ms;
    update->hashing = crypto->sha256_start(crypto->ctx, &update->hash);
    return update->hashing ? NOTHING : then(HAPPENED_FLASH_FAILED, REASON_LOCAL_FAULT, NO_HASH);
}

static next_t install(update_t *update, const at_t *at)
{
    const port_ota_t *ota = update->options.ota;
    update_job_t *job = &update->memory.job;
    const image_state_t former = ota->state(ota->ctx, target_slot(update));
    stop(update);
    if (job->installs == 0) {
        job->was_given_up = former == IMAGE_INVALID || former == IMAGE_ABORTED;
    }
    job->installs = (uint8_t)(job->installs + 1);
    job->phase = PHASE_INSTALLING;
    set_phase(update, PHASE_INSTALLING);
    /* In this order: what the next start finds must say why it is there. */
    if (!keep(update)) {
        return then(HAPPENED_FLASH_FAILED, REASON_LOCAL_FAULT, NOT_KEPT);
    }
    if (!ota->set_boot(ota->ctx, target_slot(update))) {
        return then(HAPPENED_BOOT_REFUSED, REASON_NOT_BOOTABLE, "The slot can't be set to boot.");
    }
    set_phase(update, PHASE_REBOOTING);
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
    (void)keep(update);
    set_phase(update, PHASE_NONE);
}

/* It was tried, and the image or its boot failed. */
static bool says_it_is_bad(update_reason_t reason)
{
    return reason == REASON_NOT_BOOTABLE || reason == REASON_SELF_TEST_FAILED || reason == REASON_NOT_CONFIRMED ||
           reason == REASON_ROLLED_BACK;
}

static void fail(update_t *update, update_reason_t reason, const char *detail)
{
    if (says_it_is_bad(reason)) {
        update_memory_note_bad(&update->memory, update->memory.job.sha256);
    }
    update->detail = detail;
    end_job(update, STATUS_FAILED, reason);
}

static void confirm(update_t *update)
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
    (void)keep(update);
    update->detail = detail;
    update->has_news = true;
    update->to_go_back = true;
}

static bool erase_to(update_t *update, uint32_t end_bytes)
{
    const port_ota_t *ota = update->options.ota;
    while (update->erased_bytes < end_bytes) {
        if (!ota->erase(ota->ctx, target_slot(update), update->erased_bytes, SECTOR_BYTES)) {
            return false;
        }
        update->erased_bytes += SECTOR_BYTES;
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
    update->kept_bytes = whole ? update->have_bytes : update->have_bytes / SECTOR_BYTES * SECTOR_BYTES;
    return update_progress_keep(update->options.kv, job->seq, update->kept_bytes, update->etag);
}

static next_t write_piece(update_t *update)
{
    const port_ota_t *ota = update->options.ota;
    const size_t len_bytes = update->piece_len_bytes;
    if (!erase_to(update, update->have_bytes + (uint32_t)len_bytes) ||
        !ota->write(ota->ctx, target_slot(update), update->have_bytes, update->piece, len_bytes)) {
        return then(HAPPENED_FLASH_FAILED, REASON_FLASH_FAILED, "The slot takes nothing.");
    }
    update->have_bytes += (uint32_t)len_bytes;
    if (!note_progress(update)) {
        return then(HAPPENED_FLASH_FAILED, REASON_LOCAL_FAULT, NOT_KEPT);
    }
    return update->have_bytes < update->memory.job.size_bytes ? NOTHING : then(HAPPENED_WHOLE, REASON_NONE, "");
}

static next_t act(update_t *update, update_deed_t deed, const next_t *why, const at_t *at)
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
        begin(update, at);
        break;
    case DEED_PAUSE:
        pause(update, at);
        break;
    case DEED_REBOOT:
        update->due_ms = UINT64_MAX;
        update->to_reboot = true;
        break;
    case DEED_CONFIRM:
        confirm(update);
        break;
    case DEED_GO_BACK:
        go_back(update, why->reason, why->detail);
        break;
    case DEED_FAIL:
        fail(update, why->reason, why->detail);
        break;
    case DEED_NONE:
    case UPDATE_DEEDS:
        break;
    }
    return NOTHING;
}

static void happen(update_t *update, update_happening_t happening, update_reason_t reason, const char *detail,
                   const at_t *at)
{
    next_t next = then(happening, reason, detail);
    while (next.is_any) {
        const update_move_t move = update_move(update->state, next.happening);
        update->state = move.next;
        next = act(update, move.deed, &next, at);
    }
}

/* A start */

static void read_running(update_t *update)
{
    const port_ota_t *ota = update->options.ota;
    const port_crypto_t *crypto = update->options.crypto;
    update_running_t *running = &update->running;
    uint8_t chunk[RUNNING_CHUNK_BYTES];
    *running = (update_running_t){.slot = ota->running_slot(ota->ctx)};
    const uint32_t slot_bytes = ota->slot_bytes(ota->ctx);
    image_status_t status = image_begin(&update->image, crypto);
    for (uint32_t done = 0; status == IMAGE_MORE && done + sizeof(chunk) <= slot_bytes; done += sizeof(chunk)) {
        if (!ota->read(ota->ctx, running->slot, done, chunk, sizeof(chunk))) {
            break;
        }
        status = image_take(&update->image, crypto, chunk, sizeof(chunk));
    }
    if (status == IMAGE_MORE) {
        image_give_up(&update->image, crypto);
    }
    if (status != IMAGE_WHOLE) {
        return;
    }
    running->known = true;
    memcpy(running->sha256, update->image.sha256, sizeof(running->sha256));
    memcpy(running->version, update->image.version, sizeof(running->version));
    running->counter = update->image.secure_version;
}

static bool is_hash(const uint8_t a[SHA256_BYTES], const uint8_t b[SHA256_BYTES])
{
    return memcmp(a, b, SHA256_BYTES) == 0;
}

static update_start_t judge_start(const update_t *update)
{
    const port_ota_t *ota = update->options.ota;
    const update_memory_t *memory = &update->memory;
    const update_found_t found = {
        .has_job = memory->has_job,
        .phase = memory->job.phase,
        .installs = memory->job.installs,
        .was_given_up = memory->job.was_given_up,
        .why = memory->job.why,
        .runs_it = update->running.known && is_hash(update->running.sha256, memory->job.sha256),
        .running = ota->state(ota->ctx, update->running.slot),
        .other = ota->state(ota->ctx, target_slot(update)),
        .came_back = update->options.came_back,
    };
    return update_start(&found);
}

static void resume(update_t *update, const at_t *at)
{
    const update_job_t *job = &update->memory.job;
    update->state = UPDATE_WAITING;
    begin(update, at);
    from_first_byte(update);
    const uint32_t kept_bytes = update_progress_load(update->options.kv, job->seq, update->etag);
    const bool is_place = kept_bytes == job->size_bytes || kept_bytes % SECTOR_BYTES == 0;
    if (kept_bytes > 0 && kept_bytes <= job->size_bytes && is_place) {
        update->have_bytes = update->kept_bytes = update->erased_bytes = kept_bytes;
        update->over_restart = update->head_is_good = true;
    } else {
        update->etag[0] = '\0';
    }
    /* After a start the server hears of all devices at once that lost power together. */
    update->due_ms = at->now_ms + backoff_next(&update->pause, at->random);
}

static void begin_trial(update_t *update, const at_t *at)
{
    const uint32_t trial_s = update->options.trial_s > 0 ? update->options.trial_s : UPDATE_TRIAL_S;
    update->state = UPDATE_ON_TRIAL;
    update->running.counter = update->memory.job.counter;
    update->memory.job.phase = PHASE_CONFIRMING;
    update->trial_until_ms = at->now_ms + (uint64_t)trial_s * MS_PER_S;
    update->have_bytes = update->memory.job.size_bytes;
    set_phase(update, PHASE_CONFIRMING);
    (void)keep(update); /* what it is for, another state says too; the boot loader knows by itself */
}

static void start(update_t *update, const at_t *at)
{
    const update_reason_t why = update->memory.job.why;
    switch (judge_start(update)) {
    case START_PLAIN:
        break;
    case START_RESUMES:
        resume(update, at);
        break;
    case START_INSTALLS:
        update->over_restart = update->head_is_good = true;
        update->have_bytes = update->memory.job.size_bytes;
        update->state = UPDATE_PAUSING;
        happen(update, HAPPENED_DUE, REASON_NONE, "", at); /* all of it is there */
        break;
    case START_ON_TRIAL:
        begin_trial(update, at);
        break;
    case START_CONFIRMED:
        update->phase = PHASE_CONFIRMING;
        confirm(update);
        break;
    case START_WENT_BACK:
        update->phase = update->memory.job.phase == PHASE_CONFIRMING ? PHASE_CONFIRMING : PHASE_REBOOTING;
        fail(update, why != REASON_NONE ? why : REASON_ROLLED_BACK, "");
        break;
    }
}

/* In the place of a record that can't be read, the image that was confirmed puts a new one. One on trial does not: it
 * does not know what for, and what it can't read the former image may, which tells how this ended. */
static void begin_memory_anew(update_t *update)
{
    const port_ota_t *ota = update->options.ota;
    update->lost_memory = true;
    if (!update->running.known) {
        return; /* nor is its counter */
    }
    switch (ota->state(ota->ctx, update->running.slot)) {
    case IMAGE_VALID:
    case IMAGE_UNDEFINED:
        update->has_memory = update_memory_replace(&update->memory, update->options.kv, update->running.counter);
        break;
    case IMAGE_NEW:
    case IMAGE_PENDING_VERIFY:
        update->to_go_back = true;
        break;
    case IMAGE_INVALID:
    case IMAGE_ABORTED: /* it was given up, and the other slot has nothing that could be started */
        break;
    }
}

void update_init(update_t *update, const update_options_t *options, uint64_t now_ms, uint32_t random)
{
    const at_t at = {now_ms, random};
    memset(update, 0, sizeof(*update));
    update->options = *options;
    update->due_ms = UINT64_MAX;
    update->detail = "";
    update->has_news = true; /* that it started */
    update->has_memory = update_memory_load(&update->memory, options->kv, random);
    backoff_init(&update->pause, UPDATE_PAUSE_FIRST_MS, UPDATE_PAUSE_MAX_MS);
    if (options->ota == NULL) {
        if (update->memory.has_job) {
            fail(update, REASON_LOCAL_FAULT, "This device runs without its launcher, and has no slots.");
        }
        return;
    }
    read_running(update);
    if (!update->has_memory) {
        begin_memory_anew(update);
    }
    if (update->running.known && is_hash(update->running.sha256, update->memory.sha256)) {
        update->running.counter = update->memory.counter;
    }
    start(update, &at);
}

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
    const at_t at = {now_ms, 0};
    update_memory_t *memory = &update->memory;
    const bool had_job = memory->has_job;
    const uint64_t former_seq = memory->seq;
    if (!update->has_memory || update->options.ota == NULL || update_is_busy(update)) {
        return false;
    }
    const bool is_same_image = had_job && is_hash(memory->job.sha256, job->sha256);
    swap_jobs(&memory->job, job);
    memory->job.knew_time = now_unix_s != 0;
    memory->has_job = true;
    memory->seq = memory->job.seq;
    if (!keep(update)) {
        swap_jobs(&memory->job, job);
        memory->has_job = had_job;
        memory->seq = former_seq;
        return false;
    }
    if (!is_same_image) {
        from_first_byte(update);
    } else if (update->kept_bytes > 0) {
        /* Should it be lost, what is there is fetched once more. */
        (void)update_progress_keep(update->options.kv, memory->seq, update->kept_bytes, update->etag);
    }
    happen(update, HAPPENED_ACCEPTED, REASON_NONE, "", &at);
    return true;
}

/* Time */

static void hash_on(update_t *update, const at_t *at, uint8_t *scratch, size_t scratch_bytes)
{
    const port_ota_t *ota = update->options.ota;
    const port_crypto_t *crypto = update->options.crypto;
    const update_job_t *job = &update->memory.job;
    uint8_t found[SHA256_BYTES];
    for (uint32_t done = 0; done < UPDATE_HASH_AT_ONCE_BYTES && update->hashed_bytes < job->size_bytes;) {
        const uint32_t left_bytes = job->size_bytes - update->hashed_bytes;
        const uint32_t len_bytes = left_bytes < scratch_bytes ? left_bytes : (uint32_t)scratch_bytes;
        if (!ota->read(ota->ctx, target_slot(update), update->hashed_bytes, scratch, len_bytes) ||
            !crypto->sha256_update(crypto->ctx, &update->hash, scratch, len_bytes)) {
            happen(update, HAPPENED_FLASH_FAILED, REASON_FLASH_FAILED, "The slot can't be read.", at);
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
        happen(update, HAPPENED_FLASH_FAILED, REASON_LOCAL_FAULT, NO_HASH, at);
    } else if (is_hash(found, job->sha256)) {
        set_phase(update, PHASE_VERIFIED);
        happen(update, HAPPENED_HASH_RIGHT, REASON_NONE, "", at);
    } else if (update->over_restart) {
        happen(update, HAPPENED_ANEW, REASON_NONE, "", at); /* it may be of two files, or what power left of a sector */
    } else {
        happen(update, HAPPENED_HASH_WRONG, REASON_HASH_MISMATCH, "What came is not what the manifest says.", at);
    }
}

static bool is_waiting_for_its_moment(const update_t *update, int64_t now_unix_s)
{
    return update->state == UPDATE_WAITING && now_unix_s != 0 && now_unix_s < update->memory.job.not_before_unix_s;
}

void update_step(update_t *update, uint64_t now_ms, int64_t now_unix_s, uint32_t random, void *scratch,
                 size_t scratch_bytes)
{
    const at_t at = {now_ms, random};
    if (now_unix_s != 0 && !update_is_busy(update)) {
        update->memory.job.knew_time = true; /* kept when its slot is set to boot */
    }
    if (update->memory.has_job && now_unix_s != 0 && now_unix_s >= update->memory.job.exp_unix_s) {
        happen(update, HAPPENED_EXPIRED, REASON_EXPIRED, "The ticket's time was over before the image was there.", &at);
    }
    if (update->state == UPDATE_ON_TRIAL && now_ms >= update->trial_until_ms) {
        happen(update, HAPPENED_TOO_LATE, REASON_NOT_CONFIRMED, "Nothing was acknowledged in time.", &at);
    }
    if (now_ms < update->due_ms || is_waiting_for_its_moment(update, now_unix_s)) {
        return;
    }
    if (update->state == UPDATE_HASHING) {
        hash_on(update, &at, scratch, scratch_bytes);
    } else {
        happen(update, update->state == UPDATE_LEAVING ? HAPPENED_TOLD : HAPPENED_DUE, REASON_NONE, "", &at);
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

/* The request */

bool update_request(update_t *update, http_request_t *out)
{
    const update_job_t *job = &update->memory.job;
    if (update->state != UPDATE_FETCHING || update->requested) {
        return false;
    }
    *out = (http_request_t){.url = job->url,
                            .etag = update->etag,
                            .from_bytes = update->have_bytes,
                            .max_bytes = job->size_bytes - update->have_bytes,
                            .limit_ms = UPDATE_REQUEST_MS};
    update->requested = true;
    update->progressed = false;
    return true;
}

/* It came to nothing. */
static void in_vain(update_t *update, update_happening_t happening, const at_t *at)
{
    update->tries++;
    if (update->tries > UPDATE_TRIES_MAX) {
        happen(update, HAPPENED_GIVEN_UP, REASON_DOWNLOAD_FAILED, "Too many requests came to nothing.", at);
    } else {
        happen(update, happening, REASON_NONE, "", at);
    }
}

static void denied(update_t *update, const at_t *at)
{
    update->denied++;
    if (update->denied >= UPDATE_DENIED_MAX) {
        happen(update, HAPPENED_GIVEN_UP, REASON_DOWNLOAD_FAILED, "The server does not give it to this device.", at);
    } else {
        in_vain(update, HAPPENED_BUSY, at);
    }
}

static bool is_busy_status(uint16_t status)
{
    return status == 408 || status == 425 || status == 429 || status >= 500;
}

static void take_file(update_t *update, const http_answer_t *answer, const at_t *at)
{
    const bool from_there = answer->from_bytes == update->have_bytes;
    if (answer->whole_bytes >= 0 && answer->whole_bytes != update->memory.job.size_bytes) {
        happen(update, HAPPENED_WRONG_IMAGE, REASON_HASH_MISMATCH, "The file is not as long as its manifest says.", at);
        return;
    }
    update->denied = 0;
    if (!from_there) {
        /* 200 to a question for a part: the file from its first byte, which is then taken. */
        happen(update, HAPPENED_ANEW, REASON_NONE, "", at);
        if (update->state == UPDATE_FETCHING && answer->from_bytes != 0) {
            update->to_cancel = true;
            update->requested = false;
        }
    }
    memcpy(update->etag, answer->etag, sizeof(update->etag));
}

void update_take_answer(update_t *update, const http_answer_t *answer, uint64_t now_ms, uint32_t random)
{
    const at_t at = {now_ms, random};
    if (update->state != UPDATE_FETCHING) {
        return;
    }
    update->retry_after_s = answer->retry_after_s;
    switch (answer->status) {
    case 200:
    case 206:
        update->retry_after_s = 0;
        take_file(update, answer, &at);
        break;
    case 410:
        happen(update, HAPPENED_WITHDRAWN, REASON_WITHDRAWN, "The release was withdrawn.", &at);
        break;
    case 416:
        update->to_cancel = true;
        update->requested = false;
        happen(update, HAPPENED_ANEW, REASON_NONE, "", &at);
        break;
    default: /* of all numbers that there are */
        if (is_busy_status(answer->status)) {
            in_vain(update, HAPPENED_BUSY, &at);
        } else {
            denied(update, &at);
        }
        break;
    }
}

static bool names_family(const char *families, const char *family)
{
    const size_t len = strlen(family);
    for (;;) {
        const size_t one_len = strcspn(families, ",");
        if (one_len == len && memcmp(families, family, len) == 0) {
            return true;
        }
        if (families[one_len] == '\0') {
            return false;
        }
        families += one_len + 1;
    }
}

/* As its first bytes say. NULL: so far it is what the manifest says; otherwise what is wrong, and `*reason`. */
static const char *wrong_head(update_t *update, update_reason_t *reason)
{
    const update_job_t *job = &update->memory.job;
    const image_t *image = &update->image;
    if (image->chip_id != update->options.chip_id) {
        *reason = REASON_WRONG_CHIP;
        return "The image is another chip's.";
    }
    if (!names_family(job->families, image->project)) {
        *reason = REASON_WRONG_FAMILY;
        return "The image is another family's.";
    }
    *reason = REASON_HASH_MISMATCH;
    return strcmp(image->version, job->version) == 0 ? NULL : "The image is of another version than its manifest says.";
}

static image_status_t take_head(update_t *update, const uint8_t *bytes, size_t len_bytes)
{
    const port_crypto_t *crypto = update->options.crypto;
    const size_t left_bytes = IMAGE_HEAD_BYTES - update->have_bytes; /* what is behind it is its hash's matter */
    image_status_t status = update->looks_at_head ? IMAGE_MORE : image_begin(&update->image, crypto);
    if (status == IMAGE_MORE) {
        status = image_take(&update->image, crypto, bytes, len_bytes < left_bytes ? len_bytes : left_bytes);
    }
    update->looks_at_head = status == IMAGE_MORE;
    return status;
}

/* False: it can't be what the manifest says, and the download is over. */
static bool look_at_head(update_t *update, const uint8_t *bytes, size_t len_bytes, const at_t *at)
{
    update_reason_t reason = REASON_HASH_MISMATCH;
    const char *wrong = NULL;
    if (update->head_is_good) {
        return true;
    }
    switch (take_head(update, bytes, len_bytes)) {
    case IMAGE_MORE:
    case IMAGE_WHOLE:
        break;
    case IMAGE_NONE:
        wrong = "What comes is no image.";
        break;
    case IMAGE_LOCAL_FAULT:
        reason = REASON_LOCAL_FAULT;
        wrong = NO_HASH;
        break;
    }
    if (update->image.head_known) {
        wrong = wrong_head(update, &reason);
        end_head(update);
        update->head_is_good = wrong == NULL;
    }
    if (wrong != NULL) {
        happen(update, HAPPENED_WRONG_IMAGE, reason, wrong, at);
    }
    return wrong == NULL;
}

/* How much of the piece is of the head. */
static size_t collect_head(update_t *update, const uint8_t *bytes, size_t len_bytes)
{
    const size_t left_bytes = update->head_is_good ? 0 : IMAGE_HEAD_BYTES - update->head_bytes;
    const size_t taken_bytes = len_bytes < left_bytes ? len_bytes : left_bytes;
    memcpy(update->head + update->head_bytes, bytes, taken_bytes);
    update->head_bytes = (uint16_t)(update->head_bytes + taken_bytes);
    return taken_bytes;
}

static void take(update_t *update, const uint8_t *bytes, size_t len_bytes, const at_t *at)
{
    if (!update->progressed) {
        update->progressed = true;
        update->tries = 0;
        backoff_reset(&update->pause);
    }
    update->piece = bytes;
    update->piece_len_bytes = len_bytes;
    happen(update, HAPPENED_PIECE, REASON_NONE, "", at);
    update->piece = NULL;
}

void update_take_piece(update_t *update, const uint8_t *bytes, size_t len_bytes, uint64_t now_ms, uint32_t random)
{
    const at_t at = {now_ms, random};
    const uint32_t left_bytes = update->memory.job.size_bytes - update->have_bytes - update->head_bytes;
    if (update->state != UPDATE_FETCHING || !update->requested || len_bytes == 0) {
        return;
    }
    if (len_bytes > left_bytes) {
        happen(update, HAPPENED_WRONG_IMAGE, REASON_HASH_MISMATCH, "The file is longer than its manifest says.", &at);
        return;
    }
    const size_t of_head_bytes = collect_head(update, bytes, len_bytes);
    if (of_head_bytes > 0 && update->head_bytes == IMAGE_HEAD_BYTES) {
        if (!look_at_head(update, update->head, IMAGE_HEAD_BYTES, &at)) {
            return;
        }
        update->head_bytes = 0;
        take(update, update->head, IMAGE_HEAD_BYTES, &at);
    }
    if (len_bytes > of_head_bytes && update->state == UPDATE_FETCHING) {
        take(update, bytes + of_head_bytes, len_bytes - of_head_bytes, &at);
    }
}

void update_take_end(update_t *update, http_end_t end, uint64_t now_ms, uint32_t random)
{
    const at_t at = {now_ms, random};
    if (update->state != UPDATE_FETCHING || !update->requested) {
        return;
    }
    update->requested = false; /* it is over: nothing is to be cancelled */
    if (end == HTTP_TOO_LONG) {
        happen(update, HAPPENED_WRONG_IMAGE, REASON_HASH_MISMATCH, "The file is longer than its manifest says.", &at);
    } else if (update->progressed) {
        happen(update, HAPPENED_CUT, REASON_NONE, "", &at);
    } else {
        in_vain(update, HAPPENED_CUT, &at);
    }
}

/* What others find out */

void update_told(update_t *update, update_phase_t phase, bool of_last, uint64_t now_ms)
{
    const at_t at = {now_ms, 0};
    if (of_last && !update->memory.last.told) {
        update->memory.last.told = true;
        (void)keep(update); /* otherwise it is told again after the next start */
    }
    if (phase == PHASE_REBOOTING) {
        happen(update, HAPPENED_TOLD, REASON_NONE, "", &at);
    }
}

void update_told_anew(update_t *update)
{
    update->memory.is_anew = false;
    (void)keep(update); /* otherwise it is told again after the next start */
}

void update_proven(update_t *update, uint64_t now_ms)
{
    const at_t at = {now_ms, 0};
    const port_ota_t *ota = update->options.ota;
    /* The boot loader first: what it does not know is not so. */
    if (update_is_on_trial(update) && ota->confirm(ota->ctx)) {
        happen(update, HAPPENED_PROVEN, REASON_NONE, "", &at);
    }
}

void update_self_test_failed(update_t *update, uint64_t now_ms, const char *detail)
{
    const at_t at = {now_ms, 0};
    happen(update, HAPPENED_SELF_TEST_FAILED, REASON_SELF_TEST_FAILED, detail, &at);
}

void update_key_revoked(update_t *update, uint64_t now_ms)
{
    const at_t at = {now_ms, 0};
    happen(update, HAPPENED_WITHDRAWN, REASON_KEY_REVOKED, "The key of its manifest was revoked.", &at);
}

bool update_is_on_trial(const update_t *update)
{
    return update->state == UPDATE_ON_TRIAL;
}

bool update_is_busy(const update_t *update)
{
    return update->state >= UPDATE_LEAVING;
}
