/* A year of a device, in seconds: what goes wrong once in a while goes wrong here hundreds of times. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "port/fake/fake_world.h"

#define S 1000ULL
#define MINUTE (60 * S)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

/* Sanitizers and counters of branches make it ten times as slow: then two months. */
#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1 /* as gcc says it */
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || !defined(__OPTIMIZE__)
#define DAYS 60
#else
#define DAYS 365
#endif
#define SECTORS 64
#define SAMPLES (DAYS * 24 * 60 * 2)

typedef struct {
    const char *name;
    uint32_t weight;
    void (*happen)(fake_world_t *world);
    uint32_t times;
} trouble_t;

static uint64_t between(fake_world_t *world, uint64_t low_ms, uint64_t high_ms)
{
    return low_ms + fake_world_below(world, (uint32_t)(high_ms - low_ms));
}

static void connection_ends(fake_world_t *world)
{
    fake_world_run(world, between(world, 5 * S, 300 * S));
    fake_world_hang_up(world);
}

static void connection_flaps(fake_world_t *world)
{
    for (int i = 0; i < 20; i++) {
        fake_world_run(world, between(world, 0, 4 * S));
        fake_world_hang_up(world);
    }
}

static void calm(fake_world_t *world)
{
    fake_world_run(world, between(world, 2 * MINUTE, 10 * MINUTE));
}

static void broker_is_killed(fake_world_t *world)
{
    fake_world_kill_broker(world);
    fake_world_run(world, between(world, 0, 90 * S));
    world->mood = FAKE_BROKER_GOOD;
}

static void broker_is_away(fake_world_t *world)
{
    const failure_t failures[] = {FAILURE_TCP, FAILURE_TLS_EXPIRED, FAILURE_MQTT_UNAVAILABLE, FAILURE_DNS};
    fake_world_kill_broker(world);
    world->failure = failures[fake_world_below(world, 4)];
    fake_world_run(world, between(world, MINUTE, 4 * HOUR));
    world->failure = FAILURE_NONE;
    world->mood = FAKE_BROKER_GOOD;
}

static void broker_is_odd(fake_world_t *world)
{
    const fake_broker_mood_t moods[] = {FAKE_BROKER_SILENT, FAKE_BROKER_DROPS, FAKE_BROKER_NEVER_ACKS};
    world->mood = moods[fake_world_below(world, 3)];
    fake_world_hang_up(world);
    fake_world_run(world, between(world, MINUTE, 30 * MINUTE));
    world->mood = FAKE_BROKER_GOOD;
    fake_world_hang_up(world);
}

static void publishes_are_refused(fake_world_t *world)
{
    const uint8_t reasons[] = {0x10, 0x87, 0x97};
    world->refuse_every = 1 + fake_world_below(world, 4);
    world->reason = reasons[fake_world_below(world, 3)];
    fake_world_run(world, between(world, MINUTE, HOUR));
    world->refuse_every = 0;
}

static void network_is_away(fake_world_t *world)
{
    fake_world_network(world, false);
    fake_world_run(world, between(world, 10 * S, 20 * MINUTE));
    fake_world_network(world, true);
}

static void network_is_away_for_long(fake_world_t *world)
{
    fake_world_network(world, false);
    fake_world_run(world, between(world, HOUR, 8 * HOUR));
    fake_world_network(world, true);
    fake_world_run(world, 10 * MINUTE);
}

static void network_leads_nowhere(fake_world_t *world)
{
    const bool is_killed = fake_world_below(world, 2) == 0;
    fake_world_black_hole(world, true);
    if (is_killed) {
        fake_broker_kill(&world->broker, world->now_ms);
    }
    fake_world_run(world, between(world, S, 4 * MINUTE));
    fake_world_black_hole(world, false);
    if (is_killed) {
        fake_world_hang_up(world); /* who answers now never heard of the connection */
    }
}

static void radio_is_stuck(fake_world_t *world)
{
    world->radio_stuck = true;
    fake_world_network(world, false);
    fake_world_network(world, true);
    fake_world_run(world, 15 * MINUTE);
}

/* A boot that never gets to know the time loses what it measured: that is so, and no finding. */
static bool may_lose_power(const fake_world_t *world)
{
    return world->app.clock.known && world->app.outbox.offset_known;
}

static void power_goes(fake_world_t *world)
{
    if (may_lose_power(world)) {
        world->base_ms = fake_world_below(world, 2) == 0 ? 0 : UINT32_MAX - between(world, 0, 2 * HOUR);
        fake_world_cut_power(world);
    }
}

static void power_goes_as_flash_is_written(fake_world_t *world)
{
    if (may_lose_power(world)) {
        world->flash.cut_at = fake_flash_operations(&world->flash) + 1 + fake_world_below(world, 6);
        world->flash.tear = (fake_flash_tear_t)fake_world_below(world, FAKE_FLASH_TEARS);
        fake_world_run(world, 5 * MINUTE);
        world->flash.cut_at = 0;
    }
}

static void somebody_restarts_it(fake_world_t *world)
{
    if (may_lose_power(world)) {
        fake_world_type(world, "reboot");
        fake_world_run(world, MINUTE);
    }
}

static void clock_jumps(fake_world_t *world)
{
    const int64_t off_ms = (int64_t)between(world, 0, 2 * HOUR) - (int64_t)HOUR;
    fake_world_set_clock(world, off_ms);
    fake_world_run(world, between(world, MINUTE, 3 * HOUR));
    fake_world_set_clock(world, 0);
}

static void clock_tells_garbage(fake_world_t *world)
{
    world->clock_garbage = true;
    fake_world_set_clock(world, world->clock_off_ms);
    fake_world_run(world, between(world, MINUTE, HOUR));
    world->clock_garbage = false;
}

static trouble_t s_troubles[] = {
    {"the connection ends", 600000, connection_ends, 0},
    {"the connection flaps", 6000, connection_flaps, 0},
    {"calm", 20000, calm, 0},
    {"the broker is killed", 10000, broker_is_killed, 0},
    {"the broker is away", 200, broker_is_away, 0},
    {"the broker is odd", 500, broker_is_odd, 0},
    {"publishes are refused", 600, publishes_are_refused, 0},
    {"the network is away", 2000, network_is_away, 0},
    {"the network is away for hours", 60, network_is_away_for_long, 0},
    {"the network leads nowhere", 2000, network_leads_nowhere, 0},
    {"the radio is stuck", 100, radio_is_stuck, 0},
    {"power goes", 500, power_goes, 0},
    {"power goes as flash is written", 1500, power_goes_as_flash_is_written, 0},
    {"somebody restarts it", 100, somebody_restarts_it, 0},
    {"the clock jumps", 100, clock_jumps, 0},
    {"the clock tells garbage", 100, clock_tells_garbage, 0},
};
#define TROUBLES (sizeof(s_troubles) / sizeof(s_troubles[0]))

static trouble_t *next_trouble(fake_world_t *world)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < TROUBLES; i++) {
        sum += s_troubles[i].weight;
    }
    uint32_t dice = fake_world_below(world, sum);
    size_t at = 0;
    while (dice >= s_troubles[at].weight) {
        dice -= s_troubles[at++].weight;
    }
    return &s_troubles[at];
}

static bool is_drained(const fake_world_t *world)
{
    return world->app.connection.state == LINK_ONLINE && sender_is_idle(&world->app.sender);
}

static void a_year_of_troubles_loses_no_reading_and_gives_none_two_times(void **state)
{
    (void)state;
    fake_world_t *world = malloc(sizeof(*world));
    assert_non_null(world);
    const clock_t began = clock();
    fake_world_init(world, 2026, SECTORS, SAMPLES);
    world->keeps_log = false;
    world->not_before_unix_s = FAKE_WORLD_UNIX_MS / 1000 - 86400;
    world->not_after_unix_s = FAKE_WORLD_UNIX_MS / 1000 + 90 * 86400;
    world->base_ms = UINT32_MAX - 30 * MINUTE;
    fake_world_power_up(world, BOOT_POWER_ON);
    fake_world_run(world, HOUR);
    assert_true(fake_world_device_ms(world) > UINT32_MAX);
    while (world->now_ms < DAYS * DAY) {
        trouble_t *trouble = next_trouble(world);
        trouble->happen(world);
        trouble->times++;
        assert_int_equal(world->flash.misuses, 0);
    }
    assert_true(fake_world_run_until(world, HOUR, is_drained));
    fake_world_run(world, 5 * MINUTE);
    assert_true(fake_world_run_until(world, HOUR, is_drained));
    fake_broker_save_all(&world->broker);

    for (size_t i = 0; i < TROUBLES; i++) {
        print_message("%6u times %s\n", (unsigned)s_troubles[i].times, s_troubles[i].name);
    }
    const double took_s = (double)(clock() - began) / CLOCKS_PER_SEC;
    print_message(
        "%u days in %.1f s: %u samples, %u tries to connect, %u boots (%u by power, %u by itself), %u restarts of "
        "the radio, %u renewals\n",
        (unsigned)DAYS, took_s, (unsigned)world->next_serial - 1, (unsigned)world->connects, (unsigned)world->boots,
        (unsigned)world->power_cuts, (unsigned)world->reboots, (unsigned)world->radio_restarts,
        (unsigned)world->renewals);
    print_message("%u messages, %u of them copies; most erases of a sector: ", (unsigned)world->broker.received,
                  (unsigned)world->broker.copies);
    uint32_t most = 0;
    for (uint32_t sector = 0; sector < SECTORS; sector++) {
        most = world->flash.sector_erases[sector] > most ? world->flash.sector_erases[sector] : most;
    }
    print_message("%u\n", (unsigned)most);

    assert_int_equal(world->broker.malformed, 0);
    assert_int_equal(world->broker.two_times, 0);
    assert_int_equal(world->broker.two_contents, 0);
    assert_int_equal(world->app.outbox.dropped, 0);
    assert_int_equal(world->app.sender.passed_over, 0);
    assert_int_equal(fake_world_missing(world), 0);
    assert_true(world->renewals > 0 || DAYS < 90);
    fake_world_free(world);
    free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_year_of_troubles_loses_no_reading_and_gives_none_two_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
