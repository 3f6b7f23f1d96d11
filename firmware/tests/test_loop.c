#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "app/loop_parts.h"
#include "port/fake/fake_world.h"

#define S 1000ULL
#define MINUTE (60 * S)
#define HOUR (60 * MINUTE)

static fake_world_t *world_of(void **state)
{
    return *state;
}

static int set_up(void **state)
{
    fake_world_t *world = malloc(sizeof(*world));
    assert_non_null(world);
    fake_world_init(world, 7, 8, 500);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    fake_world_t *world = *state;
    fake_world_free(world);
    free(world);
    return 0;
}

static void forget_log(fake_world_t *world)
{
    memset(world->log, 0, sizeof(world->log));
    world->log_bytes = 0;
}

/* What loop and log make of a state of the app. */
static void look(fake_world_t *world, link_state_t state, failure_t failure)
{
    world->app.connection.state = state;
    world->app.connection.last_failure = failure;
    world->app.connection.failures++;
    forget_log(world);
    memset(&world->loop.said, 0, sizeof(world->loop.said));
    const event_t event = {.type = EVENT_TICK};
    loop_log(&world->loop, fake_world_device_ms(world), &event);
}

static void each_failure_has_a_sentence_of_its_own(void **state)
{
    const char *const sentences[] = {
        [FAILURE_NONE] = "",
        [FAILURE_NETWORK] = "There is no network",
        [FAILURE_DNS] = "The broker's name leads nowhere",
        [FAILURE_TCP] = "The broker's host refuses the connection",
        [FAILURE_TLS_EXPIRED] = "has run out, or this device's clock is wrong (not set).",
        [FAILURE_TLS_HOST] = "The broker's certificate is of another host",
        [FAILURE_TLS_AUTHORITY] = "of no authority that this device trusts",
        [FAILURE_TLS_OTHER] = "turned this device's certificate away (until not known).",
        [FAILURE_MQTT_REFUSED] = "The broker turns this device away",
        [FAILURE_MQTT_UNAVAILABLE] = "The broker is there and takes nobody",
        [FAILURE_TIMEOUT] = "The broker accepts and does not answer",
        [FAILURE_CLOSED] = "The connection to the broker was lost",
        [FAILURE_CREDENTIALS] = "Key or certificate of this device are missing",
        [FAILURE_NO_BROKER] = "No broker is configured: type `set broker_uri",
    };
    fake_world_t *world = world_of(state);
    fake_world_power_up(world, BOOT_POWER_ON);
    for (int failure = FAILURE_NONE; failure <= FAILURE_NO_BROKER; failure++) {
        look(world, LINK_WAITING, (failure_t)failure);
        assert_true(failure == FAILURE_NONE || fake_world_logged(world, sentences[failure]));
        assert_int_equal(fake_world_logged_times(world, "\n"), failure == FAILURE_NONE ? 0 : 1);
    }
    look(world, LINK_WAITING, (failure_t)99);
    assert_int_equal(world->log_bytes, 0);
}

static void a_memory_of_updates_that_is_lost_is_logged_once_and_whether_there_is_a_new_one(void **state)
{
    fake_world_t *world = world_of(state);
    const event_t event = {.type = EVENT_TICK};
    update_t *update = &world->app.updates.update;
    fake_world_power_up(world, BOOT_POWER_ON);
    for (int anew = 0; anew <= 1; anew++) {
        update->lost_memory = true;
        update->has_memory = anew == 1;
        look(world, LINK_WAITING, FAILURE_NONE);
        loop_log(&world->loop, fake_world_device_ms(world), &event);
        assert_int_equal(fake_world_logged_times(world, "it begins anew, with the counter of what runs."), anew);
        assert_int_equal(fake_world_logged_times(world, "not be replaced: at this start none is taken."), 1 - anew);
    }
}

static void lights_show_connected_connecting_and_faults(void **state)
{
    const struct {
        link_state_t state;
        failure_t failure;
        bool storage_failed;
        led_t run, fault;
    } rows[] = {
        {LINK_NO_NETWORK, FAILURE_NONE, false, LED_BLINK_SLOW, LED_OFF},
        {LINK_WAITING, FAILURE_NETWORK, false, LED_BLINK_SLOW, LED_BLINK_SLOW},
        {LINK_CONNECTING, FAILURE_DNS, false, LED_BLINK_FAST, LED_BLINK_SLOW},
        {LINK_WAITING, FAILURE_TCP, false, LED_BLINK_SLOW, LED_BLINK_SLOW},
        {LINK_WAITING, FAILURE_TLS_EXPIRED, false, LED_BLINK_SLOW, LED_BLINK_FAST},
        {LINK_WAITING, FAILURE_TLS_HOST, false, LED_BLINK_SLOW, LED_BLINK_FAST},
        {LINK_WAITING, FAILURE_TLS_AUTHORITY, false, LED_BLINK_SLOW, LED_BLINK_FAST},
        {LINK_WAITING, FAILURE_TLS_OTHER, false, LED_BLINK_SLOW, LED_BLINK_FAST},
        {LINK_WAITING, FAILURE_MQTT_REFUSED, false, LED_BLINK_SLOW, LED_BLINK_FAST},
        {LINK_WAITING, FAILURE_MQTT_UNAVAILABLE, false, LED_BLINK_SLOW, LED_BLINK_SLOW},
        {LINK_WAITING, FAILURE_TIMEOUT, false, LED_BLINK_SLOW, LED_BLINK_SLOW},
        {LINK_WAITING, FAILURE_CLOSED, false, LED_BLINK_SLOW, LED_BLINK_SLOW},
        {LINK_WAITING, FAILURE_CREDENTIALS, false, LED_BLINK_SLOW, LED_BLINK_FAST},
        {LINK_WAITING, FAILURE_NO_BROKER, false, LED_BLINK_SLOW, LED_BLINK_FAST},
        {LINK_WAITING, (failure_t)99, false, LED_BLINK_SLOW, LED_BLINK_FAST},
        {(link_state_t)99, FAILURE_NONE, false, LED_BLINK_SLOW, LED_OFF},
        {LINK_ONLINE, FAILURE_TLS_HOST, false, LED_ON, LED_OFF},
        {LINK_ONLINE, FAILURE_NONE, true, LED_ON, LED_ON},
    };
    fake_world_t *world = world_of(state);
    fake_world_power_up(world, BOOT_POWER_ON);
    fake_world_run(world, S);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        app_t *app = &world->app;
        connection_init(&app->connection, fake_world_device_ms(world), false);
        app->connection.state = rows[i].state;
        app->connection.last_failure = rows[i].failure;
        app->storage_failed = rows[i].storage_failed;
        world->stop_ms = world->now_ms; /* no time goes by */
        loop_turn(&world->loop);
        assert_int_equal(world->run, rows[i].run);
        assert_int_equal(world->fault, rows[i].fault);
    }
    const uint32_t lights = world->lights;
    world->stop_ms = world->now_ms;
    loop_turn(&world->loop);
    assert_int_equal(world->lights, lights); /* told only what changes */
}

static void a_board_without_lights_and_a_network_without_a_signal_do(void **state)
{
    fake_world_t *world = world_of(state);
    world->board.leds = NULL;
    world->network_port.signal_dbm = NULL;
    world->ports.say = NULL;
    fake_world_power_up(world, BOOT_POWER_ON);
    fake_world_type(world, "status");
    fake_world_run(world, 2 * MINUTE);
    assert_int_equal(world->lights, 0);
    assert_int_equal(world->said_bytes, 0);
    assert_false(world->app.health.has_signal);
    assert_true(world->broker.received > 0);
}

static bool measure_for_ever(void *ctx, uint8_t index, const char *own_code, uint64_t since_boot_ms, sample_t *out)
{
    (void)index, (void)since_boot_ms;
    (*(uint32_t *)ctx)++;
    return sample_init(out, own_code);
}

static void a_board_that_has_no_end_is_asked_so_often_and_no_more(void **state)
{
    fake_world_t *world = world_of(state);
    uint32_t asked = 0;
    world->board.measure = measure_for_ever;
    world->board.ctx = &asked;
    world->board.leds = NULL;
    fake_world_power_up(world, BOOT_POWER_ON);
    fake_world_run(world, 10 * S);
    assert_int_equal(asked, LOOP_DEVICES_MAX);
}

static void lines_for_the_console_come_one_by_one_and_a_long_one_is_cut(void **state)
{
    fake_world_t *world = world_of(state);
    static char line[CONSOLE_LINE_MAX_BYTES + 50];
    fake_world_power_up(world, BOOT_POWER_ON);
    fake_world_run(world, S);
    memset(line, 'x', sizeof(line) - 1);
    /* Straight through the sentence that a test ends with. */
    world->app.testing = true;
    world->app.testing_until_ms = 0;
    fake_world_run(world, S);
    assert_true(fake_world_was_said(world, "how the connection is.\n"));
    /* And one that is longer than any, without an end: as the payload may hold. */
    action_t action = {.type = ACTION_SAY, .text = line};
    world->said_bytes = 0;
    loop_perform(&world->loop, &action);
    assert_int_equal(world->said_bytes, CONSOLE_LINE_MAX_BYTES + 1);
}

static void without_an_address_nothing_is_renewed_and_nothing_falls(void **state)
{
    fake_world_t *world = world_of(state);
    fake_kv_init(&world->factory);
    fake_world_power_up(world, BOOT_POWER_ON);
    fake_world_run(world, S);
    world->app.to_renew = true;
    fake_world_run(world, S);
    assert_int_equal(world->renewals, 0);
    assert_string_equal(world->renew_url, "");
    action_t none = {.type = (action_type_t)99};
    loop_perform(&world->loop, &none);
}

static void the_log_says_each_thing_once(void **state)
{
    fake_world_t *world = world_of(state);
    fake_world_power_up(world, BOOT_POWER_ON);
    fake_world_run(world, 10 * MINUTE);
    assert_int_equal(fake_world_logged_times(world, "It is 2026-"), 1);
    assert_int_equal(fake_world_logged_times(world, "Connected to mqtts://broker.example:8883."), 1);
    assert_int_equal(fake_world_logged_times(world, "\n"), 2);
    fake_world_set_clock(world, 7200000);
    fake_world_run(world, S);
    assert_int_equal(fake_world_logged_times(world, "The clock stepped; now it is 2026-"), 1);
    fake_world_hang_up(world);
    fake_world_run(world, MINUTE);
    assert_int_equal(fake_world_logged_times(world, "The broker acknowledges again, after closed."), 1);
}

static void restarts_are_in_the_log_with_their_reason(void **state)
{
    const struct {
        action_t action;
        const char *sentence;
    } rows[] = {
        {{.type = ACTION_NETWORK_RESTART}, "the radio is restarted"},
        {{.type = ACTION_MODEM_RESTART}, "the modem is restarted"},
        {{.type = ACTION_REBOOT, .reason = REBOOT_RECOVERY}, "Nothing was acknowledged for long: the device restarts"},
        {{.type = ACTION_REBOOT, .reason = REBOOT_CONSOLE}, "as it was told"},
        {{.type = ACTION_RENEW}, "is being renewed"},
    };
    fake_world_t *world = world_of(state);
    fake_world_power_up(world, BOOT_POWER_ON);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        forget_log(world);
        loop_log_action(&world->loop, &rows[i].action);
        assert_true(fake_world_logged(world, rows[i].sentence));
    }
}

static void it_never_waits_longer_than_a_minute_for_a_look_at_the_clock(void **state)
{
    fake_world_t *world = world_of(state);
    fake_kv_put_text(&world->kv, "interval_s", "86400");
    world->sntp = false;
    fake_world_power_up(world, BOOT_POWER_ON);
    fake_world_run(world, 10 * S);
    const uint64_t turns = world->turns;
    fake_world_run(world, HOUR);
    assert_in_range(world->turns - turns, 58, 70);
}

static void a_certificate_that_has_run_out_is_said_again_only_when_the_clock_brought_it_back(void **state)
{
    fake_world_t *world = world_of(state);
    world->not_before_unix_s = FAKE_WORLD_UNIX_MS / 1000 - 86400;
    world->not_after_unix_s = FAKE_WORLD_UNIX_MS / 1000 - 60;
    world->renews = false;
    fake_world_power_up(world, BOOT_POWER_ON);
    fake_world_run(world, HOUR);
    assert_int_equal(fake_world_logged_times(world, "This device's certificate ran out"), 1);
    fake_world_set_clock(world, -2 * (int64_t)HOUR);
    fake_world_run(world, MINUTE);
    fake_world_set_clock(world, 0);
    fake_world_run(world, MINUTE);
    assert_int_equal(fake_world_logged_times(world, "This device's certificate ran out"), 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_failure_has_a_sentence_of_its_own),
        TEST(a_memory_of_updates_that_is_lost_is_logged_once_and_whether_there_is_a_new_one),
        TEST(lights_show_connected_connecting_and_faults),
        TEST(a_board_without_lights_and_a_network_without_a_signal_do),
        TEST(a_board_that_has_no_end_is_asked_so_often_and_no_more),
        TEST(lines_for_the_console_come_one_by_one_and_a_long_one_is_cut),
        TEST(without_an_address_nothing_is_renewed_and_nothing_falls),
        TEST(the_log_says_each_thing_once),
        TEST(restarts_are_in_the_log_with_their_reason),
        TEST(it_never_waits_longer_than_a_minute_for_a_look_at_the_clock),
        TEST(a_certificate_that_has_run_out_is_said_again_only_when_the_clock_brought_it_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
