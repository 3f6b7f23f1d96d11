/* Reads JSON (RFC 8259) strictly, into the caller's tokens: no recursion, no heap, no copy. Pure.
 *
 * Refused: invalid UTF-8, a byte order mark, half a surrogate pair, control characters in strings, numbers like 01 or
 * .5, anything after the value, more than JSON_MAX_DEPTH levels, more tokens than there is room for.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum { JSON_OBJECT, JSON_ARRAY, JSON_STRING, JSON_NUMBER, JSON_TRUE, JSON_FALSE, JSON_NULL } json_type_t;

typedef struct {
    json_type_t type;
    uint16_t start; /* of a string: behind its quote */
    uint16_t end;   /* one behind the last byte; of a string: its closing quote */
    uint16_t next;  /* index of the token behind this value and all that is in it */
} json_token_t;

typedef enum { JSON_OK, JSON_MALFORMED, JSON_TOO_DEEP, JSON_TOO_MANY, JSON_TOO_LONG } json_status_t;

/* tokens[0] is the outermost value; an object's keys and values follow it in turn. Texts of up to 65,535 bytes. */
json_status_t json_in_parse(const char *text, size_t len_bytes, json_token_t *tokens, size_t max_tokens, size_t *count);

/* The value of an object's key, or NULL. Of a key given twice the last one counts (contract). */
const json_token_t *json_in_get(const char *text, const json_token_t *tokens, const json_token_t *object,
                                const char *key);

/* Copies a string with its escapes undone, and a NUL. False: no string, has U+0000 in it, or does not fit. */
bool json_in_string(const char *text, const json_token_t *token, char *out, size_t cap_bytes);

/* False: no number, has a fraction or an exponent, or is beyond int64. */
bool json_in_int(const char *text, const json_token_t *token, int64_t *out);
