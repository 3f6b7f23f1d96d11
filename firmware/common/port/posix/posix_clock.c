#include "posix_clock.h"

#include <time.h>

uint64_t posix_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static uint64_t since_boot_ms(void *ctx)
{
    const posix_clock_t *clock = ctx;
    return posix_now_ms() - clock->started_ms;
}

bool posix_clock_unix_ms(const posix_clock_t *clock, int64_t *out)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    *out = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000 + clock->shift_ms;
    return clock->known;
}

static void watch(void *ctx, uint64_t now_ms, posix_watch_t *watch)
{
    const posix_clock_t *clock = ctx;
    if (clock->known) {
        posix_watch_within(watch, clock->say_at_ms > now_ms ? clock->say_at_ms - now_ms : 0);
    }
}

static void serve(void *ctx, uint64_t now_ms, const posix_watch_t *watch)
{
    (void)ctx;
    (void)now_ms;
    (void)watch;
}

static bool take(void *ctx, event_t *out)
{
    posix_clock_t *clock = ctx;
    uint64_t now_ms = posix_now_ms();
    int64_t unix_ms;
    if (now_ms < clock->say_at_ms || !posix_clock_unix_ms(clock, &unix_ms)) {
        return false;
    }
    clock->say_at_ms = now_ms + POSIX_CLOCK_EVERY_MS;
    *out = (event_t){.type = EVENT_CLOCK, .unix_ms = unix_ms};
    return true;
}

void posix_clock_init(posix_clock_t *clock, bool known, int64_t shift_s)
{
    *clock = (posix_clock_t){.started_ms = posix_now_ms()};
    clock->port = (port_clock_t){.ctx = clock, .since_boot_ms = since_boot_ms};
    posix_clock_shift(clock, known, shift_s);
}

void posix_clock_shift(posix_clock_t *clock, bool known, int64_t shift_s)
{
    clock->known = known;
    clock->shift_ms = shift_s * 1000;
    clock->say_at_ms = posix_now_ms();
}

void posix_clock_skip(posix_clock_t *clock, int64_t seconds)
{
    clock->started_ms -= (uint64_t)seconds * 1000; /* it may be before this machine's own start: what counts is since */
    clock->shift_ms += seconds * 1000;
}

posix_source_t posix_clock_source(posix_clock_t *clock)
{
    return (posix_source_t){.ctx = clock, .watch = watch, .serve = serve, .take = take};
}
