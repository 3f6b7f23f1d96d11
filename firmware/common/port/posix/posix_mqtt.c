#include <mqtt_protocol.h>
#include <sys/socket.h>

#include "posix_mqtt_parts.h"

static int read_all(struct mosquitto *client)
{
    int error = mosquitto_loop_read(client, 1);
    const SSL *ssl = mosquitto_ssl_get(client);
    /* TLS hands out whole records: what is already decrypted makes no socket readable again. */
    for (int i = 0; i < POSIX_MQTT_MESSAGES_MAX && error == MOSQ_ERR_SUCCESS && mosquitto_socket(client) >= 0 &&
                    ssl != NULL && SSL_pending(ssl) > 0;
         i++) {
        error = mosquitto_loop_read(client, 1);
    }
    return error;
}

static void serve_open(posix_mqtt_t *mqtt, uint64_t now_ms, short found)
{
    int error = MOSQ_ERR_SUCCESS;
    if ((found & (POLLIN | POLLERR | POLLHUP)) != 0) {
        error = read_all(mqtt->client);
    }
    if (error == MOSQ_ERR_SUCCESS && mosquitto_socket(mqtt->client) >= 0 && (found & POLLOUT) != 0) {
        error = mosquitto_loop_write(mqtt->client, POSIX_MQTT_IN_FLIGHT_MAX);
    }
    if (error == MOSQ_ERR_SUCCESS && mosquitto_socket(mqtt->client) >= 0 && now_ms >= mqtt->misc_at_ms) {
        mqtt->misc_at_ms = now_ms + POSIX_MQTT_MISC_MS;
        error = mosquitto_loop_misc(mqtt->client);
    }
    posix_mqtt_settle(mqtt, error);
}

static void serve(void *ctx, uint64_t now_ms, const posix_watch_t *watch)
{
    posix_mqtt_t *mqtt = ctx;
    short found = mqtt->client == NULL ? 0 : posix_watch_found(watch, mosquitto_socket(mqtt->client));
    switch (mqtt->state) {
    case POSIX_MQTT_IDLE:
        break;
    case POSIX_MQTT_RESOLVING:
    case POSIX_MQTT_CONNECTING:
    case POSIX_MQTT_HANDSHAKE:
        posix_mqtt_serve_connecting(mqtt, now_ms, found);
        break;
    case POSIX_MQTT_GREETING:
    case POSIX_MQTT_ONLINE:
        serve_open(mqtt, now_ms, found);
        break;
    }
}

static short handshake_waits_for(const posix_mqtt_t *mqtt)
{
    const SSL *ssl = mosquitto_ssl_get(mqtt->client);
    return ssl != NULL && SSL_want_write(ssl) ? POLLOUT : POLLIN;
}

static void watch(void *ctx, uint64_t now_ms, posix_watch_t *watch)
{
    posix_mqtt_t *mqtt = ctx;
    switch (mqtt->state) {
    case POSIX_MQTT_IDLE:
        break;
    case POSIX_MQTT_RESOLVING:
        posix_watch_add(watch, posix_resolver_fd(&mqtt->resolver), POLLIN);
        posix_watch_within(watch, POSIX_MQTT_MISC_MS);
        break;
    case POSIX_MQTT_CONNECTING:
        posix_watch_add(watch, mosquitto_socket(mqtt->client), POLLOUT);
        posix_watch_within(watch, mqtt->due_ms > now_ms ? mqtt->due_ms - now_ms : 0);
        break;
    case POSIX_MQTT_HANDSHAKE:
        posix_watch_add(watch, mosquitto_socket(mqtt->client), handshake_waits_for(mqtt));
        break;
    case POSIX_MQTT_GREETING:
    case POSIX_MQTT_ONLINE:
        posix_watch_add(watch, mosquitto_socket(mqtt->client),
                        (short)(POLLIN | (mosquitto_want_write(mqtt->client) ? POLLOUT : 0)));
        posix_watch_within(watch, mqtt->misc_at_ms > now_ms ? mqtt->misc_at_ms - now_ms : 0);
        break;
    }
}

/* The port */

/* A reset on the wire and no DISCONNECT: the broker publishes the will. */
static void break_off(posix_mqtt_t *mqtt)
{
    if (mqtt->client != NULL && mosquitto_socket(mqtt->client) >= 0) {
        const struct linger reset = {.l_onoff = 1, .l_linger = 0};
        setsockopt(mosquitto_socket(mqtt->client), SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    }
    posix_mqtt_let_go(mqtt);
    posix_mqtt_queue_clear(&mqtt->queue);
}

void posix_mqtt_drop(posix_mqtt_t *mqtt)
{
    break_off(mqtt);
    posix_mqtt_queue_end(&mqtt->queue);
}

static void connect_to(void *ctx, const app_mqtt_options_t *options)
{
    posix_mqtt_connect(ctx, options);
}

static void close_connection(void *ctx)
{
    posix_mqtt_t *mqtt = ctx;
    if (!posix_network_is_up(mqtt->network)) {
        break_off(mqtt); /* there is no way for a goodbye */
        return;
    }
    if (mqtt->state == POSIX_MQTT_ONLINE) {
        mosquitto_disconnect_v5(mqtt->client, MQTT_RC_NORMAL_DISCONNECTION, NULL);
    }
    posix_mqtt_let_go(mqtt);
    posix_mqtt_queue_clear(&mqtt->queue);
}

static bool publish(void *ctx, const char *topic, const char *payload, uint16_t len_bytes, bool retain, uint16_t token)
{
    posix_mqtt_t *mqtt = ctx;
    posix_in_flight_t *free_place = NULL;
    for (size_t i = 0; i < POSIX_MQTT_IN_FLIGHT_MAX && free_place == NULL; i++) {
        free_place = mqtt->in_flight[i].token == 0 ? &mqtt->in_flight[i] : NULL;
    }
    if (mqtt->state != POSIX_MQTT_ONLINE || free_place == NULL) {
        return false;
    }
    int mid = 0;
    int error = mosquitto_publish_v5(mqtt->client, &mid, topic, len_bytes, payload, 1, retain, NULL);
    if (error == MOSQ_ERR_OVERSIZE_PACKET) {
        /* It said at CONNACK what it would refuse; this is the refusal without the way there and back. */
        event_t event = {.type = EVENT_MQTT_ACKED,
                         .ack = {.token = token, .reason = MQTT_RC_PACKET_TOO_LARGE, .local = true}};
        posix_mqtt_queue_add(&mqtt->queue, event);
        return true;
    }
    if (error != MOSQ_ERR_SUCCESS) {
        return false;
    }
    *free_place = (posix_in_flight_t){.mid = (uint16_t)mid, .token = token};
    return true;
}

static bool subscribe(void *ctx, const char *topic)
{
    posix_mqtt_t *mqtt = ctx;
    return mqtt->state == POSIX_MQTT_ONLINE &&
           mosquitto_subscribe_v5(mqtt->client, NULL, topic, 1, 0, NULL) == MOSQ_ERR_SUCCESS;
}

static bool take(void *ctx, event_t *out)
{
    posix_mqtt_t *mqtt = ctx;
    return posix_mqtt_queue_take(&mqtt->queue, out);
}

bool posix_mqtt_init(posix_mqtt_t *mqtt, const port_log_t *log, const posix_network_t *network,
                     bool (*tls_options)(void *ctx, posix_tls_options_t *out), void *tls_ctx)
{
    *mqtt = (posix_mqtt_t){.log = log, .network = network, .tls_options = tls_options, .tls_ctx = tls_ctx};
    mqtt->port = (port_mqtt_t){
        .ctx = mqtt, .connect = connect_to, .close = close_connection, .publish = publish, .subscribe = subscribe};
    return mosquitto_lib_init() == MOSQ_ERR_SUCCESS;
}

posix_source_t posix_mqtt_source(posix_mqtt_t *mqtt)
{
    return (posix_source_t){.ctx = mqtt, .watch = watch, .serve = serve, .take = take};
}
