/* A measured value as its sensor gives it: whole digits and how many of them are behind the point.
 *
 * No floating point on the way from register to wire: what was read is what is sent, and printing needs no heap
 * (newlib's printf takes some for every double).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DECIMAL_MAX_CHARS 24 /* "-0.", 19 digits, and the end */

typedef struct {
    int64_t digits;
    uint8_t places; /* 0 to VALOR_MAX_PLACES: {-125, 3} is -0.125 */
} decimal_t;

/* Writes `-23.550520` for {-23550520, 6}: exactly `places` digits behind the point, no exponent; a JSON number.
 * Returns the length without the final NUL; 0 when `places` is too large or `cap_bytes` too small. */
size_t decimal_print(decimal_t value, char *out, size_t cap_bytes);

/* The nearest decimal with so many places; half away from zero. False, and *out untouched: not finite, or too large. */
bool decimal_from_double(double value, uint8_t places, decimal_t *out);
