#include "utf8.h"

typedef struct {
    uint32_t first, last;
} range_t;

/* Category Cc, and Cf as of Unicode 15.1 (DerivedGeneralCategory.txt). In order. */
static const range_t INVISIBLE[] = {
    {0x0000, 0x001F},   {0x007F, 0x009F},   {0x00AD, 0x00AD},   {0x0600, 0x0605},   {0x061C, 0x061C},
    {0x06DD, 0x06DD},   {0x070F, 0x070F},   {0x0890, 0x0891},   {0x08E2, 0x08E2},   {0x180E, 0x180E},
    {0x200B, 0x200F},   {0x202A, 0x202E},   {0x2060, 0x2064},   {0x2066, 0x206F},   {0xFEFF, 0xFEFF},
    {0xFFF9, 0xFFFB},   {0x110BD, 0x110BD}, {0x110CD, 0x110CD}, {0x13430, 0x1343F}, {0x1BCA0, 0x1BCA3},
    {0x1D173, 0x1D17A}, {0xE0001, 0xE0001}, {0xE0020, 0xE007F},
};

/* Bytes of a sequence by its first one, 0: none begins so. C0, C1 could only be overlong, F5 and up be beyond U+10FFFF.
 */
static size_t sequence_bytes(uint8_t first)
{
    if (first < 0x80) {
        return 1;
    }
    if (first < 0xC2) {
        return 0;
    }
    return first < 0xE0 ? 2 : first < 0xF0 ? 3 : first < 0xF5 ? 4 : 0;
}

size_t utf8_next(const char *text, size_t len_bytes, uint32_t *code_point)
{
    /* The least that a sequence of this length may say: less is overlong. Those of two bytes are sorted out above. */
    static const uint32_t LEAST[] = {0, 0, 0, 0x800, 0x10000};
    static const uint8_t BITS_OF_FIRST[] = {0, 0x7F, 0x1F, 0x0F, 0x07};

    if (len_bytes == 0) {
        return 0;
    }
    size_t bytes = sequence_bytes((uint8_t)text[0]);
    if (bytes == 0 || bytes > len_bytes) {
        return 0;
    }
    uint32_t value = (uint8_t)text[0] & BITS_OF_FIRST[bytes];
    for (size_t i = 1; i < bytes; i++) {
        uint8_t next = (uint8_t)text[i];
        if ((next & 0xC0) != 0x80) {
            return 0;
        }
        value = value << 6 | (next & 0x3Fu);
    }
    if (value < LEAST[bytes] || value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF)) {
        return 0;
    }
    *code_point = value;
    return bytes;
}

size_t utf8_write(uint32_t code_point, char out[4])
{
    if (code_point < 0x80) {
        out[0] = (char)code_point;
        return 1;
    }
    size_t bytes = code_point < 0x800 ? 2 : code_point < 0x10000 ? 3 : 4;
    for (size_t i = bytes - 1; i > 0; i--) {
        out[i] = (char)(0x80u | (code_point & 0x3Fu));
        code_point >>= 6;
    }
    out[0] = (char)((0xF00u >> bytes & 0xF0u) | code_point); /* C0, E0, F0 */
    return bytes;
}

bool utf8_is_invisible(uint32_t code_point)
{
    for (size_t i = 0; i < sizeof(INVISIBLE) / sizeof(INVISIBLE[0]) && INVISIBLE[i].first <= code_point; i++) {
        if (code_point <= INVISIBLE[i].last) {
            return true;
        }
    }
    return false;
}

static bool is_control(uint32_t code_point)
{
    return code_point < 0x20 || (code_point >= 0x7F && code_point <= 0x9F);
}

static bool has_none(const char *text, size_t len_bytes, bool (*unwanted)(uint32_t code_point))
{
    uint32_t code_point = 0;
    for (size_t at = 0; at < len_bytes;) {
        size_t bytes = utf8_next(text + at, len_bytes - at, &code_point);
        if (bytes == 0 || unwanted(code_point)) {
            return false;
        }
        at += bytes;
    }
    return true;
}

bool utf8_is_text(const char *text, size_t len_bytes)
{
    return has_none(text, len_bytes, is_control);
}

bool utf8_is_visible_text(const char *text, size_t len_bytes)
{
    return has_none(text, len_bytes, utf8_is_invisible);
}
