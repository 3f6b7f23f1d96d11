/* When the certificate is renewed: from two thirds of its life on, spread over a twelfth by each device's own place.
 * Pure. As the platform's simulator does it (docs/identity.md); RFC 7030 leaves the moment to the client.
 *
 * Late enough that a lost device's certificate does not live on by itself for long, early enough that a platform which
 * is away for weeks is no reason to lose a device.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "backoff.h"

#define RENEWAL_PAUSE_FIRST_S 60 /* also after a success: a certificate that is due as it is issued is no loop */
#define RENEWAL_PAUSE_MIN_S 1
#define RENEWAL_PAUSE_MAX_S 86400 /* and never more than a quarter of the time that is left */
#define RENEWAL_TIMEOUT_S 600     /* no word of what became of it for so long counts as a failure */

typedef struct {
    int64_t not_before_unix_s, not_after_unix_s; /* 0, 0: there is no certificate */
    uint32_t place;                              /* this device's own, over all of uint32_t */
    int64_t due_unix_s;                          /* by its age */
    int64_t paused_until_unix_s;                 /* after a try */
    int64_t asked_unix_s;
    bool under_way;
    backoff_t pause; /* in ms */
} renewal_t;

void renewal_init(renewal_t *renewal, int64_t not_before_unix_s, int64_t not_after_unix_s, uint32_t place);
/* True once: ask now. After the end there is nothing to renew with: never true then, and renewal_has_run_out() is. */
bool renewal_due(renewal_t *renewal, int64_t unix_s, uint32_t random);
/* `ok`: the certificate in use from the next connection on is valid between those. `retry_after_s`: what the server
 * asked for; 0: nothing. */
void renewal_done(renewal_t *renewal, bool ok, int64_t not_before_unix_s, int64_t not_after_unix_s,
                  uint32_t retry_after_s, int64_t unix_s, uint32_t random);
/* Another certificate is in use, for a broker refuses the one before. A new one is asked for when its age says so, but
 * not at once, and not by all devices at once: of what went wrong with the last one nobody knows. */
void renewal_fall_back(renewal_t *renewal, int64_t not_before_unix_s, int64_t not_after_unix_s, int64_t unix_s);
bool renewal_has_run_out(const renewal_t *renewal, int64_t unix_s);
/* When renewal_due() is to be asked again; INT64_MAX: never. */
int64_t renewal_next_due_unix_s(const renewal_t *renewal, int64_t unix_s);
