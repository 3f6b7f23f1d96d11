#include "semver.h"

#include <stddef.h>

#include "ascii.h"

#define NUMBERS 3

static const char *digits_end(const char *at)
{
    while (ascii_is_digit(*at)) {
        at++;
    }
    return at;
}

/* One text for one number: no zero in front. */
static bool is_number(const char *from, const char *end)
{
    return end > from && (from[0] != '0' || end - from == 1);
}

/* Where "1.2.3" ends; NULL: it doesn't begin with that. */
static const char *core_end(const char *at)
{
    for (int i = 0; i < NUMBERS; i++) {
        if (i > 0 && *at++ != '.') {
            return NULL;
        }
        const char *from = at;
        at = digits_end(from);
        if (!is_number(from, at)) {
            return NULL;
        }
    }
    return at;
}

/* Where "rc.1" ends; NULL: an identifier is empty or, where they count as such, a number with a zero in front. */
static const char *identifiers_end(const char *at, bool numbers_count)
{
    for (;;) {
        const char *from = at;
        while (ascii_is_letter_or_digit(*at) || *at == '-') {
            at++;
        }
        bool is_all_digits = digits_end(from) >= at;
        if (at == from || (numbers_count && is_all_digits && !is_number(from, at))) {
            return NULL;
        }
        if (*at != '.') {
            return at;
        }
        at++;
    }
}

bool semver_is_valid(const char *text)
{
    const char *at = core_end(text);
    if (at != NULL && *at == '-') {
        at = identifiers_end(at + 1, true);
    }
    if (at != NULL && *at == '+') {
        at = identifiers_end(at + 1, false);
    }
    return at != NULL && *at == '\0';
}
