/* What a device in a fake world needs for updates: two slots with a boot loader, and a firmware server, as unkind as a
 * test wants it. Signatures are taken for good (fake_crypto_t.verify); what they protect is the tests' of the core.
 *
 * An image is real in its form. What its program does is its first byte: a crash at start is the boot loader's to see,
 * all else is the device's.
 */
#pragma once

#include <stdio.h>

#include "../posix/slots.h"
#include "fake_crypto.h"
#include "fake_flash.h"
#include "fake_world.h"

#define FAKE_SLOT_SECTORS 64u
#define FAKE_IMAGE_MAX_BYTES (FAKE_SLOT_SECTORS * OUTBOX_SECTOR_BYTES)
#define FAKE_UPDATES_URL "https://fw.example:8070"

typedef enum { FAKE_GOOD, FAKE_CRASHES, FAKE_CUT_OFF, FAKE_FAILS_ITSELF, FAKE_BLIND } fake_program_t;

typedef struct {
    uint8_t bytes[FAKE_IMAGE_MAX_BYTES];
    uint32_t len_bytes;
    uint8_t sha256[SHA256_BYTES];
    char version[VERSION_MAX_CHARS + 1];
} fake_image_t;

/* What a command says that is not as it should be; 0, NULL: as it should. */
typedef struct {
    uint64_t seq;
    const char *gateway_code, *family, *product, *chip, *hardware, *url, *release_kid, *assignment_kid, *version;
    uint32_t counter, min_source_counter, size_bytes;
    int64_t not_before_unix_s, exp_unix_s;
    bool other_manifest; /* the ticket is for another one */
} fake_command_t;

typedef struct fake_updates {
    fake_world_t *world;
    fake_crypto_t crypto;
    uint8_t otadata_medium[OTADATA_BYTES];
    uint8_t *slot_media[OTADATA_SLOTS];
    fake_flash_t otadata, slot_flash[OTADATA_SLOTS];
    slots_t slots;
    int last_slot; /* that ran before; -1: none */
    uint32_t starts_without_image, resorts;
    bool has_slots; /* a program without a launcher has none */

    /* The server. */
    const fake_image_t *image;           /* that it gives; NULL: 404 */
    char command[COMMAND_MAX_BYTES + 1]; /* of GET; empty: 204 */
    char trust[TRUST_MAX_BYTES + 1];     /* the same: 404 */
    uint16_t status;                     /* of images instead of 200, 206; 0: none */
    uint32_t retry_after_s;
    uint32_t cut_percent; /* of pieces: the connection ends there instead */
    uint32_t whole_bytes; /* that it claims; 0: as it is */
    uint32_t flip_at;     /* a bit of this byte is wrong; 0: none */
    bool endless, no_ranges, drips, away, silent;
    uint32_t requests, image_requests, posts, trust_requests, assignment_requests;
    uint64_t image_bytes; /* that it sent */
    uint64_t first_try_ms, last_try_ms;

    /* The request that runs. */
    bool runs;
    http_request_t request;
    char url[HTTP_URL_MAX_CHARS + 1], etag[HTTP_ETAG_MAX_CHARS + 1];
    http_answer_t answer;
    uint32_t at_bytes;
    uint8_t piece[HTTP_CHUNK_MAX_BYTES];
    const char *body;

    /* What it was told. */
    char report[UPDATE_REPORT_MAX_BYTES + 1];
    uint32_t reports;
    uint32_t refuse_reports; /* so many are not acknowledged */
    char phases[1024];       /* each that was told, once, with a space behind it */
    char ends[2048];         /* "execution STATUS reason;" of each that is over, once */
    FILE *told;              /* each report, a line; NULL: nobody wants them */

    port_http_t http_port;
} fake_updates_t;

/* With `image` in slot 0, confirmed. Before the first power-up. */
void fake_updates_init(fake_updates_t *updates, fake_world_t *world, const fake_image_t *image);
void fake_updates_free(fake_updates_t *updates);

/* A program of about so many bytes. */
void fake_image(fake_image_t *image, fake_updates_t *updates, const char *version, fake_program_t program,
                uint32_t len_bytes);

/* Says so much in its descriptor. */
void fake_image_counter(fake_image_t *image, fake_updates_t *updates, uint32_t counter);

/* Fills `command`. `seq` of NULL's: each greater than the one before. */
void fake_updates_command(fake_updates_t *updates, const char *execution_id, const fake_image_t *image,
                          uint32_t counter, const fake_command_t *other);
void fake_updates_push(fake_updates_t *updates); /* it, by MQTT */
void fake_updates_trust(fake_updates_t *updates, uint32_t version, const char *revoked_kid, char *out);

extern const char FAKE_RELEASE_KID[], FAKE_ASSIGNMENT_KID[], FAKE_UNKNOWN_KID[];

/* For the world. */
void fake_updates_options(fake_updates_t *updates, app_options_t *options, boot_reason_t *why);
void fake_updates_deliver(fake_updates_t *updates, event_t *event);
bool fake_updates_publish(fake_updates_t *updates, const char *topic,
                          const char *payload);                     /* false: not acknowledged */
fake_program_t fake_updates_program(const fake_updates_t *updates); /* that runs */
