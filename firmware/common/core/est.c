#include "est.h"

#include "ascii.h"
#include "renewal.h"

uint32_t est_retry_after_s(const char *value)
{
    uint32_t seconds = 0;
    const char *at = value;
    for (; ascii_is_digit(*at); at++) {
        seconds = seconds * 10 + (uint32_t)(*at - '0');
        if (seconds > RENEWAL_PAUSE_MAX_S) {
            seconds = RENEWAL_PAUSE_MAX_S; /* ten times it is far from a wrap */
        }
    }
    return *at == '\0' || *at == ' ' ? seconds : 0;
}

bool est_is_valid_now(int64_t not_before_unix_s, int64_t not_after_unix_s, int64_t unix_s)
{
    return unix_s >= not_before_unix_s - EST_CLOCK_TOLERANCE_S && unix_s < not_after_unix_s;
}
