/* One character of a JSON string (RFC 8259, 7), plain or escaped. Private to json_*.c. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* What a string's text says at this place, and how many bytes that takes. 0: nothing that may stand in a string. */
size_t json_char_next(const char *text, size_t len, uint32_t *code_point);
