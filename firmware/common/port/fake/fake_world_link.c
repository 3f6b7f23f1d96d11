#include "fake_updates.h"
#include "fake_world_parts.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* The connection is over for the broker; it publishes the will unless it was told goodbye. */
void fake_world_end_connection(fake_world_t *world, bool with_will)
{
    if (world->connected && with_will) {
        fake_broker_presence(&world->broker, world->will);
    }
    world->connected = world->hears_connect = false;
    world->connection++;
    world->subscribed = 0;
    fake_world_drop_stale(world);
}

void fake_world_lose_connection(fake_world_t *world, uint64_t heard_in_ms, failure_t failure)
{
    if (world->connected) {
        fake_world_end_connection(world, true);
        fake_world_plan(world, heard_in_ms, (event_t){.type = EVENT_MQTT_CLOSED, .failure = failure});
    } else if (world->hears_connect) {
        fake_world_end_connection(world, false);
        fake_world_plan(world, heard_in_ms, (event_t){.type = EVENT_MQTT_FAILED, .failure = failure});
    }
}

/* Network */

static bool comes_up(const fake_world_t *world)
{
    return world->network_up && world->network_started && !world->radio_stuck && !world->modem_stuck &&
           !world->device_stuck;
}

static void plan_network(fake_world_t *world)
{
    fake_world_drop_all_of(world, EVENT_NETWORK_UP);
    if (comes_up(world)) {
        fake_world_plan_plain(world, world->network_ms, EVENT_NETWORK_UP);
    }
}

static void take_network_away(fake_world_t *world)
{
    fake_world_drop_all_of(world, EVENT_NETWORK_UP);
    fake_world_end_connection(world, true);
    if (world->network_told) {
        fake_world_drop_all_of(world, EVENT_NETWORK_DOWN);
        fake_world_plan_plain(world, 0, EVENT_NETWORK_DOWN);
    }
}

void fake_world_network(fake_world_t *world, bool up)
{
    if (up == world->network_up) {
        return;
    }
    world->network_up = up;
    if (up) {
        plan_network(world);
    } else {
        take_network_away(world);
    }
}

static void start_network(void *ctx, const char *ssid, const char *password, const char *apn)
{
    fake_world_t *world = ctx;
    (void)password;
    (void)apn;
    if (fake_world_is_dead(world)) {
        return;
    }
    (void)snprintf(world->ssid, sizeof(world->ssid), "%s", ssid);
    world->network_starts++;
    if (world->network_started) {
        take_network_away(world);
    }
    world->network_started = true;
    plan_network(world);
}

static void restart_radio(void *ctx)
{
    fake_world_t *world = ctx;
    world->radio_restarts++;
    world->radio_stuck = false;
    take_network_away(world);
    plan_network(world);
}

static void restart_modem(void *ctx)
{
    fake_world_t *world = ctx;
    world->modem_restarts++;
    world->radio_stuck = world->modem_stuck = false;
    take_network_away(world);
    plan_network(world);
}

static bool signal_dbm(void *ctx, int32_t *out)
{
    const fake_world_t *world = ctx;
    *out = -61;
    return world->network_told;
}

/* Broker */

static void fail_connect(fake_world_t *world, uint64_t in_ms, failure_t failure)
{
    fake_world_plan(world, in_ms, (event_t){.type = EVENT_MQTT_FAILED, .failure = failure});
}

static void begin_connect(void *ctx, const app_mqtt_options_t *options)
{
    fake_world_t *world = ctx;
    if (fake_world_is_dead(world)) {
        return;
    }
    fake_world_end_connection(world, true);
    world->connects++;
    world->last_connect_ms = world->now_ms;
    world->hears_connect = true;
    (void)snprintf(world->will, sizeof(world->will), "%s", options->will_payload);
    if (world->black_hole || (world->mood == FAKE_BROKER_SILENT && comes_up(world))) {
        return;
    }
    if (!comes_up(world) || !world->network_told) {
        fail_connect(world, 5, FAILURE_DNS);
    } else if (strcmp(options->host, world->host) != 0) {
        fail_connect(world, 20, FAILURE_DNS);
    } else if (world->mood == FAKE_BROKER_DOWN ||
               (world->updates != NULL && fake_updates_program(world->updates) == FAKE_CUT_OFF)) {
        fail_connect(world, world->connect_ms, world->failure != FAILURE_NONE ? world->failure : FAILURE_TCP);
    } else if (world->refuses_pair[world->pair]) {
        fail_connect(world, world->connect_ms, world->failure != FAILURE_NONE ? world->failure : FAILURE_TLS_OTHER);
    } else {
        fake_world_plan_plain(world, world->connect_ms, EVENT_MQTT_CONNECTED);
    }
}

static void close_connection(void *ctx)
{
    fake_world_t *world = ctx;
    if (!fake_world_is_dead(world)) {
        fake_world_end_connection(world, world->black_hole); /* a DISCONNECT that gets there takes the will back */
    }
}

static bool publish(void *ctx, const char *topic, const char *payload, uint16_t len_bytes, bool retain, uint16_t token)
{
    fake_world_t *world = ctx;
    assert(strlen(payload) == len_bytes);
    if (fake_world_is_dead(world) || !world->connected || world->loses_publish_call) {
        return false;
    }
    if (world->black_hole) {
        return true;
    }
    world->publishes++;
    event_t answer = {.type = EVENT_MQTT_ACKED, .ack = {.token = token}};
    if (retain) {
        assert(strcmp(topic, "status/" FAKE_WORLD_GATEWAY) == 0);
        fake_broker_presence(&world->broker, payload);
    } else if (world->updates != NULL && strncmp(topic, "ota/", 4) == 0) {
        answer.ack.reason = fake_updates_publish(world->updates, topic, payload) ? 0 : 0x80;
    } else if (world->refuse_every > 0 && world->publishes % world->refuse_every == 0) {
        answer.ack.reason = world->reason;
    } else {
        fake_broker_telemetry(&world->broker, world->now_ms, topic, payload);
    }
    if (world->mood != FAKE_BROKER_NEVER_ACKS) {
        fake_world_plan(world, world->ack_ms, answer);
    }
    return true;
}

static bool subscribe(void *ctx, const char *topic)
{
    fake_world_t *world = ctx;
    if (fake_world_is_dead(world) || !world->connected) {
        return false;
    }
    assert(strcmp(topic, "ota/" FAKE_WORLD_GATEWAY "/update") == 0 || strcmp(topic, "ota/update") == 0);
    world->subscribed = (uint8_t)(world->subscribed | (strcmp(topic, "ota/update") == 0 ? 2 : 1));
    return true;
}

void fake_world_kill_broker(fake_world_t *world)
{
    world->mood = FAKE_BROKER_DOWN;
    fake_broker_kill(&world->broker, world->now_ms);
    fake_world_lose_connection(world, 2, FAILURE_CLOSED);
}

void fake_world_hang_up(fake_world_t *world)
{
    fake_world_lose_connection(world, 2, FAILURE_CLOSED);
}

void fake_world_black_hole(fake_world_t *world, bool on)
{
    world->black_hole = on;
    fake_world_drop_all_of(world, on ? EVENT_MQTT_ACKED : EVENT_MQTT_CLOSED);
    if (on && world->connected) {
        fake_world_plan(world, FAKE_WORLD_KEEP_ALIVE_MS,
                        (event_t){.type = EVENT_MQTT_CLOSED, .failure = FAILURE_CLOSED});
    }
}

void fake_world_message(fake_world_t *world, const char *topic, const void *payload, size_t len_bytes)
{
    /* As a port does with what is longer than any command: only that it is too long is told. */
    const size_t len = len_bytes <= COMMAND_MAX_BYTES ? len_bytes : COMMAND_MAX_BYTES + 1;
    assert(world->connected);
    memcpy(world->message, payload, len);
    (void)snprintf(world->message_topic, sizeof(world->message_topic), "%s", topic);
    fake_world_plan(world, 1,
                    (event_t){.type = EVENT_MQTT_MESSAGE,
                              .message = {.topic = world->message_topic, .payload = world->message, .len_bytes = len}});
}

void fake_world_link_ports(fake_world_t *world)
{
    world->mqtt_port = (port_mqtt_t){
        .ctx = world, .connect = begin_connect, .close = close_connection, .publish = publish, .subscribe = subscribe};
    world->network_port = (port_network_t){.ctx = world,
                                           .start = start_network,
                                           .restart = restart_radio,
                                           .restart_modem = restart_modem,
                                           .signal_dbm = signal_dbm};
}
