#include "json_out.h"

#include <string.h>

void json_out_init(json_out_t *out, char *text, size_t cap_bytes)
{
    *out = (json_out_t){.text = text, .cap_bytes = cap_bytes, .overflow = cap_bytes == 0};
}

/* All of it or nothing; one byte is left for the NUL. */
static void write(json_out_t *out, const char *bytes, size_t len_bytes)
{
    if (out->overflow || len_bytes > out->cap_bytes - 1 - out->len_bytes) {
        out->overflow = true;
        return;
    }
    memcpy(out->text + out->len_bytes, bytes, len_bytes);
    out->len_bytes += len_bytes;
}

void json_out_raw(json_out_t *out, const char *text)
{
    write(out, text, strlen(text));
}

static void write_char(json_out_t *out, char c)
{
    static const char HEX[] = "0123456789abcdef";

    if ((uint8_t)c < 0x20) {
        char escape[] = {'\\', 'u', '0', '0', HEX[(uint8_t)c >> 4], HEX[(uint8_t)c & 0x0F]};
        write(out, escape, sizeof(escape));
        return;
    }
    if (c == '"' || c == '\\') {
        write(out, "\\", 1);
    }
    write(out, &c, 1);
}

void json_out_string(json_out_t *out, const char *text, size_t len_bytes)
{
    write(out, "\"", 1);
    for (size_t i = 0; i < len_bytes; i++) {
        write_char(out, text[i]);
    }
    write(out, "\"", 1);
}

void json_out_decimal(json_out_t *out, decimal_t value)
{
    char digits[DECIMAL_MAX_CHARS];
    size_t len = decimal_print(value, digits, sizeof(digits));
    if (len == 0) {
        out->overflow = true; /* too many places: nothing that could be written would be true */
        return;
    }
    write(out, digits, len);
}

void json_out_int(json_out_t *out, int64_t value)
{
    json_out_decimal(out, (decimal_t){.digits = value});
}

bool json_out_end(json_out_t *out)
{
    if (out->cap_bytes > 0) {
        out->text[out->len_bytes] = '\0';
    }
    return !out->overflow;
}
