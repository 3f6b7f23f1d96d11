/* What the tokens of json_in_parse() say. */
#include "ascii.h"
#include "json_char.h"
#include "json_in.h"
#include "utf8.h"

#include <string.h>

static bool string_is(const char *text, const json_token_t *token, const char *wanted)
{
    for (size_t at = token->start; at < token->end;) {
        uint32_t code_point = 0;
        uint32_t wanted_point = 0;
        size_t bytes = json_char_next(text + at, (size_t)token->end - at, &code_point);
        size_t wanted_bytes = utf8_next(wanted, strlen(wanted), &wanted_point);
        if (bytes == 0 || wanted_bytes == 0 || code_point != wanted_point) {
            return false;
        }
        at += bytes;
        wanted += wanted_bytes;
    }
    return *wanted == '\0';
}

const json_token_t *json_in_get(const char *text, const json_token_t *tokens, const json_token_t *object,
                                const char *key)
{
    const json_token_t *found = NULL;
    if (object->type != JSON_OBJECT) {
        return NULL;
    }
    for (const json_token_t *at = object + 1; at < tokens + object->next; at = tokens + at[1].next) {
        if (string_is(text, at, key)) {
            found = at + 1;
        }
    }
    return found;
}

bool json_in_string(const char *text, const json_token_t *token, char *out, size_t cap_bytes)
{
    size_t len = 0;
    if (token->type != JSON_STRING || cap_bytes == 0) {
        return false;
    }
    for (size_t at = token->start; at < token->end;) {
        char bytes[4];
        uint32_t code_point = 0;
        at += json_char_next(text + at, (size_t)token->end - at, &code_point);
        size_t count = utf8_write(code_point, bytes);
        if (code_point == 0 || count >= cap_bytes - len) {
            return false;
        }
        memcpy(out + len, bytes, count);
        len += count;
    }
    out[len] = '\0';
    return true;
}

bool json_in_int(const char *text, const json_token_t *token, int64_t *out)
{
    if (token->type != JSON_NUMBER) {
        return false;
    }
    size_t at = token->start;
    bool negative = text[at] == '-';
    uint64_t limit = negative ? (uint64_t)INT64_MAX + 1 : (uint64_t)INT64_MAX;
    uint64_t value = 0;
    for (at += negative; at < token->end; at++) {
        if (!ascii_is_digit(text[at])) {
            return false;
        }
        uint64_t digit = (uint64_t)(text[at] - '0');
        if (value > (limit - digit) / 10) {
            return false;
        }
        value = value * 10 + digit;
    }
    *out = negative ? (int64_t)(0 - value) : (int64_t)value;
    return true;
}
