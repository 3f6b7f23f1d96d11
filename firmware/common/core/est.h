/* simplereenroll (RFC 7030, 4.2.2): what is the same whoever carries it. Pure. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define EST_PATH "/.well-known/est/simplereenroll"
/* A new certificate may begin so much later than this device's clock says it is. */
#define EST_CLOCK_TOLERANCE_S 86400

/* Of the value of Retry-After (RFC 9110, 10.2.3), at most RENEWAL_PAUSE_MAX_S. 0: nothing that is understood, as of a
 * date, which the platform does not send. */
uint32_t est_retry_after_s(const char *value);

/* A platform whose clock is wrong must not take from its gateways what they have. */
bool est_is_valid_now(int64_t not_before_unix_s, int64_t not_after_unix_s, int64_t unix_s);
