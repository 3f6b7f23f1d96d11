/* The system time that TLS goes by, and the time that readings are stamped with. */
#include "chip_clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <sys/time.h>

#include "chip_events.h"
#include "core/wall_clock.h"
#include "esp_app_desc.h"
#include "esp_random.h"
#include "esp_sntp.h"
#include "esp_timer.h"

#define NOVEMBER_26_2026 1795651200 /* 00:00 UTC */

static int64_t s_system_unix_s, s_stored_unix_s, s_posted_unix_ms;
static int s_stores, s_posts;
static esp_app_desc_t s_image;

int chip_gettimeofday(struct timeval *now, void *zone);
int chip_settimeofday(const struct timeval *now, const struct timezone *zone);

int chip_gettimeofday(struct timeval *now, void *zone)
{
    (void)zone;
    *now = (struct timeval){.tv_sec = s_system_unix_s};
    return 0;
}

int chip_settimeofday(const struct timeval *now, const struct timezone *zone)
{
    (void)zone;
    s_system_unix_s = now->tv_sec;
    return 0;
}

const esp_app_desc_t *esp_app_get_description(void)
{
    return &s_image;
}

uint32_t esp_random(void)
{
    return 4;
}

int64_t esp_timer_get_time(void)
{
    return 1234567;
}

void sntp_set_sync_status(sntp_sync_status_t status)
{
    (void)status;
}

bool chip_events_post(const event_t *event)
{
    assert_int_equal(event->type, EVENT_CLOCK);
    s_posted_unix_ms = event->unix_ms;
    s_posts++;
    return true;
}

static kv_status_t get(void *ctx, const char *key, void *out, size_t cap_bytes, size_t *len_bytes)
{
    (void)ctx;
    assert_string_equal(key, "clock");
    assert_int_equal(cap_bytes, sizeof(s_stored_unix_s));
    memcpy(out, &s_stored_unix_s, sizeof(s_stored_unix_s));
    *len_bytes = sizeof(s_stored_unix_s);
    return s_stored_unix_s == 0 ? KV_MISSING : KV_OK;
}

static kv_status_t set(void *ctx, const char *key, const void *value, size_t len_bytes)
{
    (void)ctx, (void)key;
    assert_int_equal(len_bytes, sizeof(s_stored_unix_s));
    memcpy(&s_stored_unix_s, value, sizeof(s_stored_unix_s));
    s_stores++;
    return KV_OK;
}

static const port_kv_t KV = {.get = get, .set = set};

static void server_says(int64_t unix_s)
{
    struct timeval now = {.tv_sec = (time_t)unix_s, .tv_usec = 250000};
    sntp_sync_time(&now);
}

static int power_on(void **state)
{
    (void)state;
    s_system_unix_s = s_stored_unix_s = 0;
    s_posts = s_stores = 0;
    strcpy(s_image.date, "Nov 26 2026");
    return 0;
}

static void the_time_begins_with_the_day_of_the_build_and_that_stamps_nothing(void **state)
{
    (void)state;
    chip_clock_init(&KV);
    assert_int_equal(s_system_unix_s, NOVEMBER_26_2026);
    assert_int_equal(s_posts, 0);
}

static void a_day_with_one_digit_and_an_image_without_a_date_are_read_too(void **state)
{
    (void)state;
    strcpy(s_image.date, "Dec  1 2026");
    chip_clock_init(&KV);
    assert_int_equal(s_system_unix_s, NOVEMBER_26_2026 + 5 * 86400);
    s_system_unix_s = 0;
    s_image.date[0] = '\0';
    chip_clock_init(&KV);
    assert_int_equal(s_system_unix_s, CLOCK_EARLIEST_UNIX_S);
}

static void a_later_day_that_was_known_or_a_certificates_begin_counts(void **state)
{
    (void)state;
    s_stored_unix_s = NOVEMBER_26_2026 + 100 * 86400;
    chip_clock_init(&KV);
    assert_int_equal(s_system_unix_s, s_stored_unix_s);
    chip_clock_not_before(NOVEMBER_26_2026);
    assert_int_equal(s_system_unix_s, s_stored_unix_s);
    chip_clock_not_before(NOVEMBER_26_2026 + 200 * 86400);
    assert_int_equal(s_system_unix_s, NOVEMBER_26_2026 + 200 * 86400);
}

static void a_certificate_of_another_century_moves_nothing(void **state)
{
    (void)state;
    chip_clock_init(&KV);
    chip_clock_not_before(CLOCK_LATEST_UNIX_S);
    assert_int_equal(s_system_unix_s, NOVEMBER_26_2026);
}

static void a_server_that_answers_garbage_sets_no_clock(void **state)
{
    (void)state;
    chip_clock_init(&KV);
    server_says(0);
    server_says(CLOCK_EARLIEST_UNIX_S - 1);
    server_says(CLOCK_LATEST_UNIX_S);
    server_says(-1);
    assert_int_equal(s_system_unix_s, NOVEMBER_26_2026);
    assert_int_equal(s_posts, 0);
}

/* The last one: from here on the time is known. */
static void what_a_server_says_is_the_time_and_is_kept_once_a_day(void **state)
{
    (void)state;
    int64_t unix_s;
    chip_clock_init(&KV);
    chip_clock_keep();
    assert_false(chip_clock_now(&unix_s));
    assert_int_equal(s_stores, 0);
    server_says(NOVEMBER_26_2026 + 3600);
    assert_int_equal(s_posted_unix_ms, (NOVEMBER_26_2026 + 3600) * INT64_C(1000) + 250);
    assert_true(chip_clock_now(&unix_s));
    chip_clock_keep();
    s_system_unix_s += 86399;
    chip_clock_keep();
    assert_int_equal(s_stores, 1);
    s_system_unix_s += 1;
    chip_clock_keep();
    assert_int_equal(s_stores, 2);
    server_says(NOVEMBER_26_2026); /* it went back: the wrong day must not stay for ever */
    chip_clock_keep();
    assert_int_equal(s_stored_unix_s, NOVEMBER_26_2026);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_time_begins_with_the_day_of_the_build_and_that_stamps_nothing, power_on),
        cmocka_unit_test_setup(a_day_with_one_digit_and_an_image_without_a_date_are_read_too, power_on),
        cmocka_unit_test_setup(a_later_day_that_was_known_or_a_certificates_begin_counts, power_on),
        cmocka_unit_test_setup(a_certificate_of_another_century_moves_nothing, power_on),
        cmocka_unit_test_setup(a_server_that_answers_garbage_sets_no_clock, power_on),
        cmocka_unit_test_setup(what_a_server_says_is_the_time_and_is_kept_once_a_day, power_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
