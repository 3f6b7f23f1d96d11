#include "app.h"

#include <stdio.h>
#include <string.h>

#include "app_parts.h"

#define MS_PER_S 1000

int64_t app_unix_s(const app_t *app, uint64_t now_ms)
{
    return app->clock.known ? wall_clock_unix_ms(&app->clock, now_ms) / MS_PER_S : 0;
}

static uint32_t interval_s(const app_t *app)
{
    return config_number(&app->config, CONFIG_INTERVAL_S);
}

static void write_presence(const app_t *app, bool online, int64_t unix_s, char *out, size_t cap_bytes)
{
    if (presence_payload(app->options.gateway_code, online, unix_s, app->options.firmware, interval_s(app), out,
                         cap_bytes) == 0) {
        out[0] = '\0';
    }
}

bool app_init(app_t *app, const app_options_t *options, uint64_t now_ms, uint32_t random)
{
    memset(app, 0, sizeof(*app));
    app->options = *options;
    config_load(&app->config, options->kv, options->factory, now_ms);
    app->undone = app->config.undone_at_power_up ? 1 : 0;
    app_init_updates(app, now_ms, random);
    app->has_outbox = outbox_mount(&app->outbox, options->flash, options->boot) && app_claim_outbox(app);
    app->storage_failed = !app->has_outbox;
    app->health.boots = options->boot;
    app->health.boot_reason = options->boot_reason;
    sender_init(&app->sender, app->has_outbox ? &app->outbox : NULL,
                config_number(&app->config, CONFIG_RESEND_WINDOW_S));
    connection_init(&app->connection, now_ms, options->has_modem);
    sampling_init(&app->sampling, now_ms, interval_s(app), random);
    app_init_pairs(app);
    (void)presence_topic(options->gateway_code, app->presence_topic, sizeof(app->presence_topic));
    write_presence(app, false, 0, app->will_payload, sizeof(app->will_payload));
    (void)snprintf(app->update_topic, sizeof(app->update_topic), COMMAND_TOPIC_HEAD "%s" COMMAND_TOPIC_TAIL,
                   options->gateway_code);
    app->to_start_network = true;
    return app->has_outbox;
}

void app_align(app_t *app, uint64_t now_ms)
{
    if (app->clock.known) {
        const uint32_t phase = sampling_phase(app->options.place, app->outbox.boot, app->steps_back);
        sampling_align(&app->sampling, now_ms, app->clock.offset_ms, phase);
    }
}

/* Presence, retained, as a publish that the sender knows nothing of. */
static bool announce(app_t *app, uint64_t now_ms, bool online, actions_t *actions)
{
    action_t *action = actions_add(actions, ACTION_MQTT_PUBLISH);
    if (action == NULL) {
        return false;
    }
    write_presence(app, online, app_unix_s(app, now_ms), app->presence_payload, sizeof(app->presence_payload));
    action->publish.topic = app->presence_topic;
    action->publish.payload = app->presence_payload;
    action->publish.len_bytes = (uint16_t)strlen(app->presence_payload);
    action->publish.token = APP_TOKEN_PRESENCE;
    action->publish.retain = true;
    return true;
}

/* What was on its way when its connection ended will not be answered any more. */
static void count_lost(app_t *app)
{
    if (app->connection.state != LINK_ONLINE) {
        app->lost += app->unkept;
        app->unkept = 0;
    }
}

void app_leave(app_t *app, uint64_t now_ms, actions_t *actions)
{
    if (app->connection.state == LINK_ONLINE) {
        (void)announce(app, now_ms, false, actions);
    }
    connection_renew(&app->connection, now_ms, actions);
    sender_offline(&app->sender);
    count_lost(app);
}

static void on_clock(app_t *app, uint64_t now_ms, int64_t unix_ms)
{
    switch (wall_clock_set(&app->clock, now_ms, unix_ms)) {
    case CLOCK_REFUSED:
        return;
    case CLOCK_STEPPED_BACK:
        app->steps_back++; /* its seconds come a second time: to another place within the interval */
        break;
    case CLOCK_FIRST:
    case CLOCK_ADJUSTED:
    case CLOCK_STEPPED_FORWARD:
        break;
    }
    if (app->has_outbox) {
        (void)outbox_set_offset(&app->outbox, app->clock.offset_ms); /* the first counts; it says it till it is kept */
    }
    app_align(app, now_ms);
}

static void on_message(app_t *app, uint64_t now_ms, uint32_t random, const event_t *event)
{
    command_t command;
    command_parse(app->options.gateway_code, event->message.topic, event->message.payload, event->message.len_bytes,
                  &command);
    if (command.type == COMMAND_REFUSED) {
        app->commands_refused++;
        app->refusal = command.refusal;
        return;
    }
    app->commands++;
    if (app->options.crypto != NULL && command.type == COMMAND_UPDATE) {
        app_judge(app, now_ms, &command);
    } else if (app->options.crypto != NULL) {
        update_poll_told(&app->updates.poll, now_ms, random);
    }
    app->command = command;
    app->command.manifest = app->command.ticket = NULL; /* they point into the payload, which ends with this step */
    app->command.manifest_len_bytes = app->command.ticket_len_bytes = 0;
}

static void on_event(app_t *app, uint64_t now_ms, uint32_t random, const event_t *event, actions_t *actions)
{
    switch (event->type) {
    case EVENT_TICK:
    case EVENT_NETWORK_UP:
    case EVENT_NETWORK_DOWN:
    case EVENT_MQTT_CONNECTED:
    case EVENT_MQTT_FAILED:
    case EVENT_MQTT_CLOSED:
    case EVENT_MQTT_ACKED:
        break; /* of connection and sender */
    case EVENT_HTTP_ANSWER:
    case EVENT_HTTP_PIECE:
    case EVENT_HTTP_END:
        break; /* of updates */
    case EVENT_MQTT_MESSAGE:
        on_message(app, now_ms, random, event);
        break;
    case EVENT_CLOCK:
        on_clock(app, now_ms, event->unix_ms);
        break;
    case EVENT_SAMPLE:
        app_take_sample(app, event->sample, actions);
        break;
    case EVENT_MEASURED:
        app_take_health(app, now_ms, actions);
        break;
    case EVENT_CONSOLE_LINE:
        app_take_line(app, now_ms, event->line, actions);
        break;
    case EVENT_RENEWAL_DONE:
        app_take_renewal(app, now_ms, random, event);
        break;
    }
}

/* There is a connection, and all that there is to say is said; or nobody said where to connect to. */
static bool is_well(const app_t *app)
{
    return (app->connection.state == LINK_ONLINE && sender_is_idle(&app->sender)) ||
           config_text(&app->config, CONFIG_BROKER_URI)[0] == '\0';
}

static void step_connection(app_t *app, uint64_t now_ms, uint32_t random, const event_t *event, actions_t *actions)
{
    if (is_well(app)) {
        connection_well(&app->connection, now_ms);
    }
    app->connection.clockless = !app->clock.known;
    const bool was_online = app->connection.state == LINK_ONLINE;
    const bool was_connecting = app->connection.state == LINK_CONNECTING;
    connection_step(&app->connection, now_ms, random, event, actions);
    const bool is_online = app->connection.state == LINK_ONLINE;
    if (is_online && !was_online) {
        sender_online(&app->sender);
        pair_choice_accepted(&app->pairs);
        app->renewed = false;
        app->to_subscribe = APP_TOPIC_OWN | APP_TOPIC_ALL;
        app->to_announce = true;
    } else if (!is_online && was_online) {
        sender_offline(&app->sender);
    } else if (was_connecting && event->type == EVENT_MQTT_FAILED) {
        app_take_refusal(app, now_ms, event->failure);
    }
}

static void acknowledged(app_t *app, uint64_t now_ms, actions_t *actions)
{
    app->acknowledged++;
    connection_acknowledged(&app->connection, now_ms);
    config_confirm(&app->config);
    app_test_acknowledged(app, actions);
}

static void on_unkept_answered(app_t *app, uint64_t now_ms, const event_t *event, actions_t *actions)
{
    app->unkept--;
    if (sender_acknowledges(event->ack.reason)) {
        acknowledged(app, now_ms, actions);
        return;
    }
    app->lost++;
    if (!event->ack.local) {
        connection_well(&app->connection, now_ms);
    }
}

static void step_sender(app_t *app, uint64_t now_ms, uint32_t random, const event_t *event, actions_t *actions)
{
    if (event->type == EVENT_MQTT_ACKED && event->ack.token == APP_TOKEN_UNKEPT && app->unkept > 0) {
        on_unkept_answered(app, now_ms, event, actions);
    }
    switch (sender_step(&app->sender, app->options.gateway_code, now_ms, random, event, actions)) {
    case SENDER_NOTHING:
        break;
    case SENDER_ANSWERED:
        connection_well(&app->connection, now_ms);
        break;
    case SENDER_ACKNOWLEDGED:
        acknowledged(app, now_ms, actions);
        break;
    case SENDER_STUCK:
        connection_give_up(&app->connection, now_ms, random, FAILURE_TIMEOUT, actions);
        break;
    }
}

static bool is_reconnect_due(const app_t *app, uint64_t now_ms)
{
    return app->renewed && app->connection.state == LINK_ONLINE &&
           (sender_is_idle(&app->sender) || now_ms >= app->renewed_until_ms);
}

/* What is due by the clock alone. */
static void look_at_the_clock(app_t *app, uint64_t now_ms, uint32_t random, actions_t *actions)
{
    if (config_undo_due(&app->config, now_ms)) {
        app->undone++;
        app_apply_all(app, now_ms, actions);
    }
    if (is_reconnect_due(app, now_ms)) {
        app_leave(app, now_ms, actions);
    }
    if (sampling_due(&app->sampling, now_ms)) {
        app->to_measure = true;
        app_align(app, now_ms);
    }
    if (app->clock.known && app->connection.state == LINK_ONLINE &&
        renewal_due(&app->renewal, app_unix_s(app, now_ms), random)) {
        app->to_renew = true;
    }
    app_test_tick(app, now_ms, actions);
}

static void say(bool *wanted, action_type_t type, actions_t *actions)
{
    if (*wanted && actions_add(actions, type) != NULL) {
        *wanted = false;
    }
}

static void subscribe(app_t *app, uint8_t which, const char *topic, actions_t *actions)
{
    action_t *action = (app->to_subscribe & which) != 0 ? actions_add(actions, ACTION_MQTT_SUBSCRIBE) : NULL;
    if (action != NULL) {
        action->topic = topic;
        app->to_subscribe = (uint8_t)(app->to_subscribe & ~which);
    }
}

static void use_pair(app_t *app, actions_t *actions)
{
    action_t *action = app->to_use_pair ? actions_add(actions, ACTION_USE_PAIR) : NULL;
    if (action != NULL) {
        action->pair = app->pairs.in_use;
        app->to_use_pair = false;
    }
}

static void say_what_waits(app_t *app, uint64_t now_ms, actions_t *actions)
{
    if (app->connection.state == LINK_ONLINE) {
        subscribe(app, APP_TOPIC_OWN, app->update_topic, actions);
        subscribe(app, APP_TOPIC_ALL, COMMAND_TOPIC_OF_ALL, actions);
        if (app->to_announce && announce(app, now_ms, true, actions)) {
            app->to_announce = false;
        }
    }
    say(&app->to_start_network, ACTION_NETWORK_START, actions);
    use_pair(app, actions);
    say(&app->to_renew, ACTION_RENEW, actions);
    const bool waits = app->to_measure;
    say(&app->to_measure, ACTION_MEASURE, actions);
    if (waits && !app->to_measure) {
        app->measured_ms = now_ms;
    }
}

void app_step(app_t *app, uint64_t now_ms, uint32_t random, const event_t *event, actions_t *actions)
{
    app->busy = false;
    step_connection(app, now_ms, random, event, actions);
    on_event(app, now_ms, random, event, actions);
    look_at_the_clock(app, now_ms, random, actions);
    say_what_waits(app, now_ms, actions);
    if (!app->busy) {
        step_sender(app, now_ms, random, event, actions);
    }
    app_step_updates(app, now_ms, random, event, actions);
    count_lost(app);
}

static uint64_t earlier(uint64_t a_ms, uint64_t b_ms)
{
    return a_ms < b_ms ? a_ms : b_ms;
}

static uint64_t renewal_due_ms(const app_t *app, uint64_t now_ms)
{
    if (!app->clock.known || app->connection.state != LINK_ONLINE) {
        return UINT64_MAX;
    }
    const int64_t unix_ms = wall_clock_unix_ms(&app->clock, now_ms);
    const int64_t due_unix_s = renewal_next_due_unix_s(&app->renewal, unix_ms / MS_PER_S);
    if (due_unix_s > INT64_MAX / MS_PER_S) {
        return UINT64_MAX;
    }
    const int64_t in_ms = due_unix_s * MS_PER_S - unix_ms;
    return in_ms > 0 ? now_ms + (uint64_t)in_ms : now_ms;
}

uint64_t app_next_due_ms(const app_t *app, uint64_t now_ms)
{
    const bool is_online = app->connection.state == LINK_ONLINE;
    if (app->to_start_network || app->to_measure || app->to_renew || app->to_use_pair ||
        is_reconnect_due(app, now_ms) || (is_online && (app->to_announce || app->to_subscribe != 0))) {
        return now_ms;
    }
    uint64_t due_ms = connection_next_due_ms(&app->connection);
    due_ms = earlier(due_ms, app->sampling.next_ms);
    due_ms = earlier(due_ms, sender_next_due_ms(&app->sender, now_ms));
    due_ms = earlier(due_ms, config_next_due_ms(&app->config));
    due_ms = earlier(due_ms, renewal_due_ms(app, now_ms));
    due_ms = earlier(due_ms, app_updates_due_ms(app, now_ms));
    due_ms = earlier(due_ms, app->renewed && is_online ? app->renewed_until_ms : UINT64_MAX);
    return earlier(due_ms, app->testing ? app->testing_until_ms : UINT64_MAX);
}
