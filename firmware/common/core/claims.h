/* What a signed document says, after its signature held: JSON whose members are looked up. Pure.
 *
 * The memory for it is the caller's, 4.1 KiB, and serves for one document after the other.
 */
#pragma once

#include "bounds.h"
#include "json_in.h"

typedef struct {
    size_t len_bytes;
    char text[CLAIMS_MAX_BYTES];
    json_token_t tokens[CLAIMS_MAX_TOKENS];
} claims_t;

/* Undoes base64url and reads the JSON. False: it is none, or no object. */
bool claims_read(claims_t *claims, const char *base64url, size_t len_chars);

/* Each is false when the member is not there, is of another type, or out of its bounds. `object` is `claims->tokens`,
 * or an object within. Of a member that is given twice the last one counts. */
bool claims_int(const claims_t *claims, const json_token_t *object, const char *key, int64_t min, int64_t max,
                int64_t *out);
bool claims_moment(const claims_t *claims, const json_token_t *object, const char *key, int64_t *out_unix_s);
/* base64url of exactly so many bytes. */
bool claims_bytes(const claims_t *claims, const json_token_t *object, const char *key, uint8_t *out, size_t len_bytes);
/* SHA-256 as 64 lower-case hexadecimal digits. */
bool claims_hash(const claims_t *claims, const json_token_t *object, const char *key, uint8_t out[32]);
/* A text of 1 to cap_bytes - 1 bytes of which `is_valid` is true. */
bool claims_text(const claims_t *claims, const json_token_t *object, const char *key,
                 bool (*is_valid)(const char *text), char *out, size_t cap_bytes);
/* An array of `min` to `max` values, the first of which is *first. */
bool claims_array(const claims_t *claims, const json_token_t *object, const char *key, size_t min, size_t max,
                  const json_token_t **first, size_t *count);
const json_token_t *claims_next(const claims_t *claims, const json_token_t *token);
/* As claims_text(), of one of them. */
bool claims_string(const claims_t *claims, const json_token_t *token, bool (*is_valid)(const char *text), char *out,
                   size_t cap_bytes);

/* `[A-Za-z0-9][A-Za-z0-9._-]{0,30}`: products, families, chips, revisions. They go into logs and reports as they are.
 */
bool claims_is_name(const char *text);
