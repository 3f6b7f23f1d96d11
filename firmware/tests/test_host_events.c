#include "port/posix/host_faults.h"
#include "port/posix/posix_clock.h"
#include "port/posix/posix_events.h"
#include "port/posix/posix_network.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static posix_events_t s_events;
static posix_clock_t s_clock;
static posix_network_t s_network;
static char s_said[128];

/* A source that always has something. */
typedef struct {
    event_type_t type;
    bool has;
    int fd; /* what it waits for; -1: nothing */
    bool served;
} fake_t;

static void fake_watch(void *ctx, uint64_t now_ms, posix_watch_t *watch)
{
    (void)now_ms;
    const fake_t *fake = ctx;
    if (fake->fd >= 0) {
        posix_watch_add(watch, fake->fd, POLLIN);
    }
}

static void fake_serve(void *ctx, uint64_t now_ms, const posix_watch_t *watch)
{
    (void)now_ms;
    fake_t *fake = ctx;
    fake->served = fake->served || (fake->fd >= 0 && posix_watch_found(watch, fake->fd) != 0);
}

static bool fake_take(void *ctx, event_t *out)
{
    const fake_t *fake = ctx;
    *out = (event_t){.type = fake->type};
    return fake->has || fake->served;
}

static posix_source_t source_of(fake_t *fake)
{
    return (posix_source_t){.ctx = fake, .watch = fake_watch, .serve = fake_serve, .take = fake_take};
}

static int begin(void **state)
{
    (void)state;
    return posix_events_init(&s_events, 1000) ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    close(s_events.signals[0]);
    close(s_events.signals[1]);
    return 0;
}

static bool next(uint32_t timeout_ms, event_t *out)
{
    return s_events.port.next(s_events.port.ctx, timeout_ms, out);
}

static void no_source_starves_another(void **state)
{
    (void)state;
    fake_t one = {.type = EVENT_CLOCK, .has = true, .fd = -1};
    fake_t other = {.type = EVENT_NETWORK_UP, .has = true, .fd = -1};
    posix_events_add(&s_events, source_of(&one));
    posix_events_add(&s_events, source_of(&other));
    event_t first, second;
    assert_true(next(0, &first));
    assert_true(next(0, &second));
    assert_true(first.type != second.type);
}

static void with_no_time_to_wait_what_came_is_seen_all_the_same(void **state)
{
    (void)state;
    int ends[2];
    event_t event;
    assert_int_equal(pipe(ends), 0);
    fake_t fake = {.type = EVENT_MQTT_CONNECTED, .fd = ends[0]};
    posix_events_add(&s_events, source_of(&fake));
    assert_false(next(0, &event));
    assert_int_equal(write(ends[1], "", 1), 1);
    assert_true(next(0, &event));
    assert_int_equal(event.type, EVENT_MQTT_CONNECTED);
    close(ends[0]);
    close(ends[1]);
}

static void a_wait_ends_in_time(void **state)
{
    (void)state;
    event_t event;
    const uint64_t before_ms = posix_now_ms();
    assert_false(next(60, &event));
    const uint64_t took_ms = posix_now_ms() - before_ms;
    assert_in_range(took_ms, 55, 2000);
}

static void more_than_can_be_watched_is_looked_at_often(void **state)
{
    (void)state;
    posix_watch_t watch = {.timeout_ms = 60000};
    for (int i = 0; i < POSIX_WATCH_MAX + 3; i++) {
        posix_watch_add(&watch, 100 + i, POLLIN);
    }
    assert_int_equal(watch.count, POSIX_WATCH_MAX);
    assert_int_equal(watch.timeout_ms, POSIX_WATCH_CROWDED_MS);
    assert_int_equal(posix_watch_found(&watch, 1), 0);
}

static void more_sources_than_there_is_room_for_are_left_out(void **state)
{
    (void)state;
    fake_t fake = {.fd = -1};
    for (int i = 0; i < POSIX_SOURCES_MAX + 2; i++) {
        posix_events_add(&s_events, source_of(&fake));
    }
    assert_int_equal(s_events.count, POSIX_SOURCES_MAX);
}

static void the_time_comes_at_once_and_then_each_minute(void **state)
{
    (void)state;
    event_t event;
    posix_clock_init(&s_clock, true, 0);
    const posix_source_t source = posix_clock_source(&s_clock);
    assert_true(source.take(source.ctx, &event));
    assert_int_equal(event.type, EVENT_CLOCK);
    assert_true(event.unix_ms / 1000 - (int64_t)time(NULL) <= 1);
    assert_false(source.take(source.ctx, &event));
    posix_watch_t watch = {.timeout_ms = UINT32_MAX};
    source.watch(source.ctx, posix_now_ms(), &watch);
    assert_in_range(watch.timeout_ms, POSIX_CLOCK_EVERY_MS - 1000, POSIX_CLOCK_EVERY_MS);
    assert_true(s_clock.port.since_boot_ms(s_clock.port.ctx) < 5000);
}

static void a_device_that_nobody_tells_the_time_hears_nothing_of_it(void **state)
{
    (void)state;
    event_t event;
    int64_t unix_ms;
    posix_clock_init(&s_clock, false, 0);
    const posix_source_t source = posix_clock_source(&s_clock);
    assert_false(source.take(source.ctx, &event));
    assert_false(posix_clock_unix_ms(&s_clock, &unix_ms));
}

static void hear(void *ctx, const char *line)
{
    (void)ctx;
    (void)snprintf(s_said, sizeof(s_said), "%s", line);
}

static void a_clock_can_be_made_to_jump_and_a_radio_taken_away(void **state)
{
    (void)state;
    host_faults_t faults = {.clock = &s_clock, .network = &s_network, .say = hear};
    event_t event;
    posix_clock_init(&s_clock, false, 0);
    posix_network_init(&s_network, 1, false);
    s_network.port.start(s_network.port.ctx, "", "", "");
    host_faults_command(&faults, "clock -3600");
    const posix_source_t source = posix_clock_source(&s_clock);
    assert_true(source.take(source.ctx, &event));
    assert_true((int64_t)time(NULL) - event.unix_ms / 1000 >= 3599);
    host_faults_command(&faults, "no-clock");
    assert_false(source.take(source.ctx, &event));
    host_faults_command(&faults, "network down");
    assert_false(posix_network_is_up(&s_network));
    host_faults_command(&faults, "network up");
    assert_true(posix_network_is_up(&s_network));
    assert_string_equal(s_said, "Done.");
    const char *const wrong[] = {"", "clock", "clock x", "clock 1x", "clock 99999999999", "network", "reboot"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        host_faults_command(&faults, wrong[i]);
        assert_string_not_equal(s_said, "Done.");
        hear(NULL, "Done.");
    }
}

static void hours_can_be_made_to_pass_at_once_on_all_of_its_clocks(void **state)
{
    (void)state;
    host_faults_t faults = {.clock = &s_clock, .network = &s_network, .say = hear};
    int64_t unix_ms;
    posix_clock_init(&s_clock, true, -7200);
    const port_clock_t *clock = &s_clock.port;
    host_faults_command(&faults, "later 7200");
    assert_string_equal(s_said, "Done.");
    assert_in_range(clock->since_boot_ms(clock->ctx), 7200 * 1000, 7205 * 1000);
    assert_true(posix_clock_unix_ms(&s_clock, &unix_ms));
    assert_in_range(unix_ms / 1000 - (int64_t)time(NULL) + 5, 4, 10); /* 5: there is no range around 0 */
    host_faults_command(&faults, "later 31622400");                   /* longer than this machine is up */
    assert_in_range(clock->since_boot_ms(clock->ctx), 31629600ULL * 1000, 31629605ULL * 1000);
    host_faults_command(&faults, "no-clock");
    host_faults_command(&faults, "later 1");
    assert_false(posix_clock_unix_ms(&s_clock, &unix_ms)); /* nor does it get to know it so */
    const char *const wrong[] = {"later", "later ", "later x", "later 1x", "later 0", "later -1", "later 31622401"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        host_faults_command(&faults, wrong[i]);
        assert_string_not_equal(s_said, "Done.");
        hear(NULL, "Done.");
    }
}

static bool network_says(const posix_source_t *source, event_type_t wanted)
{
    event_t event;
    return source->take(source->ctx, &event) && event.type == wanted;
}

static void a_radio_that_restarts_goes_and_comes_back(void **state)
{
    (void)state;
    event_t event;
    int32_t dbm = 0;
    posix_network_init(&s_network, 1, true);
    const posix_source_t source = posix_network_source(&s_network);
    assert_false(source.take(source.ctx, &event)); /* nobody has started it */
    assert_false(s_network.port.signal_dbm(s_network.port.ctx, &dbm));
    s_network.port.start(s_network.port.ctx, "", "", "");
    assert_true(network_says(&source, EVENT_NETWORK_UP));
    assert_true(s_network.port.signal_dbm(s_network.port.ctx, &dbm));
    assert_true(dbm < -40 && dbm > -90);
    s_network.port.restart(s_network.port.ctx);
    assert_true(network_says(&source, EVENT_NETWORK_DOWN));
    posix_watch_t watch = {.timeout_ms = UINT32_MAX};
    source.watch(source.ctx, posix_now_ms(), &watch);
    assert_in_range(watch.timeout_ms, 0, POSIX_NETWORK_RESTART_MS);
    source.serve(source.ctx, posix_now_ms(), &watch);
    assert_false(source.take(source.ctx, &event)); /* not yet */
    source.serve(source.ctx, posix_now_ms() + POSIX_NETWORK_RESTART_MS, &watch);
    assert_true(network_says(&source, EVENT_NETWORK_UP));
    s_network.port.restart_modem(s_network.port.ctx);
    assert_true(network_says(&source, EVENT_NETWORK_DOWN));
    assert_int_equal(s_network.modem_restarts, 1);
}

static void a_board_without_a_modem_can_restart_none(void **state)
{
    (void)state;
    posix_network_init(&s_network, 1, false);
    assert_null(s_network.port.restart_modem);
}

static void a_signal_ends_the_wait(void **state)
{
    (void)state;
    event_t event;
    assert_false(posix_events_told_to_stop());
    raise(SIGTERM);
    const uint64_t before_ms = posix_now_ms();
    assert_false(next(1000, &event));
    assert_true(posix_now_ms() - before_ms < 500);
    assert_true(posix_events_told_to_stop());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(no_source_starves_another, begin, end),
        cmocka_unit_test_setup_teardown(with_no_time_to_wait_what_came_is_seen_all_the_same, begin, end),
        cmocka_unit_test_setup_teardown(a_wait_ends_in_time, begin, end),
        cmocka_unit_test(more_than_can_be_watched_is_looked_at_often),
        cmocka_unit_test_setup_teardown(more_sources_than_there_is_room_for_are_left_out, begin, end),
        cmocka_unit_test(the_time_comes_at_once_and_then_each_minute),
        cmocka_unit_test(a_device_that_nobody_tells_the_time_hears_nothing_of_it),
        cmocka_unit_test(a_clock_can_be_made_to_jump_and_a_radio_taken_away),
        cmocka_unit_test(hours_can_be_made_to_pass_at_once_on_all_of_its_clocks),
        cmocka_unit_test(a_radio_that_restarts_goes_and_comes_back),
        cmocka_unit_test(a_board_without_a_modem_can_restart_none),
        cmocka_unit_test_setup_teardown(a_signal_ends_the_wait, begin, end), /* the last: nothing takes it back */
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
