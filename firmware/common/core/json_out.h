/* Writes JSON (RFC 8259) into the caller's buffer, compact, in the order it is told. No heap.
 *
 * When something does not fit nothing more is written and `overflow` stays set: the caller looks once, at the end.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "decimal.h"

typedef struct {
    char *text;
    size_t cap_bytes;
    size_t len_bytes;
    bool overflow;
} json_out_t;

void json_out_init(json_out_t *out, char *text, size_t cap_bytes);
void json_out_raw(json_out_t *out, const char *text); /* structure: `{"a":` */
void json_out_string(json_out_t *out, const char *text,
                     size_t len_bytes); /* quoted and escaped; UTF-8 is left as it is */
void json_out_decimal(json_out_t *out, decimal_t value);
void json_out_int(json_out_t *out, int64_t value);
/* Ends the text with a NUL. False: something did not fit. */
bool json_out_end(json_out_t *out);
