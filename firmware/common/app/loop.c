#include "loop.h"

#include <string.h>

#include "loop_parts.h"

void loop_init(loop_t *loop, app_t *app, const loop_ports_t *ports)
{
    memset(loop, 0, sizeof(*loop));
    loop->app = app;
    loop->ports = ports;
}

static uint64_t now_ms(const loop_t *loop)
{
    return loop->ports->clock->since_boot_ms(loop->ports->clock->ctx);
}

/* Waits for no longer than until something is due. False: nothing came. */
static bool wait_for_event(loop_t *loop, event_t *out)
{
    const uint64_t now = now_ms(loop);
    const uint64_t due_ms = app_next_due_ms(loop->app, now);
    uint64_t wait_ms = due_ms > now ? due_ms - now : 0;
    wait_ms = wait_ms < LOOP_WAIT_MAX_MS ? wait_ms : LOOP_WAIT_MAX_MS;
    return loop->ports->events->next(loop->ports->events->ctx, (uint32_t)wait_ms, out);
}

static void next_sample(loop_t *loop, event_t *out)
{
    const board_t *board = loop->ports->board;
    const char *own_code = config_text(&loop->app->config, CONFIG_DEVICE_CODE);
    memset(&loop->sample, 0, sizeof(loop->sample));
    if (loop->device < LOOP_DEVICES_MAX &&
        board->measure(board->ctx, loop->device, own_code, loop->app->measured_ms, &loop->sample)) {
        loop->device++;
        *out = (event_t){.type = EVENT_SAMPLE, .sample = &loop->sample};
    } else {
        loop->measuring = false;
        *out = (event_t){.type = EVENT_MEASURED};
    }
}

static event_t next_event(loop_t *loop)
{
    event_t event;
    if (loop->no_broker) {
        loop->no_broker = false;
        event = (event_t){.type = EVENT_MQTT_FAILED, .failure = FAILURE_NO_BROKER};
    } else if (loop->no_request) {
        loop->no_request = false;
        event = (event_t){.type = EVENT_HTTP_END,
                          .http_end = {.number = loop->request_number, .end = HTTP_CUT, .failure = FAILURE_TCP}};
    } else if (loop->measuring) {
        next_sample(loop, &event);
    } else if (!wait_for_event(loop, &event)) {
        event = (event_t){.type = EVENT_TICK};
    }
    return event;
}

static void start_network(const loop_t *loop)
{
    const config_t *config = &loop->app->config;
    const port_network_t *network = loop->ports->network;
    network->start(network->ctx, config_text(config, CONFIG_WIFI_SSID), config_text(config, CONFIG_WIFI_PASSWORD),
                   config_text(config, CONFIG_APN));
}

static void connect(loop_t *loop)
{
    app_mqtt_options_t options;
    if (app_mqtt_options(loop->app, &options)) {
        loop->ports->mqtt->connect(loop->ports->mqtt->ctx, &options);
    } else {
        loop->no_broker = true;
    }
}

static void measure(loop_t *loop)
{
    const port_network_t *network = loop->ports->network;
    int32_t signal_dbm = 0;
    const bool known = network->signal_dbm != NULL && network->signal_dbm(network->ctx, &signal_dbm);
    app_set_signal(loop->app, known, signal_dbm);
    loop->measuring = true;
    loop->device = 0;
}

static void renew(loop_t *loop)
{
    const char *url = config_text(&loop->app->config, CONFIG_OTA_URL);
    if (url[0] != '\0') { /* otherwise it counts as failed when its time is over */
        loop->ports->identity->renew(loop->ports->identity->ctx, url, loop->app->options.gateway_code);
    }
}

static void begin_request(loop_t *loop, const http_request_t *request)
{
    loop->request_number = request->number;
    loop->no_request = loop->ports->http == NULL || !loop->ports->http->begin(loop->ports->http->ctx, request);
}

/* One line after the other, without their ends. */
static void say(const loop_t *loop, const char *text)
{
    char line[CONSOLE_LINE_MAX_BYTES + 1];
    while (loop->ports->say != NULL && *text != '\0') {
        const size_t len = strcspn(text, "\n");
        const size_t fits = len < sizeof(line) ? len : sizeof(line) - 1;
        memcpy(line, text, fits);
        line[fits] = '\0';
        loop->ports->say(loop->ports->say_ctx, line);
        text += text[len] == '\n' ? len + 1 : len;
    }
}

void loop_perform(loop_t *loop, const action_t *action)
{
    const loop_ports_t *ports = loop->ports;
    loop_log_action(loop, action);
    switch (action->type) {
    case ACTION_NETWORK_START:
        start_network(loop);
        break;
    case ACTION_NETWORK_RESTART:
        ports->network->restart(ports->network->ctx);
        break;
    case ACTION_MODEM_RESTART:
        ports->network->restart_modem(ports->network->ctx);
        break;
    case ACTION_REBOOT:
        ports->reboot->reboot(ports->reboot->ctx, action->reason);
        break;
    case ACTION_MQTT_CONNECT:
        connect(loop);
        break;
    case ACTION_MQTT_CLOSE:
        loop->no_broker = false;
        ports->mqtt->close(ports->mqtt->ctx);
        break;
    case ACTION_MQTT_PUBLISH:
        /* What is not taken is not acknowledged either, and the sender's time-out sees to it. */
        (void)ports->mqtt->publish(ports->mqtt->ctx, action->publish.topic, action->publish.payload,
                                   action->publish.len_bytes, action->publish.retain, action->publish.token);
        break;
    case ACTION_MQTT_SUBSCRIBE:
        (void)ports->mqtt->subscribe(ports->mqtt->ctx, action->topic);
        break;
    case ACTION_MEASURE:
        measure(loop);
        break;
    case ACTION_RENEW:
        renew(loop);
        break;
    case ACTION_USE_PAIR:
        ports->identity->use(ports->identity->ctx, action->pair);
        break;
    case ACTION_HTTP_BEGIN:
        begin_request(loop, action->http);
        break;
    case ACTION_HTTP_CANCEL:
        loop->no_request = false;
        ports->http->cancel(ports->http->ctx);
        break;
    case ACTION_GO_BACK:
        ports->ota->roll_back(ports->ota->ctx);
        break;
    case ACTION_SAY:
        say(loop, action->text);
        break;
    }
}

static void perform_all(loop_t *loop, const actions_t *actions)
{
    for (uint8_t i = 0; i < actions->count; i++) {
        loop_perform(loop, &actions->items[i]);
    }
}

static led_t run_light(const app_t *app)
{
    switch (app->connection.state) {
    case LINK_ONLINE:
        return LED_ON;
    case LINK_CONNECTING:
        return LED_BLINK_FAST;
    case LINK_NO_NETWORK:
    case LINK_WAITING:
        break;
    }
    return LED_BLINK_SLOW;
}

/* On: the device itself is broken. Fast: somebody has to do something about its settings or certificates. Slow: the way
 * to the broker, or the broker; it comes back by itself. */
static led_t fault_light(const app_t *app)
{
    if (app->storage_failed) {
        return LED_ON;
    }
    if (app->connection.state == LINK_ONLINE) {
        return LED_OFF;
    }
    switch (app->connection.last_failure) {
    case FAILURE_NONE:
        return LED_OFF;
    case FAILURE_NETWORK:
    case FAILURE_DNS:
    case FAILURE_TCP:
    case FAILURE_MQTT_UNAVAILABLE:
    case FAILURE_TIMEOUT:
    case FAILURE_CLOSED:
        return LED_BLINK_SLOW;
    case FAILURE_TLS_EXPIRED:
    case FAILURE_TLS_HOST:
    case FAILURE_TLS_AUTHORITY:
    case FAILURE_TLS_OTHER:
    case FAILURE_MQTT_REFUSED:
    case FAILURE_CREDENTIALS:
    case FAILURE_NO_BROKER:
        break;
    }
    return LED_BLINK_FAST;
}

static void light(loop_t *loop)
{
    const board_t *board = loop->ports->board;
    const led_t run = run_light(loop->app), fault = fault_light(loop->app);
    if (board->leds != NULL && (!loop->lit || run != loop->run || fault != loop->fault)) {
        loop->lit = true;
        loop->run = run;
        loop->fault = fault;
        board->leds(board->ctx, run, fault);
    }
}

void loop_turn(loop_t *loop)
{
    const event_t event = next_event(loop);
    const uint64_t now = now_ms(loop);
    actions_t actions = {.count = 0};
    app_step(loop->app, now, loop->ports->random->next(loop->ports->random->ctx), &event, &actions);
    perform_all(loop, &actions);
    loop_log(loop, now, &event);
    light(loop);
}

void loop_end(loop_t *loop)
{
    actions_t actions = {.count = 0};
    app_leave(loop->app, now_ms(loop), &actions);
    perform_all(loop, &actions);
}
