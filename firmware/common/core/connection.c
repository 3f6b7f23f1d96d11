#include "connection.h"

#define RADIO_MS ((uint64_t)RECOVERY_RADIO_S * 1000)
#define MODEM_MS ((uint64_t)RECOVERY_MODEM_S * 1000)
#define REBOOT_MS ((uint64_t)RECOVERY_REBOOT_S * 1000)
#define REBOOT_CLOCKLESS_MS ((uint64_t)RECOVERY_REBOOT_CLOCKLESS_S * 1000)

void connection_init(connection_t *connection, uint64_t now_ms, bool has_modem)
{
    *connection = (connection_t){.state = LINK_NO_NETWORK, .due_ms = UINT64_MAX, .has_modem = has_modem};
    backoff_init(&connection->backoff, BACKOFF_FIRST_MS, BACKOFF_MAX_MS);
    connection_well(connection, now_ms);
}

void connection_well(connection_t *connection, uint64_t now_ms)
{
    connection->well_ms = now_ms;
    connection->radio_due_ms = now_ms + RADIO_MS;
    connection->modem_due_ms = connection->has_modem ? now_ms + MODEM_MS : UINT64_MAX;
}

void connection_acknowledged(connection_t *connection, uint64_t now_ms)
{
    backoff_reset(&connection->backoff);
    connection_well(connection, now_ms);
}

static uint64_t reboot_due_ms(const connection_t *connection)
{
    return connection->well_ms + (connection->clockless ? REBOOT_CLOCKLESS_MS : REBOOT_MS);
}

static void enter(connection_t *connection, link_state_t state, uint64_t due_ms)
{
    connection->state = state;
    connection->due_ms = due_ms;
}

static void wait(connection_t *connection, uint64_t now_ms, uint32_t random)
{
    enter(connection, LINK_WAITING, now_ms + backoff_next(&connection->backoff, random));
}

static void failed(connection_t *connection, failure_t failure)
{
    connection->last_failure = failure;
    connection->failures++;
}

static bool has_session(const connection_t *connection)
{
    return connection->state == LINK_CONNECTING || connection->state == LINK_ONLINE;
}

static void close_session(connection_t *connection, actions_t *actions)
{
    if (has_session(connection)) {
        (void)actions_add(actions, ACTION_MQTT_CLOSE);
    }
}

void connection_give_up(connection_t *connection, uint64_t now_ms, uint32_t random, failure_t failure,
                        actions_t *actions)
{
    close_session(connection, actions);
    failed(connection, failure);
    wait(connection, now_ms, random);
}

void connection_renew(connection_t *connection, uint64_t now_ms, actions_t *actions)
{
    close_session(connection, actions);
    backoff_reset(&connection->backoff);
    if (connection->state != LINK_NO_NETWORK) {
        enter(connection, LINK_WAITING, now_ms);
    }
}

static void on_network(connection_t *connection, uint64_t now_ms, uint32_t random, bool up, actions_t *actions)
{
    if (up) {
        connection->restarting = false;
    }
    if (up && connection->state == LINK_NO_NETWORK) {
        /* Not at once: what brought the network back to this device did so to its neighbours as well. */
        wait(connection, now_ms, random);
    } else if (!up && connection->state != LINK_NO_NETWORK) {
        close_session(connection, actions);
        if (!connection->restarting) {
            failed(connection, FAILURE_NETWORK);
        }
        enter(connection, LINK_NO_NETWORK, UINT64_MAX);
    }
}

static void on_event(connection_t *connection, uint64_t now_ms, uint32_t random, const event_t *event,
                     actions_t *actions)
{
    switch (event->type) {
    case EVENT_NETWORK_UP:
        on_network(connection, now_ms, random, true, actions);
        break;
    case EVENT_NETWORK_DOWN:
        on_network(connection, now_ms, random, false, actions);
        break;
    case EVENT_MQTT_CONNECTED:
        /* In another state it is a late word of a connection that was given up. */
        if (connection->state == LINK_CONNECTING) {
            connection->reconnects += connection->was_online ? 1 : 0;
            connection->was_online = true;
            enter(connection, LINK_ONLINE, UINT64_MAX);
        }
        break;
    case EVENT_MQTT_FAILED:
    case EVENT_MQTT_CLOSED:
        if (has_session(connection)) {
            failed(connection, event->failure);
            wait(connection, now_ms, random);
        }
        break;
    case EVENT_TICK:
    case EVENT_MQTT_ACKED:
    case EVENT_MQTT_MESSAGE:
    case EVENT_CLOCK:
    case EVENT_SAMPLE:
    case EVENT_MEASURED:
    case EVENT_CONSOLE_LINE:
    case EVENT_RENEWAL_DONE:
    case EVENT_HTTP_ANSWER:
    case EVENT_HTTP_PIECE:
    case EVENT_HTTP_END:
        break;
    }
}

/* True: a rung was taken. Of two that are due at once the higher one counts. */
static bool climb(connection_t *connection, uint64_t now_ms, uint32_t random, actions_t *actions)
{
    action_type_t rung;
    if (now_ms >= reboot_due_ms(connection)) {
        action_t *action = actions_add(actions, ACTION_REBOOT);
        if (action != NULL) {
            action->reason = REBOOT_RECOVERY;
            connection_well(connection, now_ms); /* should it not come about, the ladder is climbed again */
        }
        return true;
    }
    if (now_ms >= connection->modem_due_ms) {
        rung = ACTION_MODEM_RESTART;
    } else if (now_ms >= connection->radio_due_ms) {
        rung = ACTION_NETWORK_RESTART;
    } else {
        return false;
    }
    while (connection->radio_due_ms <= now_ms) {
        connection->radio_due_ms += RADIO_MS;
    }
    while (connection->modem_due_ms <= now_ms) {
        connection->modem_due_ms += MODEM_MS;
    }
    close_session(connection, actions);
    (void)actions_add(actions, rung);
    /* A port whose network goes says so, and so it does when it is back; to one that says nothing it was never away. */
    if (connection->state != LINK_NO_NETWORK) {
        wait(connection, now_ms, random);
        connection->restarting = true;
    } else {
        failed(connection, FAILURE_NETWORK);
    }
    return true;
}

void connection_step(connection_t *connection, uint64_t now_ms, uint32_t random, const event_t *event,
                     actions_t *actions)
{
    on_event(connection, now_ms, random, event, actions);
    if (now_ms < connection_next_due_ms(connection) || actions->count + 2 > ACTIONS_MAX) {
        return; /* nothing is due; or there is no room to say it all, and it stays due */
    }
    if (climb(connection, now_ms, random, actions) || now_ms < connection->due_ms) {
        return;
    }
    if (connection->state == LINK_WAITING) {
        (void)actions_add(actions, ACTION_MQTT_CONNECT);
        enter(connection, LINK_CONNECTING, now_ms + CONNECT_TIMEOUT_MS);
    } else {
        connection_give_up(connection, now_ms, random, FAILURE_TIMEOUT, actions);
    }
}

uint64_t connection_next_due_ms(const connection_t *connection)
{
    uint64_t due_ms = connection->due_ms;
    const uint64_t others_ms[] = {connection->radio_due_ms, connection->modem_due_ms, reboot_due_ms(connection)};
    for (size_t i = 0; i < sizeof(others_ms) / sizeof(others_ms[0]); i++) {
        due_ms = others_ms[i] < due_ms ? others_ms[i] : due_ms;
    }
    return due_ms;
}
