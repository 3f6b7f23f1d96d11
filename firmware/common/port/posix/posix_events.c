#include "posix_events.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "posix_clock.h"

/* A handler knows nothing but globals. */
static volatile sig_atomic_t s_stop;
static volatile sig_atomic_t s_signal_fd = -1;

static void on_signal(int number)
{
    (void)number;
    int before = errno;
    s_stop = 1;
    if (s_signal_fd >= 0) {
        ssize_t ignored = write((int)s_signal_fd, "", 1); /* a full pipe wakes as well */
        (void)ignored;
    }
    errno = before;
}

void posix_watch_add(posix_watch_t *watch, int fd, short events)
{
    if (watch->count == POSIX_WATCH_MAX) {
        posix_watch_within(watch, POSIX_WATCH_CROWDED_MS);
        return;
    }
    watch->fds[watch->count] = (struct pollfd){.fd = fd, .events = events};
    watch->count++;
}

void posix_watch_within(posix_watch_t *watch, uint64_t ms)
{
    if (ms < watch->timeout_ms) {
        watch->timeout_ms = ms;
    }
}

short posix_watch_found(const posix_watch_t *watch, int fd)
{
    for (nfds_t i = 0; i < watch->count; i++) {
        if (watch->fds[i].fd == fd) {
            return watch->fds[i].revents;
        }
    }
    return 0;
}

static bool take(posix_events_t *events, event_t *out)
{
    for (uint8_t i = 0; i < events->count; i++) {
        uint8_t which = (uint8_t)((events->turn + i) % events->count);
        const posix_source_t *source = &events->sources[which];
        if (source->take(source->ctx, out)) {
            events->turn = (uint8_t)((which + 1) % events->count);
            return true;
        }
    }
    return false;
}

static void wait_and_serve(posix_events_t *events, uint64_t now_ms, uint64_t left_ms)
{
    posix_watch_t watch = {.timeout_ms = left_ms};
    posix_watch_add(&watch, events->signals[0], POLLIN);
    for (uint8_t i = 0; i < events->count; i++) {
        events->sources[i].watch(events->sources[i].ctx, now_ms, &watch);
    }
    if (poll(watch.fds, watch.count, (int)watch.timeout_ms) < 0) {
        for (nfds_t i = 0; i < watch.count; i++) { /* EINTR: nothing of what it says counts */
            watch.fds[i].revents = 0;
        }
    }
    char drained[16];
    if (posix_watch_found(&watch, events->signals[0]) != 0 && read(events->signals[0], drained, sizeof(drained)) < 0) {
        return;
    }
    now_ms = posix_now_ms();
    for (uint8_t i = 0; i < events->count; i++) {
        events->sources[i].serve(events->sources[i].ctx, now_ms, &watch);
    }
}

static bool next(void *ctx, uint32_t timeout_ms, event_t *out)
{
    posix_events_t *events = ctx;
    uint64_t now_ms = posix_now_ms();
    uint64_t until_ms = now_ms + (timeout_ms < events->max_wait_ms ? timeout_ms : events->max_wait_ms);
    bool looked = false;
    while (!take(events, out)) {
        /* Also with no time to wait: what has come is looked at once, or a busy device would never hear of it. */
        if (posix_events_told_to_stop() || (looked && now_ms >= until_ms)) {
            return false;
        }
        wait_and_serve(events, now_ms, until_ms - now_ms);
        looked = true;
        now_ms = posix_now_ms();
        if (now_ms > until_ms) {
            now_ms = until_ms;
        }
    }
    return true;
}

bool posix_events_init(posix_events_t *events, uint32_t max_wait_ms)
{
    *events = (posix_events_t){.max_wait_ms = max_wait_ms};
    events->port = (port_events_t){.ctx = events, .next = next};
    if (pipe2(events->signals, O_CLOEXEC | O_NONBLOCK) != 0) {
        return false;
    }
    s_signal_fd = events->signals[1];
    struct sigaction stop = {.sa_handler = on_signal};
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGTERM, &stop, NULL);
    sigaction(SIGINT, &stop, NULL);
    sigaction(SIGHUP, &stop, NULL);
    /* A peer that hangs up must not end us: libmosquitto writes with write(2). */
    sigaction(SIGPIPE, &ignore, NULL);
    return true;
}

void posix_events_add(posix_events_t *events, posix_source_t source)
{
    if (events->count < POSIX_SOURCES_MAX) {
        events->sources[events->count] = source;
        events->count++;
    }
}

bool posix_events_told_to_stop(void)
{
    return s_stop != 0;
}
