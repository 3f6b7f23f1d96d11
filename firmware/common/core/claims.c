#include "claims.h"

#include <string.h>

#include "ascii.h"
#include "base64url.h"

#define BYTES_MAX 64 /* that a member has in base64url */
#define CHARS_OF(bytes) (((bytes)*4 + 2) / 3)
#define HASH_BYTES 32

bool claims_read(claims_t *claims, const char *base64url, size_t len_chars)
{
    size_t count = 0;
    return base64url_decode(base64url, len_chars, (uint8_t *)claims->text, sizeof(claims->text), &claims->len_bytes) &&
           json_in_parse(claims->text, claims->len_bytes, claims->tokens, CLAIMS_MAX_TOKENS, &count) == JSON_OK &&
           claims->tokens[0].type == JSON_OBJECT;
}

static const json_token_t *get(const claims_t *claims, const json_token_t *object, const char *key)
{
    return json_in_get(claims->text, claims->tokens, object, key);
}

bool claims_int(const claims_t *claims, const json_token_t *object, const char *key, int64_t min, int64_t max,
                int64_t *out)
{
    const json_token_t *token = get(claims, object, key);
    return token != NULL && json_in_int(claims->text, token, out) && *out >= min && *out <= max;
}

bool claims_moment(const claims_t *claims, const json_token_t *object, const char *key, int64_t *out_unix_s)
{
    return claims_int(claims, object, key, 0, NUMERIC_DATE_MAX_S, out_unix_s);
}

bool claims_bytes(const claims_t *claims, const json_token_t *object, const char *key, uint8_t *out, size_t len_bytes)
{
    char text[CHARS_OF(BYTES_MAX) + 1];
    const json_token_t *token = get(claims, object, key);
    size_t len = 0;
    return token != NULL && json_in_string(claims->text, token, text, sizeof(text)) &&
           base64url_decode(text, strlen(text), out, len_bytes, &len) && len == len_bytes;
}

bool claims_hash(const claims_t *claims, const json_token_t *object, const char *key, uint8_t out[32])
{
    static const char DIGITS[] = "0123456789abcdef";
    char text[2 * HASH_BYTES + 1];
    const json_token_t *token = get(claims, object, key);
    if (token == NULL || !json_in_string(claims->text, token, text, sizeof(text)) || strlen(text) != 2 * HASH_BYTES ||
        strspn(text, DIGITS) != 2 * HASH_BYTES) {
        return false;
    }
    for (size_t i = 0; i < HASH_BYTES; i++) {
        out[i] = (uint8_t)((strchr(DIGITS, text[2 * i]) - DIGITS) << 4 | (strchr(DIGITS, text[2 * i + 1]) - DIGITS));
    }
    return true;
}

bool claims_string(const claims_t *claims, const json_token_t *token, bool (*is_valid)(const char *text), char *out,
                   size_t cap_bytes)
{
    return json_in_string(claims->text, token, out, cap_bytes) && is_valid(out);
}

bool claims_text(const claims_t *claims, const json_token_t *object, const char *key,
                 bool (*is_valid)(const char *text), char *out, size_t cap_bytes)
{
    const json_token_t *token = get(claims, object, key);
    return token != NULL && claims_string(claims, token, is_valid, out, cap_bytes);
}

bool claims_array(const claims_t *claims, const json_token_t *object, const char *key, size_t min, size_t max,
                  const json_token_t **first, size_t *count)
{
    const json_token_t *token = get(claims, object, key);
    if (token == NULL || token->type != JSON_ARRAY) {
        return false;
    }
    size_t found = 0;
    for (const json_token_t *at = token + 1; at < claims->tokens + token->next; at = claims_next(claims, at)) {
        found++;
    }
    *first = token + 1;
    *count = found;
    return found >= min && found <= max;
}

const json_token_t *claims_next(const claims_t *claims, const json_token_t *token)
{
    return claims->tokens + token->next;
}

bool claims_is_name(const char *text)
{
    for (size_t i = 0; text[i] != '\0'; i++) {
        if (!ascii_is_letter_or_digit(text[i]) && (i == 0 || strchr("._-", text[i]) == NULL)) {
            return false;
        }
    }
    return text[0] != '\0';
}
