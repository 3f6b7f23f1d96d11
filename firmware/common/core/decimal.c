#include "decimal.h"
#include "bounds.h"

#include <string.h>

#define INT64_MAX_DIGITS 19
#define MANTISSA_BITS 52
#define EXPONENT_BIAS 1075 /* of a mantissa that is a whole number of 53 bits */
#define EXPONENT_MASK 0x7FFu
#define TOO_LARGE UINT64_MAX

_Static_assert(VALOR_MAX_PLACES == 9, "powers of ten up to 10^9, which 32 bits hold");
_Static_assert(DECIMAL_MAX_CHARS >= 2 + INT64_MAX_DIGITS + 2, "-, 19 digits with a point within them, and the end");

static const uint32_t POWERS_OF_TEN[VALOR_MAX_PLACES + 1] = {
    1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000, 1000000000,
};

size_t decimal_print(decimal_t value, char *out, size_t cap_bytes)
{
    if (value.places > VALOR_MAX_PLACES) {
        return 0;
    }
    /* From the last digit to the first. The magnitude of INT64_MIN is no int64. */
    uint64_t rest = value.digits < 0 ? 0 - (uint64_t)value.digits : (uint64_t)value.digits;
    char reversed[DECIMAL_MAX_CHARS];
    size_t len = 0;
    for (uint32_t place = 0; place <= value.places || rest > 0; place++) {
        if (place == value.places && place > 0) {
            reversed[len++] = '.';
        }
        reversed[len++] = (char)('0' + rest % 10);
        rest /= 10;
    }
    if (value.digits < 0) {
        reversed[len++] = '-';
    }
    if (len >= cap_bytes) {
        return 0;
    }
    for (size_t i = 0; i < len; i++) {
        out[i] = reversed[len - 1 - i];
    }
    out[len] = '\0';
    return len;
}

/* `high` * 2^32 + `low`, with 32 bits more than a uint64_t has. */
typedef struct {
    uint64_t high;
    uint32_t low;
} wide_t;

/* Both factors whole, the product as well: of at most 53 + 30 bits. */
static wide_t multiply(uint64_t mantissa, uint32_t power)
{
    uint64_t low = (mantissa & UINT32_MAX) * power;
    return (wide_t){.high = (mantissa >> 32) * power + (low >> 32), .low = (uint32_t)low};
}

/* By 2^bits, at least 2, rounded half up. TOO_LARGE: of what is left some is beyond 63 bits. */
static uint64_t divide(wide_t value, uint32_t bits)
{
    if (bits > 95) {
        return 0; /* less than a half: the product has at most 83 bits */
    }
    if (bits > 32) {
        return (value.high >> (bits - 32)) + (value.high >> (bits - 33) & 1);
    }
    if (value.high >> (31 + bits) != 0) {
        return TOO_LARGE;
    }
    return (value.high << (32 - bits) | value.low >> (bits - 1) >> 1) + (value.low >> (bits - 1) & 1);
}

/* By 2^bits. */
static uint64_t multiply_again(wide_t value, uint32_t bits)
{
    uint64_t whole = value.high << 32 | value.low;
    bool fits = value.high >> 31 == 0 && bits < 64 && whole <= (uint64_t)INT64_MAX >> bits;
    return fits ? whole << bits : TOO_LARGE;
}

bool decimal_from_double(double value, uint8_t places, decimal_t *out)
{
    _Static_assert(sizeof(double) == sizeof(uint64_t), "IEEE 754 binary64");
    if (places > VALOR_MAX_PLACES) {
        return false;
    }
    /* A product of doubles is rounded once, and a half that comes of that would be rounded again, maybe away from the
     * nearest. On whole numbers it is exact, and a chip without double arithmetic needs none. */
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof(bits));
    uint32_t exponent = (uint32_t)(bits >> MANTISSA_BITS) & EXPONENT_MASK;
    if (exponent == EXPONENT_MASK) {
        return false; /* an infinity or no number */
    }
    uint64_t mantissa = bits & ((UINT64_C(1) << MANTISSA_BITS) - 1);
    if (exponent > 0) {
        mantissa |= UINT64_C(1) << MANTISSA_BITS;
    } else {
        exponent = 1; /* subnormal */
    }
    wide_t product = multiply(mantissa, POWERS_OF_TEN[places]);
    uint64_t magnitude = exponent < EXPONENT_BIAS ? divide(product, EXPONENT_BIAS - exponent)
                                                  : multiply_again(product, exponent - EXPONENT_BIAS);
    if (magnitude > INT64_MAX) {
        return false;
    }
    *out = (decimal_t){.digits = bits >> 63 ? -(int64_t)magnitude : (int64_t)magnitude, .places = places};
    return true;
}
