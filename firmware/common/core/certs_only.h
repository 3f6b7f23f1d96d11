/* The answer of an EST server: a certs-only CMS SignedData (RFC 7030, 4.2.3; RFC 5652, 5.1) in base64. Pure.
 *
 * Only the way to the certificates is read; what they say is for the TLS library to judge.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Undoes base64 (RFC 4648, 4) in place; white space between is skipped (RFC 8951, 3.1). Bytes, or 0 when it is none. */
size_t certs_only_unbase64(char *text, size_t len_bytes);

/* The `index`-th certificate (0: the first) as DER, within `der`. False: there is none, or it is no such message. */
bool certs_only_find(const uint8_t *der, size_t len_bytes, uint8_t index, const uint8_t **out, size_t *out_len_bytes);
