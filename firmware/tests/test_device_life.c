/* Power goes at each write of a device's life, of whichever medium it is: flash and settings count together. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "port/fake/fake_world.h"

#define S 1000ULL
#define MINUTE (60 * S)
#define HOUR (60 * MINUTE)
#define NOW_S (FAKE_WORLD_UNIX_MS / 1000)
#define LIFE_S INT64_C(7776000) /* of a certificate: 90 days, of which 0.696 go by before this device's place comes */
#define RENEWED_AFTER_S 480
#define SECTORS 4 /* so that the ring goes round */
#define SAMPLES 2000
#define OPERATIONS_MIN 300
#define OPERATIONS_MAX 5000

#define BROKER "mqtts://broker.example:8883"
#define OTHER_PORT "mqtts://broker.example:8884"
#define MISTYPED "mqtts://brokr.example:8883"

static fake_world_t s_world;
static uint32_t s_cuts_seen;

static bool is_one_of(const char *text, const char *const *texts)
{
    while (*texts != NULL && strcmp(text, *texts) != 0) {
        texts++;
    }
    return *texts != NULL;
}

/* After a cut each setting is one that was typed, or what it was before: never a mixture, and never the default where
 * something was set. */
static bool looks_at_settings(const fake_world_t *world)
{
    static const char *const BROKERS[] = {BROKER, MISTYPED, OTHER_PORT, NULL};
    static const char *const INTERVALS[] = {"60", "20", NULL};
    static const char *const NETWORKS[] = {"plant", "yard", "elsewhere", NULL};
    if (world->power_cuts != s_cuts_seen) {
        const config_t *config = &world->app.config;
        s_cuts_seen = world->power_cuts;
        if (world->power.is_off) {
            return false; /* the next cut came in the power-up after this one */
        }
        assert_true(is_one_of(config_text(config, CONFIG_BROKER_URI), BROKERS));
        assert_true(is_one_of(config_text(config, CONFIG_INTERVAL_S), INTERVALS));
        assert_true(is_one_of(config_text(config, CONFIG_WIFI_SSID), NETWORKS));
        /* Of two that were on trial together none is back alone. */
        assert_false(strcmp(config_text(config, CONFIG_WIFI_SSID), "elsewhere") == 0 &&
                     strcmp(config_text(config, CONFIG_BROKER_URI), MISTYPED) != 0);
    }
    return false;
}

static void run(uint64_t for_ms)
{
    do {
        (void)fake_world_run_until(&s_world, for_ms, looks_at_settings);
        for_ms = S; /* what has lost its power in its start knows nothing of its settings */
    } while (s_world.power.is_off);
}

/* Types a setting; what the console has said is set stays so over any cut. */
static bool set(const char *line, config_key_t key, const char *said, const char *value)
{
    s_world.said_bytes = 0;
    s_world.said[0] = '\0';
    fake_world_type(&s_world, line);
    run(S);
    const bool was_said = fake_world_was_said(&s_world, said);
    if (was_said) {
        assert_string_equal(config_text(&s_world.app.config, key), value);
    }
    return was_said;
}

/* A boot, readings, settings that are kept and one that is undone, a renewal, a restart, a broker that dies. */
static void live(void)
{
    fake_world_power_up(&s_world, BOOT_POWER_ON);
    run(3 * MINUTE);
    (void)set("set interval_s 20", CONFIG_INTERVAL_S, "interval_s = 20 (set)", "20");
    run(2 * MINUTE);
    (void)set("set wifi_ssid yard", CONFIG_WIFI_SSID, "wifi_ssid = yard (set)", "yard");
    run(6 * MINUTE); /* the certificate's renewal among them */
    if (set("set broker_uri " MISTYPED, CONFIG_BROKER_URI, "broker_uri = " MISTYPED " (set)", MISTYPED)) {
        (void)set("set wifi_ssid elsewhere", CONFIG_WIFI_SSID, "wifi_ssid = elsewhere (set)", "elsewhere");
    }
    run(21 * MINUTE); /* ten until it is undone, and ten more where a cut began them anew */
    assert_string_not_equal(config_text(&s_world.app.config, CONFIG_BROKER_URI), MISTYPED);
    assert_string_not_equal(config_text(&s_world.app.config, CONFIG_WIFI_SSID), "elsewhere");
    (void)set("set broker_uri " OTHER_PORT, CONFIG_BROKER_URI, "broker_uri = " OTHER_PORT " (set)", OTHER_PORT);
    run(3 * MINUTE);
    fake_world_type(&s_world, "reboot");
    run(3 * MINUTE);
    fake_world_kill_broker(&s_world);
    run(5 * MINUTE);
    s_world.mood = FAKE_BROKER_GOOD;
    run(40 * MINUTE);
}

static bool is_drained(const fake_world_t *world)
{
    return world->app.connection.state == LINK_ONLINE && sender_is_idle(&world->app.sender);
}

static void assert_all_is_well(void)
{
    pair_times_t times = {0};
    size_t len = 0;
    const port_kv_t *kv = &s_world.kv.port;
    s_world.power.cut_at = 0;
    assert_true(fake_world_run_until(&s_world, HOUR, is_drained));
    fake_world_run(&s_world, 5 * MINUTE);
    fake_broker_save_all(&s_world.broker);
    assert_int_equal(fake_world_missing(&s_world), 0);
    assert_int_equal(s_world.broker.two_times, 0);
    assert_int_equal(s_world.broker.two_contents, 0);
    assert_int_equal(s_world.broker.malformed, 0);
    assert_int_equal(s_world.flash.misuses, 0);
    assert_int_equal(s_world.app.outbox.dropped, 0);
    assert_int_equal(s_world.app.config.trial, CONFIG_TRIAL_NONE);
    /* It has renewed, and uses what it got. */
    assert_int_equal(kv->get(kv->ctx, "renewed", &times, sizeof(times), &len), KV_OK);
    assert_int_equal(times.not_after_unix_s, s_world.app.renewal.not_after_unix_s);
    assert_int_equal(s_world.pair, PAIR_RENEWED);
}

static void begin_life(uint64_t seed)
{
    fake_world_init(&s_world, seed, SECTORS, SAMPLES);
    s_world.keeps_log = false;
    s_world.health_every_s = 300; /* what waits while the broker is mistyped must find room */
    s_world.not_before_unix_s = NOW_S - LIFE_S * 696 / 1000 + RENEWED_AFTER_S;
    s_world.not_after_unix_s = s_world.not_before_unix_s + LIFE_S;
    s_cuts_seen = 0;
}

/* The media's operations until its end; 0: fewer than `cut_at`. */
static uint32_t live_with_a_cut(uint32_t cut_at, fake_flash_tear_t tear, fake_kv_cut_t cut, uint32_t next_cut_in)
{
    begin_life(1);
    s_world.power.cut_at = cut_at;
    s_world.flash.tear = tear;
    s_world.kv.cut = cut;
    s_world.next_cut_in = next_cut_in;
    live();
    assert_all_is_well();
    const uint32_t operations = s_world.power.operations;
    const uint32_t cuts = s_world.power_cuts;
    fake_world_free(&s_world);
    return cuts > 0 || cut_at == 0 ? operations : 0;
}

static void a_life_without_a_cut_has_all_that_is_to_be_cut(void **state)
{
    (void)state;
    begin_life(1);
    live();
    assert_true(s_world.power.operations >= OPERATIONS_MIN);
    assert_true(s_world.flash.erases > SECTORS);
    assert_true(s_world.kv.writes >= 10);
    assert_int_equal(s_world.renewals, 1);
    assert_int_equal(s_world.reboots, 1);
    assert_int_equal(s_world.power_cuts, 0);
    assert_string_equal(config_text(&s_world.app.config, CONFIG_BROKER_URI), OTHER_PORT);
    assert_string_equal(config_text(&s_world.app.config, CONFIG_INTERVAL_S), "20");
    assert_string_equal(config_text(&s_world.app.config, CONFIG_WIFI_SSID), "yard");
    assert_all_is_well();
    fake_world_free(&s_world);
}

/* At each write until there is no more: how many there were. */
static uint32_t cut_everywhere(uint32_t variant, uint32_t next_cut_in)
{
    uint32_t cuts = 0;
    while (cuts < OPERATIONS_MAX) {
        const fake_flash_tear_t tear = (fake_flash_tear_t)((cuts + variant) % FAKE_FLASH_TEARS);
        const fake_kv_cut_t cut = variant % 2 == 0 ? FAKE_KV_CUT_KEEPS_OLD : FAKE_KV_CUT_KEEPS_NEW;
        if (live_with_a_cut(cuts + 1, tear, cut, next_cut_in) == 0) {
            break;
        }
        cuts++;
    }
    return cuts;
}

static void power_that_goes_at_any_write_of_a_life_loses_and_doubles_nothing_and_mixes_no_setting(void **state)
{
    (void)state;
    for (uint32_t variant = 0; variant < FAKE_FLASH_TEARS; variant++) {
        assert_in_range(cut_everywhere(variant, 0), OPERATIONS_MIN, OPERATIONS_MAX - 1);
    }
}

/* The first few of them are those of the start itself: its number, what is left of a trial, the outbox's offset. */
static void nor_does_power_that_goes_again_in_the_start_after_it(void **state)
{
    (void)state;
    for (uint32_t next_cut_in = 1; next_cut_in <= 3; next_cut_in++) {
        assert_in_range(cut_everywhere(next_cut_in, next_cut_in), OPERATIONS_MIN, OPERATIONS_MAX - 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_life_without_a_cut_has_all_that_is_to_be_cut),
        cmocka_unit_test(power_that_goes_at_any_write_of_a_life_loses_and_doubles_nothing_and_mixes_no_setting),
        cmocka_unit_test(nor_does_power_that_goes_again_in_the_start_after_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
