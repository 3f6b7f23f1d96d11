#include "base64url.h"

#include <string.h>

#define GROUP_CHARS 4
#define GROUP_BYTES 3
#define CHAR_BITS 6

static const char ALPHABET[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* -1: it is none. */
static int value_of(char c)
{
    const char *at = c != '\0' ? strchr(ALPHABET, c) : NULL;
    return at != NULL ? (int)(at - ALPHABET) : -1;
}

bool base64url_decode(const char *text, size_t len_chars, uint8_t *out, size_t cap_bytes, size_t *len_bytes)
{
    uint32_t bits = 0; /* of the characters, what no byte has yet taken */
    unsigned bit_count = 0;
    size_t len = 0;
    *len_bytes = 0;
    if (len_chars % GROUP_CHARS == 1) {
        return false; /* six bits are no byte */
    }
    for (size_t i = 0; i < len_chars; i++) {
        int value = value_of(text[i]);
        if (value < 0) {
            return false;
        }
        bits = bits << CHAR_BITS | (uint32_t)value;
        bit_count += CHAR_BITS;
        if (bit_count >= 8) {
            if (len >= cap_bytes) {
                return false;
            }
            bit_count -= 8;
            out[len++] = (uint8_t)(bits >> bit_count);
            bits &= (1u << bit_count) - 1;
        }
    }
    if (bits != 0) {
        return false;
    }
    *len_bytes = len;
    return true;
}

size_t base64url_encode(const uint8_t *bytes, size_t len_bytes, char *out, size_t cap_chars)
{
    size_t len = 0;
    for (size_t i = 0; i < len_bytes; i += GROUP_BYTES) {
        size_t in_group = len_bytes - i < GROUP_BYTES ? len_bytes - i : GROUP_BYTES;
        uint32_t bits = 0;
        for (size_t j = 0; j < GROUP_BYTES; j++) {
            bits = bits << 8 | (j < in_group ? bytes[i + j] : 0u);
        }
        if (cap_chars - len < in_group + 1) {
            return 0;
        }
        for (size_t j = 0; j <= in_group; j++) {
            out[len++] = ALPHABET[bits >> (GROUP_BYTES - j) * CHAR_BITS & 0x3F];
        }
    }
    return len;
}
