#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/connection.h"

#define S 1000ULL
#define NONE (-1)

/* What happens, when, and what the machine then does. Without jitter: each wait is as long as its ceiling. */
typedef struct {
    uint64_t at_ms;
    event_t event;
    int actions[3]; /* ended by NONE */
    link_state_t state;
} row_t;

#define TICK                                                                                                           \
    {                                                                                                                  \
        .type = EVENT_TICK                                                                                             \
    }
#define UP                                                                                                             \
    {                                                                                                                  \
        .type = EVENT_NETWORK_UP                                                                                       \
    }
#define DOWN                                                                                                           \
    {                                                                                                                  \
        .type = EVENT_NETWORK_DOWN                                                                                     \
    }
#define CONNECTED                                                                                                      \
    {                                                                                                                  \
        .type = EVENT_MQTT_CONNECTED                                                                                   \
    }
#define FAILED(why)                                                                                                    \
    {                                                                                                                  \
        .type = EVENT_MQTT_FAILED, .failure = (why)                                                                    \
    }
#define CLOSED(why)                                                                                                    \
    {                                                                                                                  \
        .type = EVENT_MQTT_CLOSED, .failure = (why)                                                                    \
    }

static void step(connection_t *connection, uint64_t now_ms, event_t event, actions_t *actions)
{
    actions->count = 0;
    connection_step(connection, now_ms, UINT32_MAX, &event, actions);
}

static void play(connection_t *connection, const row_t *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        actions_t actions;
        step(connection, rows[i].at_ms, rows[i].event, &actions);
        size_t expected = 0;
        while (rows[i].actions[expected] != NONE) {
            expected++;
        }
        if (actions.count != expected || connection->state != rows[i].state) {
            fail_msg("row %zu: %d actions, state %d", i, actions.count, (int)connection->state);
        }
        for (size_t a = 0; a < expected; a++) {
            assert_int_equal(actions.items[a].type, rows[i].actions[a]);
        }
    }
}

#define PLAY(connection, rows) play((connection), (rows), sizeof(rows) / sizeof((rows)[0]))

static connection_t at_power_up(bool has_modem)
{
    connection_t connection;
    connection_init(&connection, 0, has_modem);
    return connection;
}

static connection_t online_at(uint64_t now_ms)
{
    connection_t connection = at_power_up(false);
    const row_t rows[] = {
        {0, UP, {NONE}, LINK_WAITING},
        {now_ms, TICK, {ACTION_MQTT_CONNECT, NONE}, LINK_CONNECTING},
        {now_ms, CONNECTED, {NONE}, LINK_ONLINE},
    };
    PLAY(&connection, rows);
    return connection;
}

static void it_waits_for_the_network_and_then_a_moment(void **state)
{
    (void)state;
    connection_t connection = at_power_up(false);
    const row_t rows[] = {
        {0, TICK, {NONE}, LINK_NO_NETWORK},
        {100, UP, {NONE}, LINK_WAITING},
        {100, UP, {NONE}, LINK_WAITING},
        {1099, TICK, {NONE}, LINK_WAITING},
        {1100, TICK, {ACTION_MQTT_CONNECT, NONE}, LINK_CONNECTING},
        {1300, CONNECTED, {NONE}, LINK_ONLINE},
        {1300, CONNECTED, {NONE}, LINK_ONLINE},
    };
    PLAY(&connection, rows);
    assert_int_equal(connection.reconnects, 0);
    assert_int_equal(connection.last_failure, FAILURE_NONE);
}

static void each_failure_is_told_apart_and_waits_longer(void **state)
{
    (void)state;
    connection_t connection = at_power_up(false);
    uint64_t now_ms = 0;
    actions_t actions;
    step(&connection, now_ms, (event_t)UP, &actions);
    uint64_t ceiling_ms = BACKOFF_FIRST_MS;
    for (int why = FAILURE_DNS; why <= FAILURE_NO_BROKER; why++) {
        assert_int_equal(connection.due_ms, now_ms + ceiling_ms);
        now_ms += ceiling_ms;
        step(&connection, now_ms, (event_t)TICK, &actions);
        assert_int_equal(connection.state, LINK_CONNECTING);
        step(&connection, now_ms, (event_t)FAILED((failure_t)why), &actions);
        assert_int_equal(connection.state, LINK_WAITING);
        assert_int_equal(connection.last_failure, why);
        ceiling_ms = ceiling_ms * 2 < BACKOFF_MAX_MS ? ceiling_ms * 2 : BACKOFF_MAX_MS;
        connection_well(&connection, now_ms); /* the ladder is another matter */
    }
    assert_int_equal(connection.failures, FAILURE_NO_BROKER - FAILURE_DNS + 1);
}

static void a_broker_that_accepts_and_never_answers_is_given_up(void **state)
{
    (void)state;
    connection_t connection = at_power_up(false);
    const row_t rows[] = {
        {0, UP, {NONE}, LINK_WAITING},
        {1 * S, TICK, {ACTION_MQTT_CONNECT, NONE}, LINK_CONNECTING},
        {31 * S - 1, TICK, {NONE}, LINK_CONNECTING},
        {31 * S, TICK, {ACTION_MQTT_CLOSE, NONE}, LINK_WAITING},
        {32 * S, CONNECTED, {NONE}, LINK_WAITING}, /* too late */
        {33 * S, TICK, {ACTION_MQTT_CONNECT, NONE}, LINK_CONNECTING},
    };
    PLAY(&connection, rows);
    assert_int_equal(connection.last_failure, FAILURE_TIMEOUT);
}

static void a_connection_that_is_lost_is_made_again_and_counted(void **state)
{
    (void)state;
    connection_t connection = online_at(1 * S);
    const row_t rows[] = {
        {5 * S, CLOSED(FAILURE_CLOSED), {NONE}, LINK_WAITING},
        {5 * S, CLOSED(FAILURE_CLOSED), {NONE}, LINK_WAITING},
        {5 * S, FAILED(FAILURE_TCP), {NONE}, LINK_WAITING},
        {7 * S, TICK, {ACTION_MQTT_CONNECT, NONE}, LINK_CONNECTING},
        {7 * S, CONNECTED, {NONE}, LINK_ONLINE},
    };
    PLAY(&connection, rows);
    assert_int_equal(connection.last_failure, FAILURE_CLOSED);
    assert_int_equal(connection.reconnects, 1);
    assert_int_equal(connection.failures, 1);
}

static void a_broker_that_accepts_and_drops_at_once_is_not_hammered(void **state)
{
    (void)state;
    connection_t connection = online_at(1 * S);
    actions_t actions;
    uint64_t now_ms = 1 * S;
    uint32_t tries = 0;
    while (now_ms < 3600 * S) {
        step(&connection, now_ms, (event_t)CLOSED(FAILURE_CLOSED), &actions);
        now_ms = connection.due_ms;
        step(&connection, now_ms, (event_t)TICK, &actions);
        step(&connection, now_ms, (event_t)CONNECTED, &actions);
        connection_well(&connection, now_ms);
        tries++;
    }
    assert_in_range(tries, 15, 25); /* one each 5 min in the end */
    connection_acknowledged(&connection, now_ms);
    step(&connection, now_ms, (event_t)CLOSED(FAILURE_CLOSED), &actions);
    assert_int_equal(connection.due_ms, now_ms + BACKOFF_FIRST_MS);
}

static void without_a_network_nothing_is_tried(void **state)
{
    (void)state;
    connection_t connection = online_at(1 * S);
    const row_t rows[] = {
        {5 * S, DOWN, {ACTION_MQTT_CLOSE, NONE}, LINK_NO_NETWORK},
        {5 * S, DOWN, {NONE}, LINK_NO_NETWORK},
        {6 * S, CLOSED(FAILURE_CLOSED), {NONE}, LINK_NO_NETWORK},
        {100 * S, TICK, {NONE}, LINK_NO_NETWORK},
        {200 * S, UP, {NONE}, LINK_WAITING},
        {201 * S, DOWN, {NONE}, LINK_NO_NETWORK},
        {202 * S, UP, {NONE}, LINK_WAITING},
        {206 * S, TICK, {ACTION_MQTT_CONNECT, NONE}, LINK_CONNECTING},
        {207 * S, DOWN, {ACTION_MQTT_CLOSE, NONE}, LINK_NO_NETWORK},
    };
    PLAY(&connection, rows);
    assert_int_equal(connection.last_failure, FAILURE_NETWORK);
}

static void the_ladder_goes_from_radio_to_device(void **state)
{
    (void)state;
    connection_t connection = at_power_up(false);
    const row_t rows[] = {
        {600 * S - 1, TICK, {NONE}, LINK_NO_NETWORK},
        {600 * S, TICK, {ACTION_NETWORK_RESTART, NONE}, LINK_NO_NETWORK},
        {600 * S, TICK, {NONE}, LINK_NO_NETWORK},
        {1200 * S, TICK, {ACTION_NETWORK_RESTART, NONE}, LINK_NO_NETWORK},
        {1800 * S, TICK, {ACTION_NETWORK_RESTART, NONE}, LINK_NO_NETWORK},
        {3600 * S - 1, TICK, {ACTION_NETWORK_RESTART, NONE}, LINK_NO_NETWORK},
        {3600 * S, TICK, {ACTION_REBOOT, NONE}, LINK_NO_NETWORK},
        {3600 * S, TICK, {NONE}, LINK_NO_NETWORK}, /* whose port could not reboot climbs it again */
        {4200 * S, TICK, {ACTION_NETWORK_RESTART, NONE}, LINK_NO_NETWORK},
    };
    PLAY(&connection, rows);
}

static void a_modem_is_restarted_between_radio_and_device(void **state)
{
    (void)state;
    connection_t connection = at_power_up(true);
    const row_t rows[] = {
        {600 * S, TICK, {ACTION_NETWORK_RESTART, NONE}, LINK_NO_NETWORK},
        {1200 * S, TICK, {ACTION_NETWORK_RESTART, NONE}, LINK_NO_NETWORK},
        {1800 * S, TICK, {ACTION_MODEM_RESTART, NONE}, LINK_NO_NETWORK},
        {1800 * S, TICK, {NONE}, LINK_NO_NETWORK},
        {2400 * S, TICK, {ACTION_NETWORK_RESTART, NONE}, LINK_NO_NETWORK},
        {3600 * S, TICK, {ACTION_REBOOT, NONE}, LINK_NO_NETWORK},
    };
    PLAY(&connection, rows);
}

static void a_restart_of_the_radio_ends_the_connection_and_it_is_made_again(void **state)
{
    (void)state;
    connection_t connection = online_at(1 * S);
    const row_t rows[] = {
        {600 * S, TICK, {ACTION_MQTT_CLOSE, ACTION_NETWORK_RESTART, NONE}, LINK_WAITING},
        {602 * S, TICK, {ACTION_MQTT_CONNECT, NONE}, LINK_CONNECTING}, /* of a port that says nothing */
    };
    PLAY(&connection, rows);
}

static void a_network_that_goes_because_the_radio_was_restarted_hides_no_other_failure(void **state)
{
    (void)state;
    connection_t connection = online_at(1 * S);
    const row_t rows[] = {
        {5 * S, CLOSED(FAILURE_TLS_HOST), {NONE}, LINK_WAITING},
        {600 * S, TICK, {ACTION_NETWORK_RESTART, NONE}, LINK_WAITING},
        {600 * S, DOWN, {NONE}, LINK_NO_NETWORK},
    };
    PLAY(&connection, rows);
    assert_int_equal(connection.last_failure, FAILURE_TLS_HOST);
    const row_t stays_away[] = {
        {1200 * S, TICK, {ACTION_NETWORK_RESTART, NONE}, LINK_NO_NETWORK},
    };
    PLAY(&connection, stays_away);
    assert_int_equal(connection.last_failure, FAILURE_NETWORK);
    connection.last_failure = FAILURE_NONE;
    const row_t comes_and_goes[] = {
        {1300 * S, UP, {NONE}, LINK_WAITING},
        {1301 * S, DOWN, {NONE}, LINK_NO_NETWORK},
    };
    PLAY(&connection, comes_and_goes);
    assert_int_equal(connection.last_failure, FAILURE_NETWORK);
}

static void a_network_that_goes_as_a_rung_is_due_ends_the_connection_once(void **state)
{
    (void)state;
    connection_t connection = online_at(1 * S);
    const row_t rows[] = {
        {600 * S, DOWN, {ACTION_MQTT_CLOSE, ACTION_NETWORK_RESTART, NONE}, LINK_NO_NETWORK},
    };
    PLAY(&connection, rows);
}

static void an_acknowledged_publish_begins_the_ladder_anew_and_so_does_a_refused_one(void **state)
{
    (void)state;
    connection_t connection = online_at(1 * S);
    connection_acknowledged(&connection, 599 * S);
    const row_t rows[] = {
        {1199 * S - 1, TICK, {NONE}, LINK_ONLINE},
    };
    PLAY(&connection, rows);
    connection_well(&connection, 1199 * S - 1);
    const row_t more[] = {
        {1799 * S - 2, TICK, {NONE}, LINK_ONLINE},
        {1799 * S - 1, TICK, {ACTION_MQTT_CLOSE, ACTION_NETWORK_RESTART, NONE}, LINK_WAITING},
    };
    PLAY(&connection, more);
}

static void while_a_reboot_would_cost_readings_it_waits_for_a_day(void **state)
{
    (void)state;
    connection_t connection = at_power_up(false);
    connection.clockless = true;
    uint64_t now_ms = 0;
    actions_t actions = {.count = 0};
    while (actions.count == 0 || actions.items[0].type != ACTION_REBOOT) {
        now_ms = connection_next_due_ms(&connection);
        step(&connection, now_ms, (event_t)TICK, &actions);
    }
    assert_int_equal(now_ms, RECOVERY_REBOOT_CLOCKLESS_S * S);
}

static void a_device_that_slept_for_a_month_takes_one_rung(void **state)
{
    (void)state;
    connection_t connection = online_at(1 * S);
    connection.clockless = true;
    actions_t actions;
    const uint64_t now_ms = 23 * 3600 * S;
    step(&connection, now_ms, (event_t)TICK, &actions);
    assert_int_equal(actions.count, 2);
    step(&connection, now_ms, (event_t)TICK, &actions);
    assert_int_equal(actions.count, 0);
}

static void who_is_of_no_use_is_closed_and_tried_again_later(void **state)
{
    (void)state;
    connection_t connection = online_at(1 * S);
    actions_t actions = {.count = 0};
    connection_give_up(&connection, 40 * S, UINT32_MAX, FAILURE_TIMEOUT, &actions);
    assert_int_equal(actions.count, 1);
    assert_int_equal(actions.items[0].type, ACTION_MQTT_CLOSE);
    assert_int_equal(connection.state, LINK_WAITING);
    assert_int_equal(connection.due_ms, 42 * S);
    assert_int_equal(connection.last_failure, FAILURE_TIMEOUT);
}

static void changed_settings_are_tried_at_once(void **state)
{
    (void)state;
    connection_t connection = online_at(1 * S);
    actions_t actions = {.count = 0};
    connection_renew(&connection, 5 * S, &actions);
    assert_int_equal(actions.items[0].type, ACTION_MQTT_CLOSE);
    const row_t rows[] = {
        {5 * S, TICK, {ACTION_MQTT_CONNECT, NONE}, LINK_CONNECTING},
    };
    PLAY(&connection, rows);
    assert_int_equal(connection.failures, 0);

    connection = at_power_up(false);
    actions.count = 0;
    connection_renew(&connection, 5 * S, &actions);
    assert_int_equal(actions.count, 0);
    assert_int_equal(connection.state, LINK_NO_NETWORK);
}

static void what_finds_no_room_in_a_step_is_done_in_the_next(void **state)
{
    (void)state;
    connection_t connection = at_power_up(false);
    actions_t actions;
    step(&connection, 0, (event_t)UP, &actions);
    actions.count = ACTIONS_MAX;
    const event_t tick = TICK;
    connection_step(&connection, 1 * S, 0, &tick, &actions);
    assert_int_equal(connection.state, LINK_WAITING);
    assert_true(connection_next_due_ms(&connection) <= 1 * S);
    step(&connection, 1 * S, tick, &actions);
    assert_int_equal(connection.state, LINK_CONNECTING);
}

static void other_events_are_nothing_but_time(void **state)
{
    (void)state;
    const event_type_t others[] = {EVENT_TICK,   EVENT_MQTT_ACKED, EVENT_MQTT_MESSAGE, EVENT_CLOCK,
                                   EVENT_SAMPLE, EVENT_MEASURED,   EVENT_CONSOLE_LINE, EVENT_RENEWAL_DONE};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        connection_t connection = at_power_up(false);
        actions_t actions;
        step(&connection, 0, (event_t)UP, &actions);
        step(&connection, 1 * S, (event_t){.type = others[i]}, &actions);
        assert_int_equal(actions.count, 1);
        assert_int_equal(actions.items[0].type, ACTION_MQTT_CONNECT);
    }
}

static void times_beyond_32_bits_of_milliseconds_are_as_good(void **state)
{
    (void)state;
    const uint64_t wrap_ms = 1ULL << 32;
    connection_t connection;
    connection_init(&connection, wrap_ms - 500, false);
    const row_t rows[] = {
        {wrap_ms - 500, UP, {NONE}, LINK_WAITING},
        {wrap_ms + 499, TICK, {NONE}, LINK_WAITING},
        {wrap_ms + 500, TICK, {ACTION_MQTT_CONNECT, NONE}, LINK_CONNECTING},
    };
    PLAY(&connection, rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_waits_for_the_network_and_then_a_moment),
        cmocka_unit_test(each_failure_is_told_apart_and_waits_longer),
        cmocka_unit_test(a_broker_that_accepts_and_never_answers_is_given_up),
        cmocka_unit_test(a_connection_that_is_lost_is_made_again_and_counted),
        cmocka_unit_test(a_broker_that_accepts_and_drops_at_once_is_not_hammered),
        cmocka_unit_test(without_a_network_nothing_is_tried),
        cmocka_unit_test(the_ladder_goes_from_radio_to_device),
        cmocka_unit_test(a_modem_is_restarted_between_radio_and_device),
        cmocka_unit_test(a_restart_of_the_radio_ends_the_connection_and_it_is_made_again),
        cmocka_unit_test(a_network_that_goes_because_the_radio_was_restarted_hides_no_other_failure),
        cmocka_unit_test(a_network_that_goes_as_a_rung_is_due_ends_the_connection_once),
        cmocka_unit_test(an_acknowledged_publish_begins_the_ladder_anew_and_so_does_a_refused_one),
        cmocka_unit_test(while_a_reboot_would_cost_readings_it_waits_for_a_day),
        cmocka_unit_test(a_device_that_slept_for_a_month_takes_one_rung),
        cmocka_unit_test(who_is_of_no_use_is_closed_and_tried_again_later),
        cmocka_unit_test(changed_settings_are_tried_at_once),
        cmocka_unit_test(what_finds_no_room_in_a_step_is_done_in_the_next),
        cmocka_unit_test(other_events_are_nothing_but_time),
        cmocka_unit_test(times_beyond_32_bits_of_milliseconds_are_as_good),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
