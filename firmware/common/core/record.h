/* A sample in few bytes, as the outbox keeps it. Names are in it, not numbers of a catalogue: an update may change
 * that.
 *
 * Layout, little endian: format (1), flags (1; bit 0: stamped), device code (length byte + text), moment (unix seconds
 * as 8 bytes, or boot 4 and milliseconds 8), count (1), then each reading: tipo, unidade (length byte + text), places
 * (1), digits as zigzag varint (Protocol Buffers, "Encoding"). One sample has one form only.
 */
#pragma once

#include "sample.h"

#define RECORD_FORMAT 1

/* Bytes written; 0: does not fit or the sample is no valid one. What fits RECORD_MAX_BYTES fits a message. */
size_t record_encode(const sample_t *sample, uint8_t *out, size_t cap_bytes);

/* False: not a record of this format, cut short, or a text in it breaks the contract. Reads any bytes safely. */
bool record_decode(const uint8_t *bytes, size_t len_bytes, sample_t *out);
