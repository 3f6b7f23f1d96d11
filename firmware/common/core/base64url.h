/* base64url (RFC 4648, 5) as RFC 7515 has it: without padding. Pure.
 *
 * There is one text for the same bytes: refused are padding, characters of plain base64, spaces, and bits that no byte
 * takes unless they are 0.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* False: it is none, or does not fit. */
bool base64url_decode(const char *text, size_t len_chars, uint8_t *out, size_t cap_bytes, size_t *len_bytes);

/* Writes no NUL. Characters; 0: it does not fit. `out` must not be `bytes`. */
size_t base64url_encode(const uint8_t *bytes, size_t len_bytes, char *out, size_t cap_chars);
