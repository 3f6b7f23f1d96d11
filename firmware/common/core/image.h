/* An image of an ESP chip, or of a host in the same form, as its bytes come by: what it says of itself is known after
 * the first 288, so that another chip's or family's is noticed before the download goes on; and at its end whether it
 * is whole. Pure.
 *
 * Layout (ESP-IDF v5.5, esp_app_format.h and esp_app_desc.h; ESP-IDF Programming Guide, "App Image Format"): a header
 * of 24 bytes, segments with 8 bytes of header each, zeros up to a byte before a multiple of 16, a byte of checksum
 * (XOR of all that segments hold, and 0xEF), SHA-256 of all before it. The first segment begins with the app
 * descriptor, 256 bytes.
 */
#pragma once

#include "../port/port_crypto.h"
#include "bounds.h"

#define IMAGE_HEAD_BYTES 288 /* the header, the first segment's, the descriptor */
/* None of Espressif's (esp_chip_id_t): no chip takes a host's image for its own, and no host a chip's. */
#define IMAGE_CHIP_HOST 0xFFFEu

typedef enum {
    IMAGE_MORE,        /* so far it is one */
    IMAGE_WHOLE,       /* and it ended; what came behind it was not looked at */
    IMAGE_NONE,        /* it is none, of another form, or damaged: image_wrong() */
    IMAGE_LOCAL_FAULT, /* SHA-256 can't be had */
} image_status_t;

typedef struct {
    /* From `head_known` on. */
    bool head_known;
    uint16_t chip_id;
    uint8_t segment_count;
    uint32_t secure_version;
    char version[VERSION_MAX_CHARS + 1];
    char project[NAME_MAX_CHARS + 1]; /* its family */
    /* From IMAGE_WHOLE on. */
    uint32_t len_bytes;                                         /* of the file */
    uint8_t sha256[SHA256_BYTES];                               /* of the file, with the hash at its end */
    uint32_t last_segment_offset_bytes, last_segment_len_bytes; /* a host image's program */

    /* image.c's own. */
    image_status_t status;
    const char *wrong;
    uint8_t state, segments_left, checksum;
    uint32_t left_bytes; /* of this part */
    port_sha256_t body_hash, file_hash;
    uint32_t part_len_bytes; /* of it is kept */
    uint8_t part[256];
} image_t;

/* Each begin is followed by takes until the status is another than IMAGE_MORE, or by image_give_up(): hashes are under
 * way in between. */
image_status_t image_begin(image_t *image, const port_crypto_t *crypto);
/* The next bytes, however many. After the last the status stays what it was. */
image_status_t image_take(image_t *image, const port_crypto_t *crypto, const uint8_t *data, size_t len_bytes);
void image_give_up(image_t *image, const port_crypto_t *crypto);

/* Of IMAGE_NONE and IMAGE_LOCAL_FAULT, and of one that was given up: the end of a sentence on a slot or file, as in
 * "slot 0 holds no image". Otherwise "". */
const char *image_wrong(const image_t *image);

/* By the names of esptool, and `host`. False: none that is known here. */
bool image_chip_id(const char *name, uint16_t *out);
const char *image_chip_name(uint16_t chip_id); /* NULL: none that is known here */
