/* A host program as an ESP image: what a slot holds, and what is looked at before it runs.
 *
 * Layout (ESP-IDF v5.5, esp_app_format.h and esp_app_desc.h; ESP-IDF Programming Guide, "App Image Format"): a header
 * of 24 bytes, segments with 8 bytes of header each, zeros up to a byte before a multiple of 16, a byte of checksum
 * (XOR of all that segments hold, and 0xEF), SHA-256 of all before it. Ours has two segments: the app descriptor of 256
 * bytes, and the program. tools/pack_image.py makes it.
 */
#pragma once

#include "../../port_flash.h"

/* None of Espressif's (esp_chip_id_t): no chip takes a host's image for its own, and no host a chip's. */
#define HOST_IMAGE_CHIP_ID 0xFFFEu
#define HOST_IMAGE_TEXT_MAX_CHARS 31
#define HOST_IMAGE_HASH_BYTES 32

typedef struct {
    uint32_t len_bytes; /* of all of it */
    uint32_t program_offset_bytes, program_len_bytes;
    uint32_t secure_version;
    char version[HOST_IMAGE_TEXT_MAX_CHARS + 1];
    char project[HOST_IMAGE_TEXT_MAX_CHARS + 1];
} host_image_t;

/* NULL: it is whole. Otherwise what is wrong with it, as the end of a sentence on the slot. */
const char *host_image_check(const port_flash_t *slot, host_image_t *out);
