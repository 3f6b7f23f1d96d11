#include "json_char.h"
#include "ascii.h"
#include "utf8.h"

#include <string.h>

/* The four digits behind `\u`, or -1. */
static int32_t hex4(const char *text, size_t len)
{
    int32_t value = 0;
    if (len < 4) {
        return -1;
    }
    for (size_t i = 0; i < 4; i++) {
        char c = text[i];
        char letter = (char)(c | 0x20);
        if (ascii_is_digit(c)) {
            value = value * 16 + (c - '0');
        } else if (letter >= 'a' && letter <= 'f') {
            value = value * 16 + (letter - 'a' + 10);
        } else {
            return -1;
        }
    }
    return value;
}

/* The code point of `\uXXXX`, or of two of them that are a pair, and how many bytes it takes. 0: neither. */
static size_t next_u_escape(const char *text, size_t len, uint32_t *code_point)
{
    int32_t unit = hex4(text + 2, len - 2);
    if (unit < 0 || (unit >= 0xDC00 && unit <= 0xDFFF)) {
        return 0;
    }
    *code_point = (uint32_t)unit;
    if (unit < 0xD800 || unit > 0xDBFF) {
        return 6;
    }
    if (len < 8 || text[6] != '\\' || text[7] != 'u') {
        return 0;
    }
    int32_t low = hex4(text + 8, len - 8);
    if (low < 0xDC00 || low > 0xDFFF) {
        return 0;
    }
    *code_point = 0x10000u + (((uint32_t)unit - 0xD800u) << 10) + ((uint32_t)low - 0xDC00u);
    return 12;
}

static size_t next_escape(const char *text, size_t len, uint32_t *code_point)
{
    static const char AFTER_BACKSLASH[] = "\"\\/bfnrt";
    static const char MEANS[] = "\"\\/\b\f\n\r\t";

    if (len < 2) {
        return 0;
    }
    if (text[1] == 'u') {
        return next_u_escape(text, len, code_point);
    }
    const char *found = text[1] != '\0' ? strchr(AFTER_BACKSLASH, text[1]) : NULL;
    if (found == NULL) {
        return 0;
    }
    *code_point = (uint32_t)MEANS[found - AFTER_BACKSLASH];
    return 2;
}

size_t json_char_next(const char *text, size_t len, uint32_t *code_point)
{
    if (len > 0 && text[0] == '\\') {
        return next_escape(text, len, code_point);
    }
    size_t bytes = utf8_next(text, len, code_point);
    return bytes > 0 && *code_point < 0x20 ? 0 : bytes;
}
