/* A manifest: these bytes are that release for this product, chip and hardware. Pure. */
#pragma once

#include "claims.h"

typedef struct {
    char product[NAME_MAX_CHARS + 1];
    char chip[NAME_MAX_CHARS + 1]; /* image_chip_id() */
    char version[VERSION_MAX_CHARS + 1];
    uint8_t family_count, revision_count;
    char families[MANIFEST_MAX_FAMILIES][NAME_MAX_CHARS + 1];
    char hardware[MANIFEST_MAX_REVISIONS][NAME_MAX_CHARS + 1]; /* "*": any */
    uint32_t counter, min_source_counter, size_bytes;
    uint8_t sha256[32]; /* of the file */
    int64_t released_at_unix_s;
} manifest_t;

/* Of claims that signed_check() found good. NULL; otherwise a sentence on what is wrong: the reason is `malformed`. */
const char *manifest_read(const claims_t *claims, manifest_t *out);

bool manifest_has_family(const manifest_t *manifest, const char *family);
bool manifest_has_hardware(const manifest_t *manifest, const char *revision);
