/* A host program as an ESP image (core/image.h): what a slot holds, and what is looked at before it runs.
 *
 * Ours has two segments: the app descriptor of 256 bytes, and the program. tools/pack_image.py makes it.
 */
#pragma once

#include "../../../core/image.h"
#include "../../port_flash.h"

typedef struct {
    uint32_t len_bytes;           /* of all of it */
    uint8_t sha256[SHA256_BYTES]; /* of all of it, as the file had it that it came from */
    uint32_t program_offset_bytes, program_len_bytes;
    uint32_t secure_version;
    char version[VERSION_MAX_CHARS + 1];
    char project[NAME_MAX_CHARS + 1];
} host_image_t;

/* NULL: it is whole. Otherwise what is wrong with it, as the end of a sentence on the slot. */
const char *host_image_check(const port_flash_t *slot, host_image_t *out);
