/* What a device remembers of its updates, and of what it asks its firmware server. Part of an app_t. */
#pragma once

#include "../core/claims.h"
#include "../core/http.h"
#include "../core/manifest.h"
#include "../core/ticket.h"
#include "../core/trust.h"
#include "../core/update.h"
#include "../core/update_poll.h"
#include "../core/update_report.h"

#define APP_TELL_AGAIN_S 30 /* no acknowledgement of a report for so long: once more, as things stand then */
#define APP_TELL_PROGRESS_S 60
#define APP_POST_AFTER_S 300   /* nobody acknowledged a report for so long: by HTTPS */
#define APP_ASK_MS 60000       /* of a small request */
#define APP_ASK_GUARD_MS 30000 /* longer than its limit, and no word of its end: it counts as cut */

/* What runs or waits as a request to the firmware server. One at a time: a TLS connection takes 40 KiB on the chip. */
typedef enum { ASKS_NOTHING, ASKS_TRUST, ASKS_ASSIGNMENT, ASKS_IMAGE, TELLS } app_asking_t;

/* What a report said, so that its acknowledgement is of that. */
typedef struct {
    bool of_refusal, of_last, of_anew;
    update_phase_t phase;
    uint32_t news; /* how many there had been */
} app_told_t;

typedef struct {
    char execution_id[EXECUTION_ID_MAX_CHARS + 1]; /* empty: there is none to be told */
    update_status_t status;
    update_reason_t reason;
    const char *detail; /* static */
} app_refusal_t;

typedef struct {
    update_t update;
    update_poll_t poll;
    trust_t trust;
    uint32_t refused;  /* commands that were, in this boot */
    bool aside;        /* a command came while another image was being installed */
    uint32_t measured; /* samples with readings, in this boot */
    bool tested;       /* the self-test was passed once */
    bool heard;        /* a report was acknowledged by the broker, in this boot */

    app_asking_t asking;
    http_request_t request;
    uint16_t number, status;
    uint32_t retry_after_s;
    uint64_t asked_until_ms;
    uint16_t body_len_bytes;
    bool body_is_too_long;
    bool to_cancel;

    bool pending; /* something that nobody acknowledged yet */
    uint64_t pending_since_ms, tell_due_ms;
    uint32_t news, reports; /* in this boot */
    uint16_t token;         /* of the one that is on its way by MQTT; 0: none */
    app_told_t told;        /* what that one said; */
    app_told_t posted;      /* what the one by HTTPS said */
    backoff_t tell_pause;
    app_refusal_t refusal;

    char url[HTTP_URL_MAX_CHARS + 1], etag[HTTP_ETAG_MAX_CHARS + 1], topic[TOPIC_MAX_CHARS + 1];
    char body[COMMAND_MAX_BYTES + 1]; /* of a small answer: a command, or a trust set */
    /* Memory to work in, within a step, for one thing after the other. */
    union {
        struct {
            union {
                claims_t claims;
                update_job_t job; /* when nothing more is to be read of those */
            };
            manifest_t manifest;
            ticket_t ticket;
        } judged;
        char report[UPDATE_REPORT_MAX_BYTES];
        uint8_t bytes[4096];
    } scratch;
} app_updates_t;
