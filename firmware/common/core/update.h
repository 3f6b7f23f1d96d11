/* One update after the other on a device: the state table (update_table.h) with slots, settings and time around it.
 * Commands come in judged (update_rules.h); requests are made by the caller, who hands in what comes of them. Never
 * waits: a step does a little and says when the next is due.
 *
 * What is on flash counts, and not what came over the network: an image is hashed as it stands in its slot, once, when
 * all of it is there. So it is the same whether the download was one piece or many, with restarts in between.
 */
#pragma once

#include "backoff.h"
#include "image.h"
#include "update_rules.h"
#include "update_table.h"

#define UPDATE_KEEP_EVERY_BYTES 65536 /* a restart costs at most so much of the download */
#define UPDATE_HASH_AT_ONCE_BYTES 32768
#define UPDATE_PAUSE_FIRST_MS 2000
#define UPDATE_PAUSE_MAX_MS 600000
#define UPDATE_TRIES_MAX 300 /* requests in a row without a byte: with their pauses more than a day */
#define UPDATE_DENIED_MAX 3  /* 403, 404 and others of the kind, in a row */
#define UPDATE_ANEW_MAX 3    /* from the first byte */
#define UPDATE_TELL_MS 10000 /* before it restarts it waits so long for the acknowledgement */
#define UPDATE_TRIAL_S 300
#define UPDATE_REQUEST_MS 600000 /* of one request; the next goes on where it was: others get their turn */

typedef struct {
    const port_kv_t *kv;
    const port_ota_t *ota; /* NULL: it has no slots, and installs nothing */
    const port_crypto_t *crypto;
    uint16_t chip_id;
    uint32_t trial_s; /* 0: UPDATE_TRIAL_S */
    bool came_back;   /* the boot loader went back at this start (BOOT_ROLLBACK) */
    bool counts_anew; /* its starts: a life in which they were counted higher is over */
} update_options_t;

/* What runs, as its slot says. */
typedef struct {
    bool known; /* false: no slots, or the slot holds no whole image; the rest is 0 then */
    uint8_t slot;
    uint8_t sha256[SHA256_BYTES];
    uint32_t counter; /* 0: not known */
    char version[VERSION_MAX_CHARS + 1];
} update_running_t;

typedef struct {
    update_options_t options;
    update_memory_t memory;
    bool has_memory;  /* false: it can't be kept, and nothing is installed */
    bool lost_memory; /* at this start it could not be read; with has_memory: a new one took its place */
    update_running_t running;
    update_state_t state;
    update_phase_t phase;  /* as reports have it */
    uint32_t have_bytes;   /* in the slot */
    uint32_t kept_bytes;   /* as the settings have it */
    uint32_t erased_bytes; /* the slot is free up to there */
    char etag[HTTP_ETAG_MAX_CHARS + 1];
    bool over_restart; /* a part of it is of an earlier start: a wrong hash may be this device's own fault */
    bool looks_at_head, head_is_good;
    uint16_t head_bytes; /* of it came; nothing is erased before all of it did, and was looked at */
    uint8_t head[IMAGE_HEAD_BYTES];
    bool hashing;
    uint32_t retry_after_s; /* what the server asked for last */
    const uint8_t *piece;   /* that is being taken */
    size_t piece_len_bytes;
    bool requested;     /* the caller was given the request */
    bool progressed;    /* since the request began */
    image_t image;      /* of the head as it comes */
    port_sha256_t hash; /* of the slot, while HASHING */
    backoff_t pause;
    uint64_t due_ms; /* of waits; UINT64_MAX: none */
    uint64_t trial_until_ms;
    uint32_t tries, denied, anew;
    uint32_t hashed_bytes;
    const char *detail; /* of the last failure; static */

    /* For the caller, who takes them back. */
    bool has_news;  /* something to report */
    bool to_cancel; /* the request */
    bool to_reboot, to_go_back;
} update_t;

/* Reads what runs and what was under way. `random` is used for a new memory. */
void update_init(update_t *update, const update_options_t *options, uint64_t now_ms, uint32_t random);

/* A command that was judged good; `job` is not of use any more behind it. False: it can't be remembered, and was not
 * taken (local_fault). */
bool update_accept(update_t *update, update_job_t *job, uint64_t now_ms, int64_t now_unix_s);

/* Time went by. `scratch` is memory to work in. */
void update_step(update_t *update, uint64_t now_ms, int64_t now_unix_s, uint32_t random, void *scratch,
                 size_t scratch_bytes);
uint64_t update_next_due_ms(const update_t *update, uint64_t now_ms, int64_t now_unix_s);

/* The request that it wants to have made now. False: none. */
bool update_request(update_t *update, http_request_t *out);
void update_take_answer(update_t *update, const http_answer_t *answer, uint64_t now_ms, uint32_t random);
void update_take_piece(update_t *update, const uint8_t *bytes, size_t len_bytes, uint64_t now_ms, uint32_t random);
void update_take_end(update_t *update, http_end_t end, uint64_t now_ms, uint32_t random);

/* A report of this phase was acknowledged; `of_last`: of the last one, which is over. */
void update_told(update_t *update, update_phase_t phase, bool of_last, uint64_t now_ms);
void update_told_anew(update_t *update);               /* of a report that says so: the memory is a new one */
void update_proven(update_t *update, uint64_t now_ms); /* on trial: all is done */
void update_self_test_failed(update_t *update, uint64_t now_ms, const char *detail);
void update_key_revoked(update_t *update, uint64_t now_ms); /* of the manifest that is under way */

bool update_is_on_trial(const update_t *update);
bool update_is_busy(const update_t *update); /* nothing takes its place any more */
