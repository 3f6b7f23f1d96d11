#include "chip_clock.h"

#include <stdatomic.h>
#include <stddef.h>
#include <sys/time.h>
#include <time.h>

#include "../../core/wall_clock.h"
#include "chip_events.h"
#include "esp_app_desc.h"
#include "esp_random.h"
#include "esp_sntp.h"
#include "esp_timer.h"

#define CLOCK_KEY "clock" /* int64_t, seconds of Unix */

static const port_kv_t *s_kv;
static int64_t s_kept_unix_s;
static atomic_bool s_known;

static uint64_t since_boot_ms(void *ctx)
{
    (void)ctx;
    return (uint64_t)esp_timer_get_time() / 1000;
}

static uint32_t next(void *ctx)
{
    (void)ctx;
    return esp_random(); /* true entropy once the radio is on (ESP32 technical reference, "Random Number Generator") */
}

static int64_t system_unix_s(void)
{
    struct timeval now = {0};
    (void)gettimeofday(&now, NULL);
    return now.tv_sec;
}

/* __DATE__, as "Nov 26 2026"; 0 in an image that is built to be reproducible, which has none. */
static int64_t built_unix_s(void)
{
    struct tm date = {0};
    if (strptime(esp_app_get_description()->date, "%b %d %Y", &date) == NULL) {
        return 0;
    }
    return mktime(&date); /* no time zone is set: UTC */
}

void chip_clock_not_before(int64_t unix_s)
{
    if (system_unix_s() < unix_s && unix_s < CLOCK_LATEST_UNIX_S) {
        const struct timeval floor = {.tv_sec = (time_t)unix_s};
        (void)settimeofday(&floor, NULL);
    }
}

void chip_clock_init(const port_kv_t *kv)
{
    size_t len = 0;
    s_kv = kv;
    if (kv->get(kv->ctx, CLOCK_KEY, &s_kept_unix_s, sizeof(s_kept_unix_s), &len) != KV_OK ||
        len != sizeof(s_kept_unix_s)) {
        s_kept_unix_s = 0;
    }
    chip_clock_not_before(CLOCK_EARLIEST_UNIX_S);
    chip_clock_not_before(built_unix_s());
    chip_clock_not_before(s_kept_unix_s);
}

bool chip_clock_now(int64_t *unix_s)
{
    *unix_s = system_unix_s();
    return atomic_load(&s_known);
}

void chip_clock_keep(void)
{
    int64_t unix_s;
    /* Also when it went back: a server that once said a wrong year must not count for ever. */
    if (chip_clock_now(&unix_s) && (unix_s < s_kept_unix_s || unix_s - s_kept_unix_s >= CHIP_CLOCK_KEEP_S)) {
        s_kept_unix_s = unix_s;
        (void)s_kv->set(s_kv->ctx, CLOCK_KEY, &s_kept_unix_s, sizeof(s_kept_unix_s));
    }
}

/* In place of ESP-IDF's, which takes whatever a server says (esp_sntp.h: weak). In lwIP's task: nothing here waits. */
void sntp_sync_time(struct timeval *now)
{
    if (now->tv_sec < CLOCK_EARLIEST_UNIX_S || now->tv_sec >= CLOCK_LATEST_UNIX_S) {
        return;
    }
    (void)settimeofday(now, NULL);
    atomic_store(&s_known, true);
    sntp_set_sync_status(SNTP_SYNC_STATUS_COMPLETED);
    event_t event = {.type = EVENT_CLOCK};
    event.unix_ms = (int64_t)now->tv_sec * 1000 + now->tv_usec / 1000;
    (void)chip_events_post(&event);
}

const port_clock_t chip_clock = {.since_boot_ms = since_boot_ms};
const port_random_t chip_random = {.next = next};
