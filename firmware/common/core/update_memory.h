/* What is remembered of updates over restarts, in the device's settings: one record, written whole, in which all that
 * must agree changes together; and beside it how far the download is, which changes often. Pure.
 */
#pragma once

#include "../port/port_crypto.h"
#include "../port/port_kv.h"
#include "bounds.h"
#include "command.h"
#include "http.h"
#include "jws.h"
#include "update_reason.h"

#define UPDATE_FAMILIES_MAX_CHARS (MANIFEST_MAX_FAMILIES * (NAME_MAX_CHARS + 1) - 1)
#define UPDATE_BAD_MAX 4             /* images that failed here; of more the one that is longest ago is forgotten */
#define UPDATE_BAD_FAILURES 2        /* so often, and it is not tried any more */
#define UPDATE_RECORD_MAX_BYTES 1280 /* of any version: a longer one is not read */

/* The update that is under way. */
typedef struct {
    char execution_id[EXECUTION_ID_MAX_CHARS + 1];
    char version[VERSION_MAX_CHARS + 1];
    char url[URL_MAX_CHARS + 1];
    char manifest_kid[KID_CHARS + 1];             /* a key that is revoked meanwhile ends it */
    char families[UPDATE_FAMILIES_MAX_CHARS + 1]; /* of the manifest, with commas between */
    uint8_t sha256[SHA256_BYTES];
    uint32_t size_bytes, counter;
    uint64_t seq;
    int64_t not_before_unix_s, exp_unix_s;
    update_phase_t phase; /* DOWNLOADING; INSTALLING since before its slot is set to boot; CONFIRMING since its start */
    uint8_t installs;     /* how often its slot was set to boot */
    bool was_given_up;    /* its slot's state said so already, of an image before it */
    update_reason_t why;  /* it goes back, as it says itself; REASON_NONE: it does not */
    bool knew_time;       /* the former image did: the new one must, too */
} update_job_t;

/* How the last one ended. */
typedef struct {
    char execution_id[EXECUTION_ID_MAX_CHARS + 1]; /* empty: there was none */
    uint64_t seq;
    uint32_t size_bytes;
    update_status_t status;
    update_phase_t phase;
    update_reason_t reason;
    bool told; /* a report that says so was acknowledged */
} update_outcome_t;

typedef struct {
    uint8_t sha256[SHA256_BYTES];
    uint8_t failures;
} update_bad_t;

typedef struct {
    uint32_t life;                /* drawn when the memory is new */
    uint32_t floor;               /* no image with a lower counter; rises when one is confirmed */
    uint64_t seq;                 /* the highest of a ticket that was taken */
    uint32_t counter;             /* of the image that was confirmed last, */
    uint8_t sha256[SHA256_BYTES]; /* which is this one; zeros: none was */
    uint8_t bad_count;
    update_bad_t bad[UPDATE_BAD_MAX]; /* the latest first */
    update_outcome_t last;
    bool has_job;
    update_job_t job;
    bool is_anew; /* it took the place of one that could not be read, and that was not told yet */
    uint8_t record[UPDATE_RECORD_MAX_BYTES]; /* to work in: the chip's stack is too small for it */
} update_memory_t;

/* `random` becomes the life of a new memory. False: it can't be read, or a new one can't be kept, and nothing may be
 * installed. Then `memory` has a new life, and floor and seq where the record is whole and only not understood. */
bool update_memory_load(update_memory_t *memory, const port_kv_t *kv, uint32_t random);
/* Puts what load() left in the place of the record that can't be read. `running_counter` is of the image that runs, and
 * confirmed: no lower one is taken, whatever was forgotten. False: it can't be kept; the former record is there still.
 */
bool update_memory_replace(update_memory_t *memory, const port_kv_t *kv, uint32_t running_counter);
bool update_memory_keep(update_memory_t *memory, const port_kv_t *kv);

/* How much of the image with this ticket is in its slot. */
bool update_progress_keep(const port_kv_t *kv, uint64_t seq, uint32_t bytes, const char *etag);
uint32_t update_progress_load(const port_kv_t *kv, uint64_t seq, char etag[HTTP_ETAG_MAX_CHARS + 1]);

void update_memory_note_bad(update_memory_t *memory, const uint8_t sha256[SHA256_BYTES]);
bool update_memory_is_bad(const update_memory_t *memory, const uint8_t sha256[SHA256_BYTES]);
