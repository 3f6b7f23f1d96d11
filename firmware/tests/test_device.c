/* A whole device in a scripted world. */
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
#define DAY (24 * HOUR)
#define SECTORS 200
#define SAMPLES 20000

static fake_world_t *world_of(void **state)
{
    return *state;
}

static int set_up(void **state)
{
    fake_world_t *world = malloc(sizeof(*world));
    assert_non_null(world);
    fake_world_init(world, 1, SECTORS, SAMPLES);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    fake_world_t *world = *state;
    assert_int_equal(world->flash.misuses, 0);
    assert_int_equal(world->broker.malformed, 0);
    assert_int_equal(world->broker.two_times, 0);
    assert_int_equal(world->broker.two_contents, 0);
    fake_world_free(world);
    free(world);
    return 0;
}

static fake_world_t *powered(void **state)
{
    fake_world_t *world = world_of(state);
    fake_world_power_up(world, BOOT_POWER_ON);
    return world;
}

static bool has_published(const fake_world_t *world)
{
    return world->broker.received > 0;
}

static bool is_connected(const fake_world_t *world)
{
    return world->app.connection.state == LINK_ONLINE;
}

static bool is_drained(const fake_world_t *world)
{
    return is_connected(world) && sender_is_idle(&world->app.sender);
}

static bool is_measured(const fake_world_t *world)
{
    return world->next_serial > 1;
}

/* All is well again, and what is kept has had its time to be stored. */
static void settle(fake_world_t *world)
{
    world->mood = FAKE_BROKER_GOOD;
    world->failure = FAILURE_NONE;
    fake_world_network(world, true);
    assert_true(fake_world_run_until(world, 2 * HOUR, is_drained));
    fake_world_run(world, 5 * MINUTE);
    assert_true(fake_world_run_until(world, 10 * MINUTE, is_drained));
    fake_broker_save_all(&world->broker);
}

static void assert_nothing_is_missing(fake_world_t *world)
{
    settle(world);
    assert_int_equal(world->app.outbox.dropped, 0);
    assert_int_equal(world->app.lost, 0);
    assert_int_equal(fake_world_missing(world), 0);
}

/* Power-up */

static void the_first_publish_is_within_three_seconds_of_power_up(void **state)
{
    fake_world_t *world = world_of(state);
    for (uint64_t seed = 0; seed < 50; seed++) {
        world->random = seed;
        world->broker.received = 0;
        if (seed == 0) {
            fake_world_power_up(world, BOOT_POWER_ON);
        } else {
            fake_world_cut_power(world);
        }
        assert_true(fake_world_run_until(world, 3 * S, has_published));
    }
    assert_nothing_is_missing(world);
}

static void it_says_that_it_is_there_and_listens_for_updates(void **state)
{
    fake_world_t *world = powered(state);
    assert_true(fake_world_run_until(world, 3 * S, has_published));
    assert_int_equal(world->subscribed, 3);
    assert_non_null(strstr(world->broker.presence, "\"status\":\"online\""));
    assert_non_null(strstr(world->broker.presence, "\"firmware\":\"1.4.0\""));
    assert_non_null(strstr(world->broker.presence, "\"timestamp\":\"2026-"));
    assert_non_null(strstr(world->will, "\"status\":\"offline\""));
    assert_null(strstr(world->will, "timestamp"));
}

static void it_measures_within_two_seconds_without_any_network(void **state)
{
    fake_world_t *world = world_of(state);
    world->network_up = false;
    fake_world_power_up(world, BOOT_POWER_ON);
    assert_true(fake_world_run_until(world, 2 * S + 1, is_measured));
}

static void a_round_is_the_boards_devices_and_then_the_devices_own_health(void **state)
{
    fake_world_t *world = world_of(state);
    world->devices = 3;
    fake_world_power_up(world, BOOT_POWER_ON);
    fake_world_run(world, 10 * MINUTE);
    assert_in_range(world->rounds, 9, 12);
    assert_int_equal(world->next_serial - 1, 3 * world->rounds);
    assert_nothing_is_missing(world);
    fake_broker_save_all(&world->broker);
    assert_int_equal(fake_broker_stored(&world->broker), 4 * world->rounds);
}

static void its_own_readings_go_with_the_first_round_and_then_every_five_minutes(void **state)
{
    fake_world_t *world = world_of(state);
    world->health_every_s = 0; /* as a device comes */
    fake_world_power_up(world, BOOT_POWER_ON);
    fake_world_run(world, HOUR);
    assert_nothing_is_missing(world);
    fake_broker_save_all(&world->broker);
    assert_in_range(fake_broker_stored(&world->broker) - world->rounds, 12, 13);
}

static void a_message_a_minute_and_no_more_turns_than_that_takes(void **state)
{
    fake_world_t *world = powered(state);
    fake_world_run(world, HOUR);
    const uint64_t turns = world->turns;
    fake_world_run(world, DAY);
    assert_in_range(world->rounds, 24 * 60 + 60 - 3, 24 * 60 + 60 + 3);
    /* Two samples and their end, two answers, and a few looks at the clock a minute. */
    assert_true(world->turns - turns < 24 * 60 * 12);
    assert_true(outbox_depth(&world->app.outbox) < 8);
    assert_nothing_is_missing(world);
}

static void an_idle_device_hardly_wakes_up(void **state)
{
    fake_world_t *world = world_of(state);
    fake_kv_put_text(&world->kv, "interval_s", "86400");
    fake_world_power_up(world, BOOT_POWER_ON);
    fake_world_run(world, MINUTE);
    const uint64_t turns = world->turns;
    fake_world_run(world, 12 * HOUR);
    assert_true(world->turns - turns <= 12 * HOUR / LOOP_WAIT_MAX_MS + 100);
    assert_int_equal(world->radio_restarts, 0); /* nothing to publish is no fault */
    assert_int_equal(world->reboots, 0);
}

static void a_device_without_a_network_does_not_spin(void **state)
{
    fake_world_t *world = world_of(state);
    world->network_up = false;
    fake_world_power_up(world, BOOT_POWER_ON);
    fake_world_run(world, 6 * HOUR);
    assert_true(world->turns < 6 * 60 * 8);
}

/* The clock */

static void readings_of_before_the_clock_was_set_are_stamped_afterwards_with_their_own_time(void **state)
{
    fake_world_t *world = world_of(state);
    world->sntp_after_ms = 20 * MINUTE;
    world->drift_ppm = world->clock_noise_ms = 0;
    fake_world_power_up(world, BOOT_POWER_ON);
    assert_true(fake_world_run_until(world, 3 * S, is_measured));
    const int64_t first_unix_s = fake_world_unix_ms(world) / 1000;
    fake_world_run(world, 19 * MINUTE);
    assert_int_equal(world->broker.received, 0);
    assert_in_range(world->rounds, 18, 21);
    fake_world_run(world, 5 * MINUTE);
    assert_nothing_is_missing(world);
    assert_int_equal(world->broker.time_of[1], first_unix_s);
    for (uint32_t serial = 2; serial <= 18; serial++) {
        assert_int_equal(world->broker.time_of[serial] - world->broker.time_of[serial - 1], 60);
    }
}

static void a_reading_keeps_its_time_when_the_clock_changes_after_it_was_sent(void **state)
{
    fake_world_t *world = world_of(state);
    world->sntp_after_ms = 5 * MINUTE;
    fake_world_power_up(world, BOOT_POWER_ON);
    fake_world_run(world, 5 * MINUTE + 10 * S);
    assert_true(world->broker.received > 4);
    fake_world_set_clock(world, -7777); /* a step back before anything is discarded */
    fake_world_run(world, S);
    fake_world_hang_up(world);
    fake_world_run(world, 20 * S);
    assert_true(world->broker.copies > 4); /* they were sent again, and tear_down looks at their times */
    assert_nothing_is_missing(world);
}

static void a_reading_that_waited_for_the_clock_keeps_its_time_over_a_reboot(void **state)
{
    fake_world_t *world = world_of(state);
    world->sntp_after_ms = 5 * MINUTE;
    world->clock_off_ms = 1234; /* the first word counts, also if a later one is better */
    fake_world_power_up(world, BOOT_POWER_ON);
    fake_world_run(world, 5 * MINUTE + 10 * S);
    assert_true(world->broker.received > 4);
    world->clock_off_ms = 0;
    world->sntp_after_ms = 100;
    fake_world_cut_power(world);
    fake_world_run(world, MINUTE);
    assert_true(world->broker.copies > 4);
    assert_nothing_is_missing(world);
}

static void after_a_clock_that_jumps_back_an_hour_no_two_samples_share_a_second(void **state)
{
    fake_world_t *world = powered(state);
    for (int jump = 0; jump < 6; jump++) {
        fake_world_run(world, 2 * HOUR);
        fake_world_set_clock(world, world->clock_off_ms - (int64_t)HOUR);
    }
    fake_world_run(world, 8 * HOUR);
    assert_nothing_is_missing(world);
    assert_true(fake_world_logged(world, "The clock stepped"));
    assert_int_equal(fake_broker_stored(&world->broker), 2 * world->rounds);
}

static void nor_with_the_shortest_interval_and_two_jumps(void **state)
{
    fake_world_t *world = world_of(state);
    fake_kv_put_text(&world->kv, "interval_s", "5");
    fake_world_power_up(world, BOOT_POWER_ON);
    for (int jump = 0; jump < 2; jump++) {
        fake_world_run(world, HOUR + 10 * MINUTE);
        fake_world_set_clock(world, world->clock_off_ms - (int64_t)HOUR);
    }
    fake_world_run(world, 2 * HOUR);
    assert_nothing_is_missing(world);
    assert_int_equal(fake_broker_stored(&world->broker), 2 * world->rounds);
}

static void a_clock_that_wanders_costs_no_reading(void **state)
{
    fake_world_t *world = world_of(state);
    world->sntp_every_ms = 7 * S;
    world->clock_noise_ms = 450; /* within what counts as an adjustment, either way */
    fake_kv_put_text(&world->kv, "interval_s", "5");
    fake_world_power_up(world, BOOT_POWER_ON);
    fake_world_run(world, 3 * HOUR);
    assert_nothing_is_missing(world);
    assert_int_equal(fake_broker_stored(&world->broker), 2 * world->rounds);
}

static void a_server_that_answers_garbage_stamps_nothing(void **state)
{
    fake_world_t *world = world_of(state);
    world->clock_garbage = true;
    world->sntp_every_ms = 10 * S;
    fake_world_power_up(world, BOOT_POWER_ON);
    fake_world_run(world, 10 * MINUTE);
    assert_int_equal(world->broker.received, 0);
    assert_false(world->app.clock.known);
    world->clock_garbage = false;
    assert_nothing_is_missing(world);
}

/* Outages */

static void a_broker_that_is_killed_after_each_answer_costs_nothing(void **state)
{
    fake_world_t *world = powered(state);
    for (int kill = 0; kill < 40; kill++) {
        fake_world_run(world, 20 * S + fake_world_below(world, 200 * S));
        fake_world_kill_broker(world);
        fake_world_run(world, fake_world_below(world, 60 * S));
        world->mood = FAKE_BROKER_GOOD;
    }
    assert_int_equal(world->broker.kills, 40);
    assert_nothing_is_missing(world);
    assert_true(world->broker.copies > 20);
}

static void a_broker_that_loses_power_with_its_network_unheard_costs_nothing(void **state)
{
    fake_world_t *world = powered(state);
    for (int kill = 0; kill < 40; kill++) {
        fake_world_run(world, 60 * S + fake_world_below(world, 300 * S));
        fake_world_black_hole(world, true);
        fake_broker_kill(&world->broker, world->now_ms);
        fake_world_run(world, fake_world_below(world, 200 * S));
        fake_world_black_hole(world, false);
        fake_world_hang_up(world);
    }
    assert_nothing_is_missing(world);
}

static void a_network_that_is_away_for_a_day_loses_nothing_and_sends_nothing_with_two_times(void **state)
{
    fake_world_t *world = powered(state);
    fake_world_run(world, 10 * MINUTE);
    fake_world_network(world, false);
    fake_world_run(world, DAY);
    assert_true(world->reboots >= 20); /* the ladder: each hour */
    assert_true(outbox_depth(&world->app.outbox) >= 2 * 24 * 60);
    fake_world_network(world, true);
    const uint64_t back_ms = world->now_ms;
    fake_world_run(world, 1); /* it hears of it */
    assert_true(fake_world_run_until(world, HOUR, is_drained));
    assert_true(world->now_ms - back_ms < 2 * MINUTE); /* a backlog of a day, with no pauses made up */
    assert_nothing_is_missing(world);
    assert_int_equal(fake_broker_stored(&world->broker), 2 * world->rounds);
}

static void a_device_that_never_knew_the_time_does_not_throw_its_readings_away_by_a_restart(void **state)
{
    fake_world_t *world = world_of(state);
    world->network_up = false;
    fake_world_power_up(world, BOOT_POWER_ON);
    fake_world_run(world, 20 * HOUR);
    assert_int_equal(world->reboots, 0);
    assert_true(world->radio_restarts > 100);
    assert_nothing_is_missing(world);
}

static void a_full_outbox_lets_the_oldest_go_and_counts_them(void **state)
{
    fake_world_t *world = world_of(state);
    fake_world_power_up(world, BOOT_POWER_ON);
    fake_world_run(world, 10 * MINUTE);
    fake_world_network(world, false);
    fake_world_run(world, 4 * DAY);
    assert_true(world->app.health.dropped > 0);
    settle(world);
    /* What was sent before; then the gap; then all to the end. */
    const uint32_t missing = fake_world_missing(world);
    uint32_t serial = 1;
    while (fake_broker_has(&world->broker, serial)) {
        serial++;
    }
    assert_in_range(serial, 8, 12);
    assert_in_range(missing, 24 * 60, 72 * 60);
    for (uint32_t i = 0; i < missing; i++, serial++) {
        assert_false(fake_broker_has(&world->broker, serial));
    }
    for (; serial < world->next_serial; serial++) {
        assert_true(fake_broker_has(&world->broker, serial));
    }
}

static void a_broker_that_accepts_and_drops_at_once_is_not_hammered(void **state)
{
    fake_world_t *world = world_of(state);
    world->mood = FAKE_BROKER_DROPS;
    fake_world_power_up(world, BOOT_POWER_ON);
    fake_world_run(world, 50 * MINUTE);
    assert_true(world->connects < 60);
    assert_true(world->connects > 10);
    assert_nothing_is_missing(world);
    assert_in_range(fake_world_logged_times(world, "The connection to the broker was lost"), 1, 2);
}

static void a_broker_that_accepts_and_never_answers_is_given_up_and_tried_again(void **state)
{
    fake_world_t *world = world_of(state);
    world->mood = FAKE_BROKER_SILENT;
    fake_world_power_up(world, BOOT_POWER_ON);
    fake_world_run(world, 9 * MINUTE);
    assert_in_range(world->connects, 3, 16);
    assert_true(fake_world_logged(world, "The broker accepts and does not answer"));
    assert_int_equal(world->run, LED_BLINK_SLOW);
    assert_nothing_is_missing(world);
}

static void a_broker_that_never_acknowledges_is_left_and_tried_again(void **state)
{
    fake_world_t *world = world_of(state);
    world->mood = FAKE_BROKER_NEVER_ACKS;
    fake_world_power_up(world, BOOT_POWER_ON);
    fake_world_run(world, 9 * MINUTE);
    assert_in_range(world->connects, 4, 16);
    assert_int_equal(world->app.acknowledged, 0);
    assert_nothing_is_missing(world);
}

static void a_client_that_takes_no_publish_is_started_anew(void **state)
{
    fake_world_t *world = powered(state);
    world->loses_publish_call = true;
    fake_world_run(world, 3 * MINUTE);
    assert_true(world->connects > 1);
    world->loses_publish_call = false;
    assert_nothing_is_missing(world);
}

static void publishes_that_are_refused_are_all_there_in_the_end(void **state)
{
    const uint8_t reasons[] = {0x10, 0x80, 0x83, 0x87, 0x97};
    fake_world_t *world = powered(state);
    for (size_t i = 0; i < sizeof(reasons); i++) {
        world->refuse_every = 3;
        world->reason = reasons[i];
        fake_world_run(world, 20 * MINUTE);
    }
    assert_true(world->app.sender.refused > 20);
    world->refuse_every = 0;
    assert_nothing_is_missing(world);
    assert_int_equal(world->app.sender.passed_over, 0);
}

static void a_platform_that_is_down_for_a_night_makes_no_device_restart(void **state)
{
    fake_world_t *world = powered(state);
    fake_world_run(world, 10 * MINUTE);
    world->refuse_every = 1;
    world->reason = 0x10; /* the broker is there, and nobody listens */
    fake_world_run(world, 8 * HOUR);
    assert_int_equal(world->reboots, 0);
    assert_int_equal(world->radio_restarts, 0);
    world->refuse_every = 0;
    assert_nothing_is_missing(world);
}

static void a_radio_that_is_stuck_is_restarted(void **state)
{
    fake_world_t *world = world_of(state);
    world->radio_stuck = true;
    fake_world_power_up(world, BOOT_POWER_ON);
    assert_true(fake_world_run_until(world, 12 * MINUTE, is_connected));
    assert_int_equal(world->radio_restarts, 1);
    assert_true(fake_world_logged(world, "the radio is restarted"));
    assert_nothing_is_missing(world);
}

static void a_modem_that_is_stuck_is_restarted_after_the_radio(void **state)
{
    fake_world_t *world = world_of(state);
    world->modem_stuck = true;
    world->board.has_modem = true;
    fake_world_power_up(world, BOOT_POWER_ON);
    assert_true(fake_world_run_until(world, 35 * MINUTE, is_connected));
    assert_int_equal(world->radio_restarts, 2);
    assert_int_equal(world->modem_restarts, 1);
    assert_true(fake_world_logged(world, "the modem is restarted"));
    assert_nothing_is_missing(world);
}

static void a_device_that_is_stuck_restarts_as_the_last_rung(void **state)
{
    fake_world_t *world = powered(state);
    fake_world_run(world, 10 * MINUTE);
    world->device_stuck = true;
    fake_world_network(world, false);
    fake_world_network(world, true);
    fake_world_run(world, 59 * MINUTE);
    assert_int_equal(world->reboots, 0);
    fake_world_run(world, 3 * MINUTE);
    assert_int_equal(world->reboots, 1);
    assert_int_equal(world->reason_of_boot, BOOT_RECOVERY);
    assert_true(is_connected(world));
    assert_nothing_is_missing(world);
}

typedef struct {
    failure_t failure;
    const char *sentence;
    led_t fault;
} failure_row_t;

static void each_failure_is_told_apart_in_the_log_and_by_the_light_and_said_once_an_hour(void **state)
{
    const failure_row_t rows[] = {
        {FAILURE_DNS, "name leads nowhere", LED_BLINK_SLOW},
        {FAILURE_TCP, "refuses the connection", LED_BLINK_SLOW},
        {FAILURE_TLS_EXPIRED, "has run out, or this device's clock is wrong (20", LED_BLINK_FAST},
        {FAILURE_TLS_HOST, "of another host", LED_BLINK_FAST},
        {FAILURE_TLS_AUTHORITY, "of no authority", LED_BLINK_FAST},
        {FAILURE_TLS_OTHER, "agree on no TLS", LED_BLINK_FAST},
        {FAILURE_MQTT_REFUSED, "turns this device away", LED_BLINK_FAST},
        {FAILURE_MQTT_UNAVAILABLE, "takes nobody", LED_BLINK_SLOW},
        {FAILURE_TIMEOUT, "does not answer", LED_BLINK_SLOW},
        {FAILURE_CREDENTIALS, "provision it anew", LED_BLINK_FAST},
    };
    fake_world_t *world = powered(state);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_true(fake_world_run_until(world, 10 * MINUTE, is_drained));
        assert_int_equal(world->run, LED_ON);
        assert_int_equal(world->fault, LED_OFF);
        memset(world->log, 0, sizeof(world->log));
        world->log_bytes = 0;
        world->mood = FAKE_BROKER_DOWN;
        world->failure = rows[i].failure;
        fake_world_hang_up(world);
        fake_world_run(world, 30 * MINUTE);
        assert_int_equal(fake_world_logged_times(world, rows[i].sentence), 1);
        assert_int_equal(world->fault, rows[i].fault);
        assert_int_equal(world->run, LED_BLINK_SLOW);
        world->reboots = 0;
        fake_world_run(world, 35 * MINUTE); /* over the hour: said again */
        assert_int_equal(fake_world_logged_times(world, rows[i].sentence), 2);
        world->mood = FAKE_BROKER_GOOD;
        assert_true(fake_world_run_until(world, 10 * MINUTE, is_drained));
        assert_true(world->reboots > 0 || fake_world_logged(world, "The broker acknowledges again"));
    }
    assert_nothing_is_missing(world);
}

/* Power and storage */

static void power_that_goes_at_any_flash_operation_costs_at_most_the_sample_of_that_step(void **state)
{
    fake_world_t *world = powered(state);
    for (uint32_t cut = 1; cut <= 300; cut++) {
        world->flash.cut_at = fake_flash_operations(&world->flash) + 1 + fake_world_below(world, 12);
        world->flash.tear = (fake_flash_tear_t)(cut % FAKE_FLASH_TEARS);
        fake_world_run(world, MINUTE + fake_world_below(world, 5 * MINUTE));
    }
    assert_true(world->power_cuts > 150);
    world->flash.cut_at = 0;
    settle(world);
    assert_int_equal(fake_world_missing(world), 0);
}

static void power_that_goes_again_and_again_before_the_clock_is_set_loses_no_stamped_reading(void **state)
{
    fake_world_t *world = powered(state);
    fake_world_run(world, 10 * MINUTE);
    fake_world_network(world, false);
    fake_world_run(world, 30 * MINUTE);
    const uint32_t stamped = world->next_serial;
    for (int i = 0; i < 20; i++) {
        fake_world_cut_power(world);
        fake_world_run(world, 90 * S);
    }
    settle(world);
    for (uint32_t serial = 1; serial < stamped; serial++) {
        assert_true(fake_broker_has(&world->broker, serial));
    }
    /* What was measured in a boot that never knew the time has none, and that is counted. */
    assert_true(world->app.outbox.dropped > 0);
}

static void a_flash_that_fails_for_good_leaves_a_device_that_sends_what_it_can(void **state)
{
    fake_world_t *world = powered(state);
    fake_world_run(world, 10 * MINUTE);
    world->flash.fail_writes_from = world->flash.writes + 1;
    world->flash.fail_erases_from = world->flash.erases + 1;
    const uint32_t from = world->next_serial;
    fake_world_run(world, 30 * MINUTE);
    assert_true(world->app.storage_failed);
    assert_int_equal(world->fault, LED_ON);
    assert_true(fake_world_logged(world, "The flash does not take"));
    fake_broker_save_all(&world->broker);
    for (uint32_t serial = from; serial < world->next_serial - 1; serial++) {
        assert_true(fake_broker_has(&world->broker, serial));
    }
    fake_world_network(world, false);
    fake_world_run(world, 10 * MINUTE);
    assert_true(world->app.lost > 0);
    fake_world_network(world, true);
    world->flash.fail_writes_from = world->flash.fail_erases_from = 0;
    fake_world_run(world, 2 * HOUR); /* it is tried ever more seldom */
    assert_false(world->app.storage_failed);
    assert_true(fake_world_logged(world, "The flash takes readings again"));
}

static void without_a_flash_from_the_start_it_measures_and_sends_and_says_so(void **state)
{
    fake_world_t *world = world_of(state);
    world->flash.fail_reads = true;
    fake_world_power_up(world, BOOT_POWER_ON);
    fake_world_run(world, 30 * MINUTE);
    assert_false(world->app.has_outbox);
    assert_true(fake_world_logged(world, "The flash does not take"));
    fake_broker_save_all(&world->broker);
    for (uint32_t serial = 3; serial < world->next_serial - 1; serial++) {
        assert_true(fake_broker_has(&world->broker, serial));
    }
    assert_true(world->app.acknowledged > 50);
    assert_int_equal(world->radio_restarts, 0);
    assert_true(world->app.health.storage_failures > 0);
}

static void a_kv_that_can_not_be_read_leaves_a_device_that_runs_on_the_factorys_settings(void **state)
{
    fake_world_t *world = world_of(state);
    world->kv.fail_gets = true;
    world->kv.fail_from_write = 1;
    fake_world_power_up(world, BOOT_POWER_ON);
    assert_nothing_is_missing(world);
}

static void power_that_goes_at_any_write_of_a_trial_leaves_a_device_that_connects(void **state)
{
    uint32_t cuts = 0;
    fake_world_t *world = world_of(state);
    for (uint32_t write = 1; write <= 12; write++) {
        for (int cut = FAKE_KV_CUT_KEEPS_OLD; cut <= FAKE_KV_CUT_KEEPS_NEW; cut++) {
            fake_world_free(world);
            fake_world_init(world, write, SECTORS, SAMPLES);
            fake_world_power_up(world, BOOT_POWER_ON);
            fake_world_run(world, 5 * MINUTE);
            fake_world_type(world, "set broker_uri mqtts://brokr.example:8883");
            world->kv.cut = (fake_kv_cut_t)cut;
            world->kv.cut_at_write = world->kv.writes + write;
            fake_world_run(world, 25 * MINUTE);
            cuts += world->power_cuts;
            assert_true(is_connected(world));
            assert_string_equal(config_text(&world->app.config, CONFIG_BROKER_URI), "mqtts://broker.example:8883");
            assert_nothing_is_missing(world);
        }
    }
    assert_in_range(cuts, 6, 22); /* and the last of them were not reached: all were tried */
}

/* Settings and console */

static void a_new_interval_counts_at_once(void **state)
{
    fake_world_t *world = powered(state);
    fake_world_run(world, 10 * MINUTE);
    fake_world_type(world, "set interval_s 5");
    fake_world_run(world, S);
    const uint32_t presences = world->broker.presences;
    const uint32_t rounds = world->rounds;
    fake_world_run(world, 5 * MINUTE);
    assert_in_range(world->rounds - rounds, 58, 62);
    assert_true(presences >= 2);
    assert_non_null(strstr(world->broker.presence, "\"interval_s\":5"));
    assert_nothing_is_missing(world);
}

static void a_device_code_counts_from_the_next_sample_on(void **state)
{
    fake_world_t *world = powered(state);
    fake_world_type(world, "set device_code PUMP-7");
    fake_world_type(world, "set device_code PUMP-7");
    fake_world_run(world, 2 * MINUTE);
    assert_string_equal(world->loop.sample.device_code, "");
    assert_string_equal(config_text(&world->app.config, CONFIG_DEVICE_CODE), "PUMP-7");
    assert_nothing_is_missing(world);
}

static void a_resend_window_counts_at_once(void **state)
{
    fake_world_t *world = powered(state);
    fake_world_type(world, "set resend_window_s 30");
    fake_world_run(world, MINUTE);
    assert_int_equal(world->app.sender.window_s, 30);
}

static void a_broker_that_is_mistyped_is_undone_after_ten_minutes_and_nothing_is_lost(void **state)
{
    fake_world_t *world = powered(state);
    fake_world_run(world, 5 * MINUTE);
    fake_world_type(world, "set broker_uri mqtts://brokr.example:8883");
    fake_world_run(world, 9 * MINUTE);
    assert_false(is_connected(world));
    assert_non_null(strstr(world->broker.presence, "offline")); /* it said goodbye */
    fake_world_run(world, 2 * MINUTE);
    assert_true(is_connected(world));
    assert_int_equal(world->app.undone, 1);
    assert_true(fake_world_logged(world, "the former ones are back"));
    assert_false(fake_world_logged(world, "they stay"));
    assert_nothing_is_missing(world);
}

static void also_when_it_restarts_meanwhile(void **state)
{
    fake_world_t *world = powered(state);
    fake_world_run(world, 5 * MINUTE);
    fake_world_type(world, "set broker_uri mqtts://brokr.example:8883");
    fake_world_run(world, 5 * MINUTE);
    fake_world_cut_power(world);
    fake_world_run(world, 12 * MINUTE);
    assert_true(is_connected(world));
    assert_nothing_is_missing(world);
}

static void a_change_that_is_undone_at_power_up_is_said_too(void **state)
{
    fake_world_t *world = powered(state);
    fake_world_run(world, 5 * MINUTE);
    fake_world_type(world, "set broker_uri mqtts://brokr.example:8883");
    for (int boots = 0; boots <= CONFIG_TRIAL_BOOTS_MAX; boots++) {
        assert_false(fake_world_logged(world, "the former ones are back"));
        fake_world_run(world, 10 * S);
        fake_world_cut_power(world);
    }
    fake_world_run(world, MINUTE);
    assert_int_equal(fake_world_logged_times(world, "the former ones are back"), 1);
    assert_true(is_connected(world));
    assert_nothing_is_missing(world);
}

static void a_broker_that_acknowledges_is_kept(void **state)
{
    fake_world_t *world = powered(state);
    fake_world_run(world, 5 * MINUTE);
    world->host = "other.example";
    fake_world_type(world, "set broker_uri mqtts://other.example:8883");
    fake_world_run(world, 30 * MINUTE);
    assert_true(is_connected(world));
    assert_int_equal(world->app.undone, 0);
    assert_int_equal(fake_world_logged_times(world, "a publish was acknowledged: they stay"), 1);
    fake_world_cut_power(world);
    fake_world_run(world, 30 * MINUTE);
    assert_string_equal(config_text(&world->app.config, CONFIG_BROKER_URI), "mqtts://other.example:8883");
    assert_nothing_is_missing(world);
}

static void another_wifi_is_joined_at_once(void **state)
{
    fake_world_t *world = powered(state);
    fake_world_run(world, 5 * MINUTE);
    assert_string_equal(world->ssid, "plant");
    fake_world_type(world, "set wifi_ssid office");
    fake_world_run(world, 20 * S);
    assert_string_equal(world->ssid, "office");
    assert_int_equal(world->network_starts, 2);
    assert_true(is_connected(world));
    assert_nothing_is_missing(world);
}

static void status_says_how_it_is(void **state)
{
    fake_world_t *world = powered(state);
    fake_world_type(world, "status");
    fake_world_run(world, S);
    assert_true(fake_world_was_said(world, "clock: not known"));
    assert_true(fake_world_was_said(world, "connection: no network; last failure: none"));
    fake_world_run(world, 5 * MINUTE);
    fake_world_type(world, "status");
    fake_world_run(world, S);
    assert_true(fake_world_was_said(world, "GW-1: dcu-0080 C, firmware 1.4.0, boot 1"));
    assert_true(fake_world_was_said(world, "connection: connected"));
    assert_true(fake_world_was_said(world, "clock: 2026-"));
    assert_true(fake_world_was_said(world, "the flash is good"));
}

static void help_fits_into_what_can_be_said_at_once(void **state)
{
    fake_world_t *world = powered(state);
    fake_world_type(world, "help");
    fake_world_run(world, S);
    assert_true(fake_world_was_said(world, "reboot"));
    assert_true(fake_world_was_said(world, "ota_url")); /* its last line */
    fake_world_type(world, "show");
    fake_world_run(world, S);
    assert_true(fake_world_was_said(world, "interval_s = 60"));
}

static void test_measures_sends_and_says_that_all_is_well(void **state)
{
    fake_world_t *world = powered(state);
    fake_world_run(world, 5 * MINUTE + 30 * S);
    const uint32_t rounds = world->rounds;
    fake_world_type(world, "test");
    fake_world_run(world, 5 * S);
    assert_int_equal(world->rounds, rounds + 1);
    assert_true(fake_world_was_said(world, "  temperatura 23.5 °C"));
    assert_true(fake_world_was_said(world, "acknowledged a publish: all is well"));
    assert_nothing_is_missing(world);
}

static void test_without_a_broker_says_that_nothing_was_acknowledged(void **state)
{
    fake_world_t *world = world_of(state);
    world->mood = FAKE_BROKER_DOWN;
    fake_world_power_up(world, BOOT_POWER_ON);
    fake_world_run(world, 5 * MINUTE);
    const uint64_t connects = world->connects;
    fake_world_type(world, "test");
    fake_world_run(world, 10);
    assert_int_equal(world->connects, connects + 1); /* at once, whatever the backoff says */
    fake_world_run(world, 2 * MINUTE);
    assert_true(fake_world_was_said(world, "No publish was acknowledged within a minute"));
    assert_nothing_is_missing(world);
}

static void reboot_says_goodbye_restarts_and_loses_nothing(void **state)
{
    fake_world_t *world = powered(state);
    fake_world_run(world, 5 * MINUTE);
    fake_world_type(world, "reboot");
    fake_world_run(world, 10);
    assert_int_equal(world->reboots, 1);
    assert_non_null(strstr(world->broker.presence, "offline"));
    fake_world_run(world, 5 * S);
    assert_int_equal(world->reason_of_boot, BOOT_CONSOLE);
    assert_non_null(strstr(world->broker.presence, "online"));
    assert_nothing_is_missing(world);
}

static void a_program_that_ends_says_goodbye(void **state)
{
    fake_world_t *world = powered(state);
    fake_world_run(world, 5 * MINUTE);
    loop_end(&world->loop);
    assert_false(world->connected);
    assert_non_null(strstr(world->broker.presence, "\"status\":\"offline\",\"timestamp\":"));
}

static void without_a_broker_in_its_settings_it_says_so_and_does_not_restart(void **state)
{
    fake_world_t *world = world_of(state);
    fake_kv_init(&world->factory);
    fake_world_power_up(world, BOOT_POWER_ON);
    fake_world_run(world, 5 * HOUR);
    assert_int_equal(world->connects, 0);
    assert_int_equal(world->reboots, 0);
    assert_true(fake_world_logged(world, "No broker is configured"));
    assert_int_equal(world->fault, LED_BLINK_FAST);
    fake_world_type(world, "set broker_uri mqtts://broker.example:8883");
    fake_world_run(world, 10 * S);
    assert_true(is_connected(world));
    assert_nothing_is_missing(world);
}

/* Certificates */

static void a_certificate_is_renewed_in_time_and_used_at_a_calm_moment(void **state)
{
    fake_world_t *world = world_of(state);
    world->not_before_unix_s = FAKE_WORLD_UNIX_MS / 1000 - 60 * 86400;
    world->not_after_unix_s = FAKE_WORLD_UNIX_MS / 1000 + 30 * 86400; /* its two thirds begin now */
    fake_world_power_up(world, BOOT_POWER_ON);
    fake_world_run(world, 8 * DAY);
    assert_int_equal(world->renewals, 1);
    assert_string_equal(world->renew_url, "https://broker.example:8070");
    assert_int_equal(world->connects, 2);
    assert_true(fake_world_logged(world, "The certificate was renewed, until 20"));
    assert_nothing_is_missing(world);
}

static void a_renewal_that_fails_is_tried_again_until_the_end_and_then_no_more(void **state)
{
    fake_world_t *world = world_of(state);
    world->renews = false;
    world->not_before_unix_s = FAKE_WORLD_UNIX_MS / 1000 - 89 * 86400;
    world->not_after_unix_s = FAKE_WORLD_UNIX_MS / 1000 + 1 * 86400;
    fake_world_power_up(world, BOOT_POWER_ON);
    fake_kv_put_text(&world->kv, "ota_url", "https://updates.example:8070");
    fake_world_run(world, 2 * DAY);
    assert_true(fake_world_logged_times(world, "The certificate was not renewed") > 5);
    assert_true(fake_world_logged_times(world, "The certificate was not renewed") < 60);
    assert_int_equal(fake_world_logged_times(world, "This device's certificate ran out"), 1);
    assert_nothing_is_missing(world);
}

/* Commands */

static void commands_are_parsed_counted_and_kept(void **state)
{
    static const char UPDATE[] = "{\"execution_id\":\"e-1\",\"version\":\"1.5.0\",\"url\":\"https://u.example/x.bin\","
                                 "\"manifest\":\"YQ.Yg.Yw\",\"ticket\":\"YQ.Yg.ZA\"}";
    static uint8_t megabyte[1 << 20];
    fake_world_t *world = powered(state);
    fake_world_run(world, MINUTE);
    fake_world_message(world, "ota/GW-1/update", UPDATE, strlen(UPDATE));
    fake_world_run(world, S);
    assert_int_equal(world->app.commands, 1);
    assert_int_equal(world->app.command.type, COMMAND_UPDATE);
    assert_string_equal(world->app.command.version, "1.5.0");
    assert_null(world->app.command.manifest); /* it was in the payload, which is gone */
    fake_world_message(world, "ota/update", "{}", 2);
    fake_world_run(world, S);
    assert_int_equal(world->app.commands, 2);
    assert_int_equal(world->app.command.type, COMMAND_CHECK_NOW);
    fake_world_message(world, "ota/GW-2/update", UPDATE, strlen(UPDATE));
    fake_world_run(world, S);
    fake_world_message(world, "ota/GW-1/update", megabyte, sizeof(megabyte));
    fake_world_run(world, S);
    assert_int_equal(world->app.commands, 2);
    assert_int_equal(world->app.commands_refused, 2);
    assert_true(fake_world_logged(world, "An update was announced"));
    assert_true(fake_world_logged(world, "Asked to look for an update"));
    assert_true(fake_world_logged(world, "A command was refused: "));
    assert_nothing_is_missing(world);
}

/* Budget */

static void a_device_is_within_its_memory(void **state)
{
    (void)state;
    const struct {
        const char *name;
        size_t bytes;
    } parts[] = {
        {"app_t", sizeof(app_t)},         {"  config_t", sizeof(config_t)},         {"  outbox_t", sizeof(outbox_t)},
        {"  sender_t", sizeof(sender_t)}, {"  connection_t", sizeof(connection_t)}, {"  renewal_t", sizeof(renewal_t)},
        {"  health_t", sizeof(health_t)}, {"  command_t", sizeof(command_t)},       {"loop_t", sizeof(loop_t)},
        {"sample_t", sizeof(sample_t)},   {"app_updates_t", sizeof(app_updates_t)},
    };
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        print_message("%-16s %6u bytes\n", parts[i].name, (unsigned)parts[i].bytes);
    }
    /* What the chip has room for beside TLS: the table of docs/architecture.md, "Memory". More than half is updates. */
    assert_true(sizeof(app_t) <= 28 * 1024);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_first_publish_is_within_three_seconds_of_power_up),
        TEST(it_says_that_it_is_there_and_listens_for_updates),
        TEST(it_measures_within_two_seconds_without_any_network),
        TEST(a_round_is_the_boards_devices_and_then_the_devices_own_health),
        TEST(its_own_readings_go_with_the_first_round_and_then_every_five_minutes),
        TEST(a_message_a_minute_and_no_more_turns_than_that_takes),
        TEST(an_idle_device_hardly_wakes_up),
        TEST(a_device_without_a_network_does_not_spin),
        TEST(readings_of_before_the_clock_was_set_are_stamped_afterwards_with_their_own_time),
        TEST(a_reading_keeps_its_time_when_the_clock_changes_after_it_was_sent),
        TEST(a_reading_that_waited_for_the_clock_keeps_its_time_over_a_reboot),
        TEST(after_a_clock_that_jumps_back_an_hour_no_two_samples_share_a_second),
        TEST(nor_with_the_shortest_interval_and_two_jumps),
        TEST(a_clock_that_wanders_costs_no_reading),
        TEST(a_server_that_answers_garbage_stamps_nothing),
        TEST(a_broker_that_is_killed_after_each_answer_costs_nothing),
        TEST(a_broker_that_loses_power_with_its_network_unheard_costs_nothing),
        TEST(a_network_that_is_away_for_a_day_loses_nothing_and_sends_nothing_with_two_times),
        TEST(a_device_that_never_knew_the_time_does_not_throw_its_readings_away_by_a_restart),
        TEST(a_full_outbox_lets_the_oldest_go_and_counts_them),
        TEST(a_broker_that_accepts_and_drops_at_once_is_not_hammered),
        TEST(a_broker_that_accepts_and_never_answers_is_given_up_and_tried_again),
        TEST(a_broker_that_never_acknowledges_is_left_and_tried_again),
        TEST(a_client_that_takes_no_publish_is_started_anew),
        TEST(publishes_that_are_refused_are_all_there_in_the_end),
        TEST(a_platform_that_is_down_for_a_night_makes_no_device_restart),
        TEST(a_radio_that_is_stuck_is_restarted),
        TEST(a_modem_that_is_stuck_is_restarted_after_the_radio),
        TEST(a_device_that_is_stuck_restarts_as_the_last_rung),
        TEST(each_failure_is_told_apart_in_the_log_and_by_the_light_and_said_once_an_hour),
        TEST(power_that_goes_at_any_flash_operation_costs_at_most_the_sample_of_that_step),
        TEST(power_that_goes_again_and_again_before_the_clock_is_set_loses_no_stamped_reading),
        TEST(a_flash_that_fails_for_good_leaves_a_device_that_sends_what_it_can),
        TEST(without_a_flash_from_the_start_it_measures_and_sends_and_says_so),
        TEST(a_kv_that_can_not_be_read_leaves_a_device_that_runs_on_the_factorys_settings),
        TEST(power_that_goes_at_any_write_of_a_trial_leaves_a_device_that_connects),
        TEST(a_new_interval_counts_at_once),
        TEST(a_device_code_counts_from_the_next_sample_on),
        TEST(a_resend_window_counts_at_once),
        TEST(a_broker_that_is_mistyped_is_undone_after_ten_minutes_and_nothing_is_lost),
        TEST(also_when_it_restarts_meanwhile),
        TEST(a_change_that_is_undone_at_power_up_is_said_too),
        TEST(a_broker_that_acknowledges_is_kept),
        TEST(another_wifi_is_joined_at_once),
        TEST(status_says_how_it_is),
        TEST(help_fits_into_what_can_be_said_at_once),
        TEST(test_measures_sends_and_says_that_all_is_well),
        TEST(test_without_a_broker_says_that_nothing_was_acknowledged),
        TEST(reboot_says_goodbye_restarts_and_loses_nothing),
        TEST(a_program_that_ends_says_goodbye),
        TEST(without_a_broker_in_its_settings_it_says_so_and_does_not_restart),
        TEST(a_certificate_is_renewed_in_time_and_used_at_a_calm_moment),
        TEST(a_renewal_that_fails_is_tried_again_until_the_end_and_then_no_more),
        TEST(commands_are_parsed_counted_and_kept),
        TEST(a_device_is_within_its_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
