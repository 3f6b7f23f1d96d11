/* The chip's clock and random numbers, and the system time that TLS compares certificates with.
 *
 * TLS needs a time before SNTP has answered, and where SNTP never gets through. So at power-up the system time is set
 * to the latest moment that is surely past: what NVS kept of the last day that was known, the build of this image, the
 * begin of this device's certificate. A certificate that was issued later than that is "not valid yet" until SNTP
 * answers; one that is out of its time for no more than the device was off is taken for good. Readings are stamped by
 * none of this, but by what a time server said.
 */
#pragma once

#include "../port_clock.h"
#include "../port_kv.h"
#include "../port_random.h"

#define CHIP_CLOCK_KEEP_S 86400 /* the time is written to NVS so often: a page of NVS lasts for centuries */

extern const port_clock_t chip_clock;
extern const port_random_t chip_random;

void chip_clock_init(const port_kv_t *kv);
/* The system time is no earlier than this from now on. For moments that are surely past. */
void chip_clock_not_before(int64_t unix_s);
/* What time it is. False: no time server has said, in this boot. */
bool chip_clock_now(int64_t *unix_s);
/* To be called now and then, in the device's own task: keeps the time. */
void chip_clock_keep(void);
