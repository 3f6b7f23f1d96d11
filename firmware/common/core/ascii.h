/* Characters by what ASCII says, whatever a locale does to isalnum(). */
#pragma once

#include <stdbool.h>

static inline bool ascii_is_digit(int c)
{
    return c >= '0' && c <= '9';
}

static inline bool ascii_is_hex(int c)
{
    return ascii_is_digit(c) || (c >= 'A' && c <= 'F') || (c >= 'a' && c <= 'f');
}

static inline bool ascii_is_letter_or_digit(int c)
{
    return ascii_is_digit(c) || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/* Visible or a space. */
static inline bool ascii_is_printable(int c)
{
    return c >= ' ' && c <= '~';
}
