/* UTF-8 (RFC 3629), and which of it may be a name that people read. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The code point at `text`, and how many bytes it takes. 0: no UTF-8 there (cut short, overlong, half a surrogate pair,
 * beyond U+10FFFF), or nothing. */
size_t utf8_next(const char *text, size_t len_bytes, uint32_t *code_point);

/* The bytes of a code point, at most four; how many. */
size_t utf8_write(uint32_t code_point, char out[4]);

/* Unicode's general categories Cc and Cf, control and format: two names that look the same are a trap. */
bool utf8_is_invisible(uint32_t code_point);

/* UTF-8 throughout, without control characters (category Cc). Empty text is. */
bool utf8_is_text(const char *text, size_t len_bytes);

/* The same, and nothing else in it that is invisible. */
bool utf8_is_visible_text(const char *text, size_t len_bytes);
