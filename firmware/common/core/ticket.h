/* A ticket: this gateway may install that manifest now, as this execution. Pure. */
#pragma once

#include "claims.h"

typedef struct {
    char execution_id[EXECUTION_ID_MAX_CHARS + 1];
    char gateway_code[CODE_MAX_CHARS + 1];
    uint8_t manifest_sha256[32]; /* of the manifest's text as it stands in the command */
    uint64_t seq;
    int64_t iat_unix_s, exp_unix_s, not_before_unix_s;
} ticket_t;

/* Of claims that signed_check() found good. NULL; otherwise a sentence on what is wrong: the reason is `malformed`.
 * Whether it is for this gateway, in its time and not replayed is for the caller to ask. */
const char *ticket_read(const claims_t *claims, ticket_t *out);
