#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "app/app_parts.h"
#include "port/fake/fake_flash.h"
#include "port/fake/fake_kv.h"

#define S 1000ULL
#define UNIX_MS INT64_C(1780000000000)
#define SECTORS 8
#define DAY_S 86400

typedef struct {
    uint8_t medium[SECTORS * OUTBOX_SECTOR_BYTES];
    fake_flash_t flash;
    fake_kv_t kv, factory;
    app_options_t options;
    app_t app;
    uint64_t now_ms;
    actions_t actions; /* of the last step */
} rig_t;

static rig_t *rig_of(void **state)
{
    return *state;
}

static void power_up(rig_t *rig)
{
    (void)app_init(&rig->app, &rig->options, rig->now_ms, 0);
}

static int set_up(void **state)
{
    rig_t *rig = calloc(1, sizeof(*rig));
    assert_non_null(rig);
    fake_flash_init(&rig->flash, rig->medium, sizeof(rig->medium), 1);
    fake_flash_blank(&rig->flash);
    fake_kv_init(&rig->kv);
    fake_kv_init(&rig->factory);
    fake_kv_put_text(&rig->factory, "broker_uri", "mqtts://broker.example:8883");
    rig->options = (app_options_t){
        .gateway_code = "GW-1",
        .family = "dcu-0080",
        .hardware = "C",
        .firmware = "1.4.0",
        .boot = 1,
        .boot_reason = 1,
        .factory_pair = {UNIX_MS / 1000 - 50 * DAY_S, UNIX_MS / 1000 + 50 * DAY_S},
        .flash = &rig->flash.port,
        .kv = &rig->kv.port,
        .factory = &rig->factory.port,
    };
    power_up(rig);
    *state = rig;
    return 0;
}

static int tear_down(void **state)
{
    rig_t *rig = *state;
    assert_int_equal(rig->flash.misuses, 0);
    free(rig);
    return 0;
}

static void step(rig_t *rig, event_t event)
{
    rig->actions.count = 0;
    app_step(&rig->app, rig->now_ms, 0, &event, &rig->actions);
}

static void tick(rig_t *rig)
{
    step(rig, (event_t){.type = EVENT_TICK});
}

/* A step with room for so few actions. */
static void squeezed(rig_t *rig, event_t event, uint8_t room)
{
    rig->actions.count = (uint8_t)(ACTIONS_MAX - room);
    memset(rig->actions.items, 0xFF, sizeof(rig->actions.items));
    app_step(&rig->app, rig->now_ms, 0, &event, &rig->actions);
}

static const action_t *find(const rig_t *rig, action_type_t type)
{
    for (uint8_t i = 0; i < rig->actions.count; i++) {
        if (rig->actions.items[i].type == type) {
            return &rig->actions.items[i];
        }
    }
    return NULL;
}

static bool did(const rig_t *rig, action_type_t type)
{
    return find(rig, type) != NULL;
}

static const action_t *published(const rig_t *rig, uint16_t token)
{
    for (uint8_t i = 0; i < rig->actions.count; i++) {
        if (rig->actions.items[i].type == ACTION_MQTT_PUBLISH && rig->actions.items[i].publish.token == token) {
            return &rig->actions.items[i];
        }
    }
    return NULL;
}

static bool said(const rig_t *rig, const char *text)
{
    const action_t *action = find(rig, ACTION_SAY);
    return action != NULL && strstr(action->text, text) != NULL;
}

static void clock_is(rig_t *rig, int64_t unix_ms)
{
    step(rig, (event_t){.type = EVENT_CLOCK, .unix_ms = unix_ms});
}

static void go_online(rig_t *rig)
{
    step(rig, (event_t){.type = EVENT_NETWORK_UP});
    tick(rig);
    assert_int_equal(rig->app.connection.state, LINK_CONNECTING);
    step(rig, (event_t){.type = EVENT_MQTT_CONNECTED});
    assert_int_equal(rig->app.connection.state, LINK_ONLINE);
}

static void acknowledge(rig_t *rig, uint16_t token, uint8_t reason)
{
    step(rig, (event_t){.type = EVENT_MQTT_ACKED, .ack = {.token = token, .reason = reason}});
}

static void measure(rig_t *rig)
{
    sample_t sample;
    assert_true(sample_init(&sample, "D01"));
    assert_true(sample_add(&sample, "n", "", (decimal_t){.digits = 1}));
    rig->app.measured_ms = rig->now_ms;
    step(rig, (event_t){.type = EVENT_SAMPLE, .sample = &sample});
}

static void type(rig_t *rig, const char *line)
{
    step(rig, (event_t){.type = EVENT_CONSOLE_LINE, .line = line});
}

/* The beginning */

static void the_first_step_starts_the_network(void **state)
{
    rig_t *rig = rig_of(state);
    assert_int_equal(app_next_due_ms(&rig->app, 0), 0);
    tick(rig);
    assert_true(did(rig, ACTION_NETWORK_START));
    assert_int_equal(rig->actions.count, 1);
    tick(rig);
    assert_int_equal(rig->actions.count, 0);
    assert_int_equal(app_next_due_ms(&rig->app, 0), SAMPLING_FIRST_MIN_MS);
}

static void a_connection_begins_with_subscriptions_and_presence_and_then_comes_what_waits(void **state)
{
    rig_t *rig = rig_of(state);
    clock_is(rig, UNIX_MS);
    measure(rig);
    go_online(rig);
    assert_int_equal(rig->actions.count, 4);
    assert_string_equal(rig->actions.items[0].topic, "ota/GW-1/update");
    assert_string_equal(rig->actions.items[1].topic, "ota/update");
    const action_t *presence = published(rig, APP_TOKEN_PRESENCE);
    assert_ptr_equal(presence, &rig->actions.items[2]);
    assert_true(presence->publish.retain);
    assert_string_equal(presence->publish.topic, "status/GW-1");
    assert_string_equal(presence->publish.payload,
                        "{\"gateway_code\":\"GW-1\",\"status\":\"online\",\"timestamp\":"
                        "\"2026-05-28T20:26:40Z\",\"firmware\":\"1.4.0\",\"interval_s\":60}");
    assert_string_equal(rig->actions.items[3].publish.topic, "telemetry/GW-1/D01/data");
}

static void what_finds_no_room_is_said_in_the_next_step(void **state)
{
    rig_t *rig = rig_of(state);
    clock_is(rig, UNIX_MS);
    measure(rig);
    rig->app.to_start_network = true;
    step(rig, (event_t){.type = EVENT_NETWORK_UP});
    tick(rig);
    rig->app.to_start_network = rig->app.to_measure = rig->app.to_renew = true;
    const action_type_t order[] = {ACTION_MQTT_SUBSCRIBE, ACTION_MQTT_SUBSCRIBE, ACTION_MQTT_PUBLISH,
                                   ACTION_NETWORK_START,  ACTION_RENEW,          ACTION_MEASURE,
                                   ACTION_MQTT_PUBLISH};
    squeezed(rig, (event_t){.type = EVENT_MQTT_CONNECTED}, 0);
    for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
        assert_int_equal(app_next_due_ms(&rig->app, rig->now_ms), rig->now_ms);
        squeezed(rig, (event_t){.type = EVENT_TICK}, 1);
        assert_int_equal(rig->actions.items[ACTIONS_MAX - 1].type, order[i]);
    }
    tick(rig);
    assert_int_equal(rig->actions.count, 0);
}

static void goodbyes_and_sentences_that_find_no_room_are_left_out(void **state)
{
    rig_t *rig = rig_of(state);
    go_online(rig);
    actions_t full = {.count = ACTIONS_MAX};
    app_take_line(&rig->app, rig->now_ms, "status", &full);
    app_take_line(&rig->app, rig->now_ms, "reboot", &full);
    app_take_line(&rig->app, rig->now_ms, "", &full);
    rig->app.testing = true;
    app_test_acknowledged(&rig->app, &full);
    assert_true(rig->app.testing);
    assert_int_equal(full.count, ACTIONS_MAX);
}

static void an_event_that_nobody_knows_is_only_time(void **state)
{
    rig_t *rig = rig_of(state);
    tick(rig);
    rig->now_ms = 2 * S;
    step(rig, (event_t){.type = (event_type_t)99});
    assert_true(did(rig, ACTION_MEASURE));
    assert_int_equal(rig->actions.count, 1);
    app_apply(&rig->app, rig->now_ms, (config_key_t)99, &rig->actions);
    assert_int_equal(rig->actions.count, 1);
}

static void a_gateway_without_a_code_says_nothing_and_does_not_fall(void **state)
{
    rig_t *rig = rig_of(state);
    rig->options.gateway_code = "";
    power_up(rig);
    clock_is(rig, UNIX_MS);
    measure(rig);
    go_online(rig);
    assert_int_equal(published(rig, APP_TOKEN_PRESENCE)->publish.len_bytes, 0);
    assert_int_equal(rig->app.sender.passed_over, 1);
}

/* Samples */

static void a_sample_without_readings_is_none(void **state)
{
    rig_t *rig = rig_of(state);
    sample_t sample;
    assert_true(sample_init(&sample, "D01"));
    step(rig, (event_t){.type = EVENT_SAMPLE, .sample = &sample});
    assert_int_equal(outbox_depth(&rig->app.outbox), 0);
    assert_int_equal(rig->app.lost, 0);
}

static void a_sample_that_is_none_is_the_boards_fault_and_not_the_flashs(void **state)
{
    rig_t *rig = rig_of(state);
    sample_t sample = {.device_code = "no code!", .count = 1, .readings = {{.tipo = "n"}}};
    step(rig, (event_t){.type = EVENT_SAMPLE, .sample = &sample});
    assert_int_equal(rig->app.lost, 1);
    assert_false(rig->app.storage_failed);
    assert_int_equal(rig->app.health.storage_failures, 0);
}

static void what_can_not_be_kept_is_sent_at_once_and_its_answer_counts(void **state)
{
    rig_t *rig = rig_of(state);
    clock_is(rig, UNIX_MS);
    go_online(rig);
    rig->flash.fail_writes_from = rig->flash.fail_erases_from = 1;
    rig->now_ms = 100 * S;
    measure(rig);
    measure(rig);
    assert_non_null(published(rig, APP_TOKEN_UNKEPT));
    assert_true(rig->app.storage_failed);
    rig->now_ms += S;
    acknowledge(rig, APP_TOKEN_UNKEPT, 0x87);
    assert_int_equal(rig->app.acknowledged, 0);
    assert_int_equal(rig->app.connection.well_ms, rig->now_ms); /* the broker is there */
    rig->now_ms += S;
    acknowledge(rig, APP_TOKEN_UNKEPT, 0);
    assert_int_equal(rig->app.acknowledged, 1);
    step(rig, (event_t){.type = EVENT_MQTT_CLOSED, .failure = FAILURE_CLOSED});
    acknowledge(rig, APP_TOKEN_UNKEPT, 0); /* of a connection that is gone */
    assert_int_equal(rig->app.acknowledged, 1);
    assert_int_equal(rig->app.lost, 1);
    measure(rig);
    assert_int_equal(rig->app.lost, 2);
}

static void presence_that_is_answered_is_no_acknowledgement(void **state)
{
    rig_t *rig = rig_of(state);
    go_online(rig);
    acknowledge(rig, APP_TOKEN_PRESENCE, 0);
    assert_int_equal(rig->app.acknowledged, 0);
}

static void health_says_what_an_operator_asks_first(void **state)
{
    rig_t *rig = rig_of(state);
    app_set_signal(&rig->app, true, -61);
    app_set_memory(&rig->app, 150000, 120000);
    clock_is(rig, UNIX_MS);
    rig->app.lost = 2;
    rig->app.sender.passed_over = 1;
    rig->now_ms = 65 * S;
    rig->app.measured_ms = rig->now_ms;
    rig->app.sampling.next_ms = UINT64_MAX / 2;
    go_online(rig);
    step(rig, (event_t){.type = EVENT_MEASURED});
    const action_t *action = find(rig, ACTION_MQTT_PUBLISH);
    assert_non_null(action);
    assert_string_equal(action->publish.topic, "telemetry/GW-1/SYS/data");
    const char *const facts[] = {"\"rssi\",\"valor\":-61",        "\"memoria_livre\",\"valor\":150000",
                                 "\"tempo_ligado\",\"valor\":65", "\"descartadas\",\"valor\":3",
                                 "\"partidas\",\"valor\":1",      "\"motivo_partida\",\"valor\":1",
                                 "\"falha_conexao\",\"valor\":0", "\"timestamp\":\"2026-05-28T20:27:45Z\""};
    for (size_t i = 0; i < sizeof(facts) / sizeof(facts[0]); i++) {
        assert_non_null(strstr(action->publish.payload, facts[i]));
    }
}

static void what_was_sent_unkept_and_refused_is_counted_as_lost(void **state)
{
    rig_t *rig = rig_of(state);
    clock_is(rig, UNIX_MS);
    go_online(rig);
    rig->flash.fail_writes_from = rig->flash.fail_erases_from = 1;
    measure(rig);
    acknowledge(rig, APP_TOKEN_UNKEPT, 0x87);
    assert_int_equal(rig->app.lost, 1);
    acknowledge(rig, APP_TOKEN_UNKEPT, 0x87); /* of nothing that is on its way */
    acknowledge(rig, APP_TOKEN_UNKEPT, 0);
    assert_int_equal(rig->app.lost, 1);
    assert_int_equal(rig->app.acknowledged, 0);
}

static void what_was_sent_unkept_when_its_connection_ended_is_counted_as_lost(void **state)
{
    rig_t *rig = rig_of(state);
    clock_is(rig, UNIX_MS);
    rig->flash.fail_writes_from = rig->flash.fail_erases_from = 1;
    go_online(rig);
    measure(rig);
    measure(rig);
    acknowledge(rig, APP_TOKEN_UNKEPT, 0);
    step(rig, (event_t){.type = EVENT_MQTT_CLOSED, .failure = FAILURE_CLOSED});
    assert_int_equal(rig->app.lost, 1);
    step(rig, (event_t){.type = EVENT_NETWORK_DOWN});
    go_online(rig);
    measure(rig);
    app_leave(&rig->app, rig->now_ms, &rig->actions); /* a broker that was set anew, or a renewed certificate */
    assert_int_equal(rig->app.lost, 2);
    assert_int_equal(rig->app.acknowledged, 1);
}

static void a_clients_own_refusal_is_no_proof_that_the_broker_lives(void **state)
{
    rig_t *rig = rig_of(state);
    clock_is(rig, UNIX_MS);
    go_online(rig);
    measure(rig); /* kept */
    assert_int_not_equal(rig->app.sender.sent, 0);
    rig->flash.fail_writes_from = rig->flash.fail_erases_from = 1;
    measure(rig); /* not kept */
    const uint64_t well_ms = rig->app.connection.well_ms;
    rig->now_ms += S;
    step(rig, (event_t){.type = EVENT_MQTT_ACKED, .ack = {.token = APP_TOKEN_UNKEPT, .reason = 0x95, .local = true}});
    step(rig, (event_t){.type = EVENT_MQTT_ACKED,
                        .ack = {.token = rig->app.sender.last_token, .reason = 0x95, .local = true}});
    assert_int_equal(rig->app.sender.refused, 1);
    assert_int_equal(rig->app.lost, 1);
    assert_int_equal(rig->app.connection.well_ms, well_ms);
}

/* Rounds of so many hours, each late by up to 20 ms and more often than not later than the one after it. */
static void its_own_readings_come_with_rounds_of(rig_t *rig, uint32_t interval_s)
{
    const uint32_t rounds = 12 * 3600 / interval_s, every = HEALTH_EVERY_S / interval_s;
    uint32_t random = interval_s;
    rig->app.sampling.interval_ms = interval_s * (uint32_t)S;
    rig->app.health_due_ms = 0;
    for (uint32_t round = 0; round < rounds; round++) {
        const uint32_t before = outbox_depth(&rig->app.outbox);
        random = random * 1664525u + 1013904223u;
        rig->now_ms += interval_s * S;
        rig->app.measured_ms = rig->now_ms + random / (UINT32_MAX / 20);
        actions_t actions = {.count = 0};
        app_take_health(&rig->app, rig->app.measured_ms + 3, &actions);
        const bool came = outbox_depth(&rig->app.outbox) > before;
        assert_int_equal(came, round % every == 0);
        assert_true(outbox_discard(&rig->app.outbox, rig->app.outbox.next_seq));
    }
}

static void its_own_readings_come_every_five_minutes_however_late_a_loop_is(void **state)
{
    rig_t *rig = rig_of(state);
    clock_is(rig, UNIX_MS);
    its_own_readings_come_with_rounds_of(rig, 60);
    its_own_readings_come_with_rounds_of(rig, 100);
    its_own_readings_come_with_rounds_of(rig, 300);
}

static void a_backlog_is_no_more_than_what_is_kept_when_the_ring_turns_on_a_connection(void **state)
{
    rig_t *rig = rig_of(state);
    clock_is(rig, UNIX_MS);
    go_online(rig);
    while (rig->app.outbox.dropped == 0) { /* nothing is answered */
        measure(rig);
    }
    assert_int_equal(app_backlog(&rig->app), outbox_depth(&rig->app.outbox));
}

/* Whose readings they are */

static void measured_as(rig_t *rig, const char *gateway_code, int samples)
{
    rig->options.gateway_code = gateway_code;
    rig->options.boot++;
    power_up(rig);
    clock_is(rig, UNIX_MS);
    for (int i = 0; i < samples; i++) {
        measure(rig);
    }
}

static void one_units_backlog_is_not_published_as_another_units(void **state)
{
    rig_t *rig = rig_of(state);
    measured_as(rig, "GW-A", 5);
    measured_as(rig, "GW-A", 0);
    assert_int_equal(outbox_depth(&rig->app.outbox), 5); /* its own it keeps */
    measured_as(rig, "GW-B", 0);
    assert_int_equal(outbox_depth(&rig->app.outbox), 0);
    assert_int_equal(rig->app.of_former, 5);
    assert_int_equal(rig->app.outbox.dropped, 5);
    go_online(rig);
    tick(rig);
    assert_int_equal(rig->app.sender.sent, 0);
    measured_as(rig, "GW-B", 2);
    assert_int_equal(outbox_depth(&rig->app.outbox), 2);
    assert_int_equal(rig->app.of_former, 0);
    measured_as(rig, "GW-A", 0); /* and back again */
    assert_int_equal(outbox_depth(&rig->app.outbox), 0);
}

static void a_unit_whose_code_begins_like_the_formers_is_another(void **state)
{
    rig_t *rig = rig_of(state);
    char longest[CODE_MAX_CHARS + 1];
    memset(longest, 'G', CODE_MAX_CHARS);
    longest[CODE_MAX_CHARS] = '\0';
    const char *const codes[] = {"GW-1", "GW-10", "GW-1", longest, "G"};
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        measured_as(rig, codes[i], 0);
        assert_int_equal(outbox_depth(&rig->app.outbox), 0);
        measured_as(rig, codes[i], 1);
        measured_as(rig, codes[i], 0);
        assert_int_equal(outbox_depth(&rig->app.outbox), 1);
    }
}

/* Power goes at each write of the other unit's first start; what the former one measured is nowhere afterwards. */
static void a_power_cut_while_a_board_becomes_another_unit_hands_nothing_on(void **state)
{
    rig_t *rig = rig_of(state);
    for (int kept = FAKE_KV_CUT_KEEPS_OLD; kept <= FAKE_KV_CUT_KEEPS_NEW; kept++) {
        measured_as(rig, "GW-A", 3);
        assert_int_equal(outbox_depth(&rig->app.outbox), 3);
        rig->kv.cut = (fake_kv_cut_t)kept;
        rig->kv.cut_at_write = rig->kv.writes + 1;
        measured_as(rig, "GW-B", 0);
        fake_kv_power_on(&rig->kv);
        rig->kv.cut_at_write = 0;
        measured_as(rig, "GW-B", 0);
        assert_int_equal(outbox_depth(&rig->app.outbox), 0);
        measured_as(rig, "GW-B", 1);
        assert_int_equal(outbox_depth(&rig->app.outbox), 1);
    }
}

static void a_former_units_readings_that_can_not_be_discarded_are_not_sent_either(void **state)
{
    rig_t *rig = rig_of(state);
    measured_as(rig, "GW-A", 3);
    rig->flash.fail_writes_from = 1;
    measured_as(rig, "GW-B", 0);
    assert_false(rig->app.has_outbox);
    assert_true(rig->app.storage_failed);
    go_online(rig);
    tick(rig);
    assert_int_equal(rig->app.sender.sent, 0);
    rig->flash.fail_writes_from = 0;
    measured_as(rig, "GW-B", 0);
    assert_true(rig->app.has_outbox);
    assert_int_equal(rig->app.of_former, 3);
}

static void what_is_kept_while_the_settings_still_name_the_former_unit_is_nothing(void **state)
{
    rig_t *rig = rig_of(state);
    measured_as(rig, "GW-A", 3);
    rig->kv.fail_from_write = 1;
    measured_as(rig, "GW-B", 2);
    assert_false(rig->app.has_outbox);
    fake_kv_power_on(&rig->kv);
    rig->kv.fail_from_write = 0;
    measured_as(rig, "GW-A", 0);
    assert_int_equal(outbox_depth(&rig->app.outbox), 0);
}

static void erased_or_unreadable_settings_cost_no_backlog(void **state)
{
    rig_t *rig = rig_of(state);
    measured_as(rig, "GW-A", 3);
    fake_kv_init(&rig->kv);
    measured_as(rig, "GW-A", 0);
    assert_int_equal(outbox_depth(&rig->app.outbox), 3);
    rig->kv.fail_gets = true;
    measured_as(rig, "GW-A", 0);
    assert_int_equal(outbox_depth(&rig->app.outbox), 3);
}

/* Settings */

static void what_the_broker_is_told_is_of_the_settings(void **state)
{
    rig_t *rig = rig_of(state);
    app_mqtt_options_t options;
    assert_true(app_mqtt_options(&rig->app, &options));
    assert_string_equal(options.host, "broker.example");
    assert_int_equal(options.port, 8883);
    assert_true(options.tls);
    assert_string_equal(options.client_id, "GW-1");
    assert_int_equal(options.keep_alive_s, KEEP_ALIVE_S);
    assert_string_equal(options.will_topic, "status/GW-1");
    assert_string_equal(options.will_payload,
                        "{\"gateway_code\":\"GW-1\",\"status\":\"offline\",\"firmware\":\"1.4.0\",\"interval_s\":60}");
}

static void a_change_of_each_key_does_what_it_must(void **state)
{
    const struct {
        const char *line;
        bool reconnects, starts_network;
    } rows[] = {
        {"set broker_uri mqtts://other.example:8883", true, false},
        {"set wifi_ssid office", true, true},
        {"set wifi_password 12345678", true, true},
        {"set apn internet.example", true, true},
        {"set interval_s 30", false, false},
        {"set resend_window_s 60", false, false},
        {"set update_poll_h 12", false, false},
        {"set device_code D07", false, false},
        {"set ota_url https://updates.example", false, false},
        {"set interval_s 1", false, false}, /* refused */
    };
    rig_t *rig = rig_of(state);
    tick(rig);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        go_online(rig);
        type(rig, rows[i].line);
        assert_int_equal(did(rig, ACTION_MQTT_CLOSE), rows[i].reconnects);
        assert_int_equal(did(rig, ACTION_NETWORK_START), rows[i].starts_network);
        if (rows[i].reconnects) {
            assert_non_null(strstr(published(rig, APP_TOKEN_PRESENCE)->publish.payload, "offline"));
            tick(rig);
            assert_true(did(rig, ACTION_MQTT_CONNECT));
        }
        step(rig, (event_t){.type = EVENT_NETWORK_DOWN});
    }
    assert_int_equal(rig->app.sampling.interval_ms, 30000);
    assert_int_equal(rig->app.sender.window_s, 60);
}

static void settings_that_cut_the_connection_are_undone_and_all_of_them_applied_again(void **state)
{
    rig_t *rig = rig_of(state);
    clock_is(rig, UNIX_MS);
    measure(rig);
    go_online(rig);
    acknowledge(rig, rig->app.sender.last_token, 0); /* from now on there is something to lose */
    type(rig, "set wifi_ssid office");
    rig->now_ms = CONFIG_TRIAL_S * S - 1;
    tick(rig);
    assert_int_equal(rig->app.undone, 0);
    rig->now_ms++;
    assert_int_equal(app_next_due_ms(&rig->app, rig->now_ms), rig->now_ms);
    tick(rig);
    assert_int_equal(rig->app.undone, 1);
    assert_true(did(rig, ACTION_NETWORK_START));
    assert_string_equal(config_text(&rig->app.config, CONFIG_WIFI_SSID), "");
}

/* The clock */

static void a_time_that_is_none_changes_nothing(void **state)
{
    rig_t *rig = rig_of(state);
    clock_is(rig, 0);
    assert_int_equal(app_unix_s(&rig->app, rig->now_ms), 0);
    clock_is(rig, UNIX_MS);
    assert_int_equal(app_unix_s(&rig->app, rig->now_ms), UNIX_MS / 1000);
}

static void only_a_step_back_takes_another_place_in_the_interval(void **state)
{
    rig_t *rig = rig_of(state);
    clock_is(rig, UNIX_MS);
    clock_is(rig, UNIX_MS + 500);
    clock_is(rig, UNIX_MS + 5000);
    assert_int_equal(rig->app.steps_back, 0);
    clock_is(rig, UNIX_MS - 3600000);
    assert_int_equal(rig->app.steps_back, 1);
}

/* Certificates */

static void a_renewal_is_asked_for_when_it_is_due_and_the_device_is_connected(void **state)
{
    rig_t *rig = rig_of(state);
    rig->options.factory_pair = (pair_times_t){UNIX_MS / 1000 - 2 * DAY_S, UNIX_MS / 1000 + DAY_S + 30};
    rig->now_ms = 10 * S;
    power_up(rig);
    clock_is(rig, UNIX_MS);
    rig->app.sampling.next_ms = UINT64_MAX / 2;
    assert_true(app_next_due_ms(&rig->app, rig->now_ms) > rig->now_ms + 21 * S);
    go_online(rig);
    assert_false(did(rig, ACTION_RENEW));
    const uint64_t due_ms = app_next_due_ms(&rig->app, rig->now_ms);
    assert_int_equal(due_ms, rig->now_ms + 20 * S); /* two thirds of three days and 30 s */
    rig->now_ms = due_ms - 1;
    tick(rig);
    assert_false(did(rig, ACTION_RENEW));
    rig->now_ms = due_ms;
    tick(rig);
    assert_true(did(rig, ACTION_RENEW));
    step(rig, (event_t){.type = EVENT_RENEWAL_DONE});
    assert_false(rig->app.renewed);
}

static event_t renewed(void)
{
    return (event_t){
        .type = EVENT_RENEWAL_DONE,
        .renewal = {.ok = true, .not_before_unix_s = UNIX_MS / 1000, .not_after_unix_s = UNIX_MS / 1000 + 100 * DAY_S}};
}

static void a_new_certificate_waits_for_what_is_on_its_way_but_not_for_ever(void **state)
{
    rig_t *rig = rig_of(state);
    clock_is(rig, UNIX_MS);
    measure(rig);
    go_online(rig);
    step(rig, renewed());
    assert_false(did(rig, ACTION_MQTT_CLOSE));
    assert_true(rig->app.renewed);
    rig->app.sampling.next_ms = UINT64_MAX / 2;
    acknowledge(rig, rig->app.sender.last_token, 0);
    assert_int_equal(app_next_due_ms(&rig->app, rig->now_ms), rig->now_ms);
    tick(rig);
    assert_true(did(rig, ACTION_MQTT_CLOSE));
    tick(rig);
    assert_true(did(rig, ACTION_MQTT_CONNECT));
    step(rig, (event_t){.type = EVENT_MQTT_CONNECTED});
    assert_false(rig->app.renewed);

    step(rig, renewed());
    for (uint64_t until_ms = rig->app.renewed_until_ms; rig->now_ms < until_ms; rig->now_ms += 10 * S) {
        assert_false(did(rig, ACTION_MQTT_CLOSE));
        acknowledge(rig, rig->app.sender.last_token, 0x10); /* never calm */
        rig->app.sender.paused_until_ms = 0;
    }
    tick(rig);
    assert_true(did(rig, ACTION_MQTT_CLOSE));
}

static void without_a_connection_a_new_certificate_is_nothing_to_hurry_about(void **state)
{
    rig_t *rig = rig_of(state);
    clock_is(rig, UNIX_MS);
    go_online(rig);
    step(rig, (event_t){.type = EVENT_NETWORK_DOWN});
    step(rig, renewed());
    rig->now_ms += 2 * APP_RECONNECT_MAX_S * S;
    rig->app.sampling.next_ms = UINT64_MAX / 2;
    connection_well(&rig->app.connection, rig->now_ms);
    tick(rig);
    assert_true(app_next_due_ms(&rig->app, rig->now_ms) > rig->now_ms);
}

/* Console */

static void a_test_says_what_was_measured_and_what_came_of_it(void **state)
{
    rig_t *rig = rig_of(state);
    clock_is(rig, UNIX_MS);
    go_online(rig);
    rig->now_ms = 100 * S;
    type(rig, "test");
    assert_true(said(rig, "Measuring"));
    assert_true(did(rig, ACTION_MEASURE));
    measure(rig);
    assert_true(said(rig, "D01\n  n 1\n"));
    assert_null(find(rig, ACTION_MQTT_PUBLISH)); /* one at a time has the buffer */
    tick(rig);
    assert_non_null(find(rig, ACTION_MQTT_PUBLISH));
    acknowledge(rig, rig->app.sender.last_token, 0);
    assert_true(said(rig, "all is well"));
    acknowledge(rig, rig->app.sender.last_token, 0);
    assert_false(did(rig, ACTION_SAY));
}

static void a_test_ends_after_a_minute(void **state)
{
    rig_t *rig = rig_of(state);
    type(rig, "test");
    rig->now_ms += APP_TEST_S * S - 1;
    tick(rig);
    assert_false(did(rig, ACTION_SAY));
    assert_true(app_next_due_ms(&rig->app, rig->now_ms) <= rig->now_ms + 1);
    rig->now_ms++;
    tick(rig);
    assert_true(said(rig, "No publish was acknowledged"));
}

static void a_test_of_a_device_whose_flash_fails_sends_rather_than_says(void **state)
{
    rig_t *rig = rig_of(state);
    clock_is(rig, UNIX_MS);
    go_online(rig);
    type(rig, "test");
    rig->flash.fail_writes_from = rig->flash.fail_erases_from = 1;
    measure(rig);
    assert_non_null(published(rig, APP_TOKEN_UNKEPT));
    assert_false(did(rig, ACTION_SAY));
    type(rig, "status");
    assert_true(said(rig, "THE FLASH FAILS"));
}

static void a_reading_that_can_not_be_printed_is_left_out_of_what_is_said(void **state)
{
    rig_t *rig = rig_of(state);
    sample_t sample = {.device_code = "D01", .count = 1, .readings = {{.tipo = "n", .valor = {.places = 200}}}};
    rig->app.testing = true;
    rig->app.testing_until_ms = UINT64_MAX;
    step(rig, (event_t){.type = EVENT_SAMPLE, .sample = &sample});
    const action_t *action = find(rig, ACTION_SAY);
    assert_non_null(action);
    assert_string_equal(action->text, "D01\n");
}

static void one_that_takes_no_updates_says_so_when_it_is_asked_for_one(void **state)
{
    rig_t *rig = rig_of(state);
    type(rig, "update");
    assert_true(said(rig, "There is no firmware server to ask: set ota_url."));
    type(rig, "status");
    assert_false(said(rig, "image: "));
}

static void a_line_of_nothing_is_answered_with_nothing(void **state)
{
    rig_t *rig = rig_of(state);
    tick(rig);
    type(rig, "");
    assert_int_equal(rig->actions.count, 0);
}

static void without_a_flash_and_a_certificate_status_says_so(void **state)
{
    rig_t *rig = rig_of(state);
    rig->flash.fail_reads = true;
    rig->options.factory_pair = (pair_times_t){0};
    power_up(rig);
    clock_is(rig, UNIX_MS);
    type(rig, "status");
    assert_true(said(rig, "outbox: 0 kept"));
    assert_true(said(rig, "THE FLASH FAILS"));
    assert_true(said(rig, "certificate: until not known"));
    assert_true(said(rig, "clock: 2026-05-28T20:26:40Z"));
}

static void what_is_more_than_the_buffer_holds_is_not_said(void **state)
{
    rig_t *rig = rig_of(state);
    sample_t sample;
    assert_true(sample_init(&sample, "D01"));
    for (int i = 0; i < SAMPLE_MAX_READINGS; i++) {
        char tipo[TIPO_MAX_BYTES + 1];
        memset(tipo, 'a' + i, TIPO_MAX_BYTES);
        tipo[TIPO_MAX_BYTES] = '\0';
        assert_true(sample_add(&sample, tipo, "", (decimal_t){.digits = INT64_MAX}));
    }
    rig->app.testing = true;
    rig->app.testing_until_ms = UINT64_MAX;
    rig->app.said_bytes = 0;
    for (int i = 0; i < 3; i++) { /* each is a step of its own, and has the buffer to itself */
        step(rig, (event_t){.type = EVENT_SAMPLE, .sample = &sample});
        assert_true(strlen(find(rig, ACTION_SAY)->text) < MESSAGE_MAX_BYTES);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_first_step_starts_the_network),
        TEST(a_connection_begins_with_subscriptions_and_presence_and_then_comes_what_waits),
        TEST(what_finds_no_room_is_said_in_the_next_step),
        TEST(goodbyes_and_sentences_that_find_no_room_are_left_out),
        TEST(an_event_that_nobody_knows_is_only_time),
        TEST(a_gateway_without_a_code_says_nothing_and_does_not_fall),
        TEST(a_sample_without_readings_is_none),
        TEST(a_sample_that_is_none_is_the_boards_fault_and_not_the_flashs),
        TEST(what_can_not_be_kept_is_sent_at_once_and_its_answer_counts),
        TEST(presence_that_is_answered_is_no_acknowledgement),
        TEST(health_says_what_an_operator_asks_first),
        TEST(what_was_sent_unkept_and_refused_is_counted_as_lost),
        TEST(what_was_sent_unkept_when_its_connection_ended_is_counted_as_lost),
        TEST(a_clients_own_refusal_is_no_proof_that_the_broker_lives),
        TEST(its_own_readings_come_every_five_minutes_however_late_a_loop_is),
        TEST(a_backlog_is_no_more_than_what_is_kept_when_the_ring_turns_on_a_connection),
        TEST(one_units_backlog_is_not_published_as_another_units),
        TEST(a_unit_whose_code_begins_like_the_formers_is_another),
        TEST(a_power_cut_while_a_board_becomes_another_unit_hands_nothing_on),
        TEST(a_former_units_readings_that_can_not_be_discarded_are_not_sent_either),
        TEST(what_is_kept_while_the_settings_still_name_the_former_unit_is_nothing),
        TEST(erased_or_unreadable_settings_cost_no_backlog),
        TEST(what_the_broker_is_told_is_of_the_settings),
        TEST(a_change_of_each_key_does_what_it_must),
        TEST(settings_that_cut_the_connection_are_undone_and_all_of_them_applied_again),
        TEST(a_time_that_is_none_changes_nothing),
        TEST(only_a_step_back_takes_another_place_in_the_interval),
        TEST(a_renewal_is_asked_for_when_it_is_due_and_the_device_is_connected),
        TEST(a_new_certificate_waits_for_what_is_on_its_way_but_not_for_ever),
        TEST(without_a_connection_a_new_certificate_is_nothing_to_hurry_about),
        TEST(a_test_says_what_was_measured_and_what_came_of_it),
        TEST(a_test_ends_after_a_minute),
        TEST(a_test_of_a_device_whose_flash_fails_sends_rather_than_says),
        TEST(a_reading_that_can_not_be_printed_is_left_out_of_what_is_said),
        TEST(one_that_takes_no_updates_says_so_when_it_is_asked_for_one),
        TEST(a_line_of_nothing_is_answered_with_nothing),
        TEST(without_a_flash_and_a_certificate_status_says_so),
        TEST(what_is_more_than_the_buffer_holds_is_not_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
