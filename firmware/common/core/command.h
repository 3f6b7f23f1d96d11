/* What comes in on `ota/<gateway_code>/update` and `ota/update` (updates.md, "The way of one update"). Parsing only:
 * what it may do is judged by its signatures (update.c of the updates). Pure. */
#pragma once

#include "bounds.h"
#include "json_in.h"

#define COMMAND_TOPIC_OF_ALL "ota/update"
#define COMMAND_TOPIC_HEAD "ota/" /* of one gateway's own: its code, and the tail */
#define COMMAND_TOPIC_TAIL "/update"

#define URL_MAX_CHARS 255

typedef enum { COMMAND_REFUSED, COMMAND_UPDATE, COMMAND_CHECK_NOW } command_type_t;

typedef struct {
    command_type_t type;
    const char *refusal; /* a sentence, when refused; static */
    char execution_id[EXECUTION_ID_MAX_CHARS + 1];
    char version[VERSION_MAX_CHARS + 1];
    char url[URL_MAX_CHARS + 1];
    const char *manifest, *ticket; /* JWS compact, within the payload, not NUL-terminated */
    uint16_t manifest_len_bytes, ticket_len_bytes;
} command_t;

/* `topic` must be one of the two for this gateway: another gateway's is refused. What is not set by the type is empty.
 * Of `ota/update`, which is for all, nothing but its coming counts: an object (whatever is in it), or no payload. */
void command_parse(const char *gateway_code, const char *topic, const uint8_t *payload, size_t len_bytes,
                   command_t *out);
