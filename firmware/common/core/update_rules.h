/* What is decided about an update without doing anything: whether a command may be followed, and what a start finds.
 * Pure. */
#pragma once

#include "../port/port_ota.h"
#include "manifest.h"
#include "ticket.h"
#include "update_memory.h"

/* This device, as a command is judged against it. */
typedef struct {
    const char *gateway_code;
    const char *product; /* NULL: not known, and not asked for */
    const char *family, *hardware;
    uint16_t chip_id;
    uint8_t running_sha256[SHA256_BYTES]; /* zeros: not known */
    uint32_t running_counter;             /* 0: not known */
    uint32_t slot_bytes;                  /* 0: it has no slots */
    const char *server_url;               /* https://host:port of the firmware server */
    int64_t now_unix_s;                   /* 0: not known, and no ticket is out of its time */
    const update_memory_t *memory;
    bool is_busy; /* an image is installed or on trial: nothing takes its place any more */
} update_self_t;

typedef enum {
    JUDGED_GOOD, /* to be followed; in place of what is under way */
    JUDGED_REFUSED,
    JUDGED_KNOWN, /* it is under way, or ended: where it stands is told again */
    JUDGED_LATER, /* neither taken nor refused: asked for again when the other one is done */
} update_judgement_t;

typedef struct {
    update_judgement_t judgement;
    update_reason_t reason; /* when refused */
    const char *sentence;   /* the same in words; static */
} update_verdict_t;

/* All that can be asked before a byte is erased. Both signatures held already; `manifest_sha256` is of the manifest's
 * text as it stands in the command. */
update_verdict_t update_judge(const update_self_t *self, const command_t *command, const manifest_t *manifest,
                              const ticket_t *ticket, const uint8_t manifest_sha256[SHA256_BYTES]);

/* Whether a refusal may be told under this execution's name: what has a signature that does not hold could be
 * anybody's, and must not end what is under way here, or change how it ended. */
bool update_may_be_refused(const update_memory_t *memory, const char *execution_id);

/* Whether host and port are those of the firmware server. */
bool update_is_own_server(const char *server_url, const char *url);

typedef struct {
    bool has_job;
    update_phase_t phase;
    uint8_t installs;
    bool was_given_up;
    update_reason_t why;
    bool runs_it;          /* the image that runs is the one of the job */
    image_state_t running; /* of the slot that runs; IMAGE_UNDEFINED without slots */
    image_state_t other;
    bool came_back; /* the boot loader says that it went back at this start */
} update_found_t;

typedef enum {
    START_PLAIN,     /* no update was under way */
    START_RESUMES,   /* the download goes on */
    START_INSTALLS,  /* the slot was not set to boot, or nothing came of it: once more, after another look at it */
    START_ON_TRIAL,  /* this is the new image */
    START_CONFIRMED, /* this is the new image, and it was confirmed; only the record does not have it yet */
    START_WENT_BACK, /* this is the former image; .why of the job, or it was rolled back */
} update_start_t;

update_start_t update_start(const update_found_t *found);
