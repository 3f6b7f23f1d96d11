#include "update_deeds.h"

#include <string.h>

#define MS_PER_S 1000
#define RUNNING_CHUNK_BYTES 1024

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
        .runs_it = update->running.known && update_is_hash(update->running.sha256, memory->job.sha256),
        .running = ota->state(ota->ctx, update->running.slot),
        .other = ota->state(ota->ctx, update_target_slot(update)),
        .came_back = update->options.came_back,
    };
    return update_start(&found);
}

static void resume(update_t *update, const update_at_t *at)
{
    const update_job_t *job = &update->memory.job;
    update->state = UPDATE_WAITING;
    update_begin(update, at);
    update_from_first_byte(update);
    const uint32_t kept_bytes = update_progress_load(update->options.kv, job->seq, update->etag);
    const bool is_place = kept_bytes == job->size_bytes || kept_bytes % OUTBOX_SECTOR_BYTES == 0;
    if (kept_bytes > 0 && kept_bytes <= job->size_bytes && is_place) {
        update->have_bytes = update->kept_bytes = update->erased_bytes = kept_bytes;
        update->over_restart = update->head_is_good = true;
    } else {
        update->etag[0] = '\0';
    }
    /* After a start the server hears of all devices at once that lost power together. */
    update->due_ms = at->now_ms + backoff_next(&update->pause, at->random);
}

static void begin_trial(update_t *update, const update_at_t *at)
{
    const uint32_t trial_s = update->options.trial_s > 0 ? update->options.trial_s : UPDATE_TRIAL_S;
    update->state = UPDATE_ON_TRIAL;
    update->running.counter = update->memory.job.counter;
    update->memory.job.phase = PHASE_CONFIRMING;
    update->trial_until_ms = at->now_ms + (uint64_t)trial_s * MS_PER_S;
    update->have_bytes = update->memory.job.size_bytes;
    update_set_phase(update, PHASE_CONFIRMING);
    (void)update_keep(update); /* what it is for, another state says too; the boot loader knows by itself */
}

static void start(update_t *update, const update_at_t *at)
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
        update_happen(update, HAPPENED_DUE, REASON_NONE, "", at); /* all of it is there */
        break;
    case START_ON_TRIAL:
        begin_trial(update, at);
        break;
    case START_CONFIRMED:
        update->phase = PHASE_CONFIRMING;
        update_confirm(update);
        break;
    case START_WENT_BACK:
        update->phase = update->memory.job.phase == PHASE_CONFIRMING ? PHASE_CONFIRMING : PHASE_REBOOTING;
        update_fail(update, why != REASON_NONE ? why : REASON_ROLLED_BACK, "");
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
    const update_at_t at = {now_ms, random};
    memset(update, 0, sizeof(*update));
    update->options = *options;
    update->due_ms = UINT64_MAX;
    update->detail = "";
    update->has_news = true; /* that it started */
    update->has_memory = update_memory_load(&update->memory, options->kv, random);
    if (update->has_memory && options->counts_anew && update->memory.life != random) {
        update->memory.life = random;
        (void)update_keep(update); /* if not, the next start draws another one, or goes on with the former */
    }
    backoff_init(&update->pause, UPDATE_PAUSE_FIRST_MS, UPDATE_PAUSE_MAX_MS);
    if (options->ota == NULL) {
        if (update->memory.has_job) {
            update_fail(update, REASON_LOCAL_FAULT, "This device runs without its launcher, and has no slots.");
        }
        return;
    }
    read_running(update);
    if (!update->has_memory) {
        begin_memory_anew(update);
    }
    if (update->running.known && update_is_hash(update->running.sha256, update->memory.sha256)) {
        update->running.counter = update->memory.counter;
    }
    start(update, &at);
}
