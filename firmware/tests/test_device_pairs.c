/* A whole device whose certificate is refused, in a scripted world. */
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
#define DAY_S 86400
#define NOW_S (FAKE_WORLD_UNIX_MS / 1000)
#define SECTORS 200
#define SAMPLES 20000

#define GIVES_WAY "The broker refuses the renewed certificate for long: the factory's is tried."
#define GOES_BACK "The factory's certificate is refused too: the renewed one is tried again."

static fake_world_t *world_of(void **state)
{
    return *state;
}

/* Its factory's certificate is due to be renewed, and was renewed yesterday. */
static int set_up(void **state)
{
    const pair_times_t renewed = {NOW_S - DAY_S, NOW_S + 89 * DAY_S};
    fake_world_t *world = malloc(sizeof(*world));
    assert_non_null(world);
    fake_world_init(world, 1, SECTORS, SAMPLES);
    world->not_before_unix_s = NOW_S - 70 * DAY_S;
    world->not_after_unix_s = NOW_S + 20 * DAY_S;
    fake_kv_put(&world->kv, "renewed", &renewed, sizeof(renewed));
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    fake_world_t *world = *state;
    assert_int_equal(world->flash.misuses, 0);
    assert_int_equal(world->broker.two_times, 0);
    assert_int_equal(world->broker.two_contents, 0);
    fake_world_free(world);
    free(world);
    return 0;
}

static bool is_connected(const fake_world_t *world)
{
    return world->app.connection.state == LINK_ONLINE;
}

static bool is_drained(const fake_world_t *world)
{
    return is_connected(world) && sender_is_idle(&world->app.sender);
}

static void assert_nothing_is_missing(fake_world_t *world)
{
    assert_true(fake_world_run_until(world, 2 * HOUR, is_drained));
    fake_world_run(world, 5 * MINUTE);
    fake_broker_save_all(&world->broker);
    assert_int_equal(fake_world_missing(world), 0);
}

static void a_renewed_certificate_that_is_refused_gives_way_to_the_factorys_before_the_device_restarts(void **state)
{
    fake_world_t *world = world_of(state);
    world->refuses_pair[PAIR_RENEWED] = true;
    fake_world_power_up(world, BOOT_POWER_ON);
    assert_int_equal(world->pair, PAIR_RENEWED);
    fake_world_run(world, PAIR_REFUSED_S * S - MINUTE);
    assert_int_equal(world->pair, PAIR_RENEWED);
    assert_true(fake_world_run_until(world, 10 * MINUTE, is_connected)); /* the longest pause is 5 min */
    assert_int_equal(world->pair, PAIR_FACTORY);
    assert_int_equal(world->reboots, 0);
    assert_int_equal(fake_world_logged_times(world, GIVES_WAY), 1);
    fake_world_type(world, "status");
    fake_world_run(world, S);
    assert_true(fake_world_was_said(world, ", the factory's: the renewed one is refused"));
    assert_nothing_is_missing(world);
}

static void so_does_one_that_connack_refuses(void **state)
{
    fake_world_t *world = world_of(state);
    world->refuses_pair[PAIR_RENEWED] = true;
    world->failure = FAILURE_MQTT_REFUSED;
    fake_world_power_up(world, BOOT_POWER_ON);
    assert_true(fake_world_run_until(world, 40 * MINUTE, is_connected));
    assert_int_equal(world->pair, PAIR_FACTORY);
}

static void with_the_factorys_it_renews_within_a_day_and_shows_what_it_got(void **state)
{
    fake_world_t *world = world_of(state);
    world->refuses_pair[PAIR_RENEWED] = true;
    fake_world_power_up(world, BOOT_POWER_ON);
    fake_world_run(world, 11 * HOUR);
    assert_int_equal(world->renewals, 0);
    world->refuses_pair[PAIR_RENEWED] = false; /* the next one is good */
    fake_world_run(world, 15 * HOUR);
    assert_int_equal(world->renewals, 1);
    assert_int_equal(world->pair, PAIR_RENEWED);
    assert_int_equal(world->reboots, 0);
    assert_nothing_is_missing(world);
}

static void a_platform_whose_renewed_certificates_its_broker_refuses_for_ever_is_asked_once_a_day(void **state)
{
    fake_world_t *world = world_of(state);
    world->refuses_pair[PAIR_RENEWED] = true;
    fake_world_power_up(world, BOOT_POWER_ON);
    fake_world_run(world, 10 * DAY);
    assert_true(world->renewals >= 5);
    assert_true(world->renewals <= 20);
    assert_int_equal(world->reboots, 0);
    assert_nothing_is_missing(world);
}

static void two_that_are_refused_take_turns_and_the_one_that_is_taken_again_brings_it_back(void **state)
{
    for (int good = PAIR_FACTORY; good <= PAIR_RENEWED; good++) {
        fake_world_t *world = world_of(state);
        world->refuses_pair[PAIR_RENEWED] = world->refuses_pair[PAIR_FACTORY] = true;
        fake_world_power_up(world, BOOT_POWER_ON);
        fake_world_run(world, 10 * HOUR);
        assert_true(fake_world_logged(world, GIVES_WAY));
        assert_true(world->reboots >= 8); /* it goes on up the ladder */
        world->refuses_pair[good] = false;
        assert_true(fake_world_run_until(world, 80 * MINUTE, is_connected));
        assert_int_equal(world->pair, good);
        assert_nothing_is_missing(world);
        tear_down(state);
        set_up(state);
    }
}

/* Without the time it does not restart for a day, and so shows one after the other. */
static void without_the_time_they_take_turns_in_one_boot(void **state)
{
    fake_world_t *world = world_of(state);
    world->sntp = false;
    world->refuses_pair[PAIR_RENEWED] = world->refuses_pair[PAIR_FACTORY] = true;
    fake_world_power_up(world, BOOT_POWER_ON);
    fake_world_run(world, 4 * HOUR);
    assert_int_equal(world->reboots, 0);
    assert_true(fake_world_logged_times(world, GIVES_WAY) >= 3);
    assert_true(fake_world_logged_times(world, GOES_BACK) >= 3);
}

static void a_factorys_certificate_that_has_run_out_is_not_tried(void **state)
{
    fake_world_t *world = world_of(state);
    world->not_after_unix_s = NOW_S - 1;
    world->refuses_pair[PAIR_RENEWED] = true;
    fake_world_power_up(world, BOOT_POWER_ON);
    fake_world_run(world, 5 * HOUR);
    assert_int_equal(world->pair, PAIR_RENEWED);
    assert_false(fake_world_logged(world, GIVES_WAY));
}

static void a_broker_that_refuses_all_for_a_quarter_of_an_hour_changes_nothing(void **state)
{
    fake_world_t *world = world_of(state);
    world->refuses_pair[PAIR_RENEWED] = world->refuses_pair[PAIR_FACTORY] = true;
    fake_world_power_up(world, BOOT_POWER_ON);
    fake_world_run(world, 15 * MINUTE);
    world->refuses_pair[PAIR_RENEWED] = world->refuses_pair[PAIR_FACTORY] = false;
    assert_true(fake_world_run_until(world, 6 * MINUTE, is_connected));
    fake_world_run(world, 2 * HOUR);
    assert_int_equal(world->pair, PAIR_RENEWED);
    assert_false(fake_world_logged(world, GIVES_WAY));
    assert_nothing_is_missing(world);
}

static void a_broker_that_is_away_changes_nothing(void **state)
{
    fake_world_t *world = world_of(state);
    world->mood = FAKE_BROKER_DOWN;
    fake_world_power_up(world, BOOT_POWER_ON);
    fake_world_run(world, 5 * HOUR);
    world->mood = FAKE_BROKER_SILENT;
    fake_world_run(world, 5 * HOUR);
    assert_int_equal(world->pair, PAIR_RENEWED);
    assert_false(fake_world_logged(world, GIVES_WAY));
}

static void a_broker_without_tls_says_nothing_of_certificates(void **state)
{
    fake_world_t *world = world_of(state);
    fake_kv_put_text(&world->factory, "broker_uri", "mqtt://broker.example:1883");
    world->mood = FAKE_BROKER_DOWN;
    world->failure = FAILURE_MQTT_REFUSED;
    fake_world_power_up(world, BOOT_POWER_ON);
    fake_world_run(world, 5 * HOUR);
    assert_int_equal(world->pair, PAIR_RENEWED);
}

static void a_device_that_was_never_renewed_has_nothing_to_change_to(void **state)
{
    fake_world_t *world = world_of(state);
    fake_kv_init(&world->kv);
    world->refuses_pair[PAIR_FACTORY] = true;
    fake_world_power_up(world, BOOT_POWER_ON);
    fake_world_run(world, 5 * HOUR);
    assert_int_equal(world->pair, PAIR_FACTORY);
    assert_false(fake_world_logged(world, GOES_BACK));
    world->refuses_pair[PAIR_FACTORY] = false;
    assert_nothing_is_missing(world);
}

static void after_a_restart_the_renewed_one_is_tried_first(void **state)
{
    fake_world_t *world = world_of(state);
    world->refuses_pair[PAIR_RENEWED] = true;
    fake_world_power_up(world, BOOT_POWER_ON);
    assert_true(fake_world_run_until(world, 40 * MINUTE, is_connected));
    world->refuses_pair[PAIR_RENEWED] = false;
    fake_world_cut_power(world);
    assert_true(fake_world_run_until(world, MINUTE, is_connected));
    assert_int_equal(world->pair, PAIR_RENEWED);
    assert_nothing_is_missing(world);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_renewed_certificate_that_is_refused_gives_way_to_the_factorys_before_the_device_restarts),
        TEST(so_does_one_that_connack_refuses),
        TEST(with_the_factorys_it_renews_within_a_day_and_shows_what_it_got),
        TEST(a_platform_whose_renewed_certificates_its_broker_refuses_for_ever_is_asked_once_a_day),
        TEST(two_that_are_refused_take_turns_and_the_one_that_is_taken_again_brings_it_back),
        TEST(without_the_time_they_take_turns_in_one_boot),
        TEST(a_factorys_certificate_that_has_run_out_is_not_tried),
        TEST(a_broker_that_refuses_all_for_a_quarter_of_an_hour_changes_nothing),
        TEST(a_broker_that_is_away_changes_nothing),
        TEST(a_broker_without_tls_says_nothing_of_certificates),
        TEST(a_device_that_was_never_renewed_has_nothing_to_change_to),
        TEST(after_a_restart_the_renewed_one_is_tried_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
