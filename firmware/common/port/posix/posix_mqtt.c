#include "posix_mqtt.h"

#include <errno.h>
#include <mqtt_protocol.h>
#include <string.h>
#include <sys/socket.h>

#include "posix_clock.h"
#include "posix_log.h"
#include "posix_mqtt_client.h"
#include "posix_mqtt_failure.h"

static const char *TAG = "mqtt";

static void begin_address(posix_mqtt_t *mqtt, uint64_t now_ms);

static bool take(void *ctx, event_t *out)
{
    posix_mqtt_t *mqtt = ctx;
    return posix_mqtt_queue_take(&mqtt->queue, out);
}

/* The end of a connection */

static void let_go(posix_mqtt_t *mqtt)
{
    posix_resolver_cancel(&mqtt->resolver);
    if (mqtt->client != NULL) {
        mosquitto_destroy(mqtt->client);
        mqtt->client = NULL;
    }
    SSL_CTX_free(mqtt->context);
    mqtt->context = NULL;
    memset(mqtt->in_flight, 0, sizeof(mqtt->in_flight));
    mqtt->state = POSIX_MQTT_IDLE;
}

static void fail(posix_mqtt_t *mqtt, failure_t failure, const char *why)
{
    posix_log(mqtt->log, LOG_INFO, TAG, "no connection to %s:%u: %s (%s)", mqtt->host, mqtt->port_number, why,
              failure_name(failure));
    let_go(mqtt);
    posix_mqtt_queue_add(&mqtt->queue, (event_t){.type = EVENT_MQTT_FAILED, .failure = failure});
}

static void lost(posix_mqtt_t *mqtt)
{
    const char *why = mqtt->hung_up >= MQTT_RC_UNSPECIFIED ? mosquitto_reason_string(mqtt->hung_up)
                                                           : mosquitto_strerror(mqtt->hung_up);
    const char *tls_why = mqtt->context != NULL ? posix_tls_why(&mqtt->tls) : "";
    posix_log(mqtt->log, LOG_INFO, TAG, "the connection to %s:%u is lost: %s", mqtt->host, mqtt->port_number,
              tls_why[0] != '\0' ? tls_why : why);
    let_go(mqtt);
    posix_mqtt_queue_add(&mqtt->queue, (event_t){.type = EVENT_MQTT_CLOSED, .failure = FAILURE_CLOSED});
}

static void ended_before_online(posix_mqtt_t *mqtt, int error)
{
    if (mqtt->refused != 0) {
        fail(mqtt, posix_mqtt_failure_of_connack(mqtt->refused), mosquitto_reason_string(mqtt->refused));
    } else if (mqtt->context != NULL && posix_tls_failure(&mqtt->tls) != FAILURE_NONE) {
        fail(mqtt, posix_tls_failure(&mqtt->tls), posix_tls_why(&mqtt->tls));
    } else if (mqtt->state == POSIX_MQTT_HANDSHAKE) {
        fail(mqtt, FAILURE_TLS_OTHER, "it ended the TLS handshake");
    } else if (error == MOSQ_ERR_PROTOCOL || error == MOSQ_ERR_MALFORMED_PACKET) {
        fail(mqtt, FAILURE_MQTT_REFUSED, "it does not speak MQTT 5");
    } else if (mqtt->context != NULL && strcmp(mqtt->tls.version, "TLSv1.3") == 0) {
        /* In TLS 1.3 a server looks at our certificate when we have long sent CONNECT, and the reset that follows its
         * alert may overtake it. */
        fail(mqtt, FAILURE_TLS_OTHER, "it hung up before it answered, as when it refuses a certificate");
    } else {
        fail(mqtt, FAILURE_TCP, "it hung up before it answered");
    }
}

/* After each call that may have ended the connection. */
static void settle(posix_mqtt_t *mqtt, int error)
{
    if (error == MOSQ_ERR_SUCCESS && mosquitto_socket(mqtt->client) >= 0 && mqtt->refused == 0) {
        return;
    }
    if (mqtt->hung_up == 0) {
        mqtt->hung_up = error;
    }
    if (mqtt->state == POSIX_MQTT_ONLINE) {
        lost(mqtt);
    } else {
        ended_before_online(mqtt, error);
    }
}

/* Connecting */

static void address_failed(posix_mqtt_t *mqtt, uint64_t now_ms, const char *why)
{
    if (mqtt->client != NULL) {
        mosquitto_destroy(mqtt->client);
        mqtt->client = NULL;
    }
    if (mqtt->tried < mqtt->resolver.count) {
        begin_address(mqtt, now_ms);
        return;
    }
    mqtt->turn++;
    fail(mqtt, FAILURE_TCP, why);
}

/* By what its callbacks noted: the connection itself is gone by then. */
static bool has_heard_of_tls(const posix_mqtt_t *mqtt)
{
    return mqtt->context != NULL && (posix_tls_failure(&mqtt->tls) != FAILURE_NONE || mqtt->tls.version[0] != '\0');
}

static void begin_address(posix_mqtt_t *mqtt, uint64_t now_ms)
{
    mqtt->address = (uint8_t)((mqtt->turn + mqtt->tried) % mqtt->resolver.count);
    mqtt->tried++;
    mqtt->state = POSIX_MQTT_CONNECTING;
    mqtt->due_ms = now_ms + POSIX_MQTT_TCP_TIMEOUT_MS;
    mqtt->client = posix_mqtt_client_new(mqtt);
    if (mqtt->client == NULL) {
        fail(mqtt, FAILURE_TCP, "out of memory");
        return;
    }
    const char *address = mqtt->resolver.addresses[mqtt->address];
    posix_log(mqtt->log, LOG_DEBUG, TAG, "connecting to %s, port %u", address, mqtt->port_number);
    int error = mosquitto_connect_bind_async(mqtt->client, address, mqtt->port_number, (int)mqtt->keep_alive_s, NULL);
    if (error == MOSQ_ERR_TLS || (error > 0 && has_heard_of_tls(mqtt))) {
        /* A server beside us can be quicker than this call: the handshake began in it, and ended. */
        mqtt->state = POSIX_MQTT_HANDSHAKE;
        ended_before_online(mqtt, error);
    } else if (error > 0) { /* below 0: under way */
        address_failed(mqtt, now_ms, error == MOSQ_ERR_ERRNO ? strerror(errno) : mosquitto_strerror(error));
    }
}

static bool begin_tls(posix_mqtt_t *mqtt)
{
    posix_tls_options_t options = {0};
    if (!mqtt->tls_options(mqtt->tls_ctx, &options)) {
        return false;
    }
    options.host = mqtt->host;
    mqtt->context = posix_tls_context(&options, &mqtt->tls);
    return mqtt->context != NULL;
}

static void copy(char *out, size_t cap_bytes, const char *text)
{
    size_t len = strnlen(text == NULL ? "" : text, cap_bytes - 1);
    memcpy(out, text == NULL ? "" : text, len);
    out[len] = '\0';
}

static void connect_to(void *ctx, const app_mqtt_options_t *options)
{
    posix_mqtt_t *mqtt = ctx;
    uint64_t now_ms = posix_now_ms();
    let_go(mqtt);
    posix_mqtt_queue_clear(&mqtt->queue);
    copy(mqtt->host, sizeof(mqtt->host), options->host);
    copy(mqtt->client_id, sizeof(mqtt->client_id), options->client_id);
    copy(mqtt->will_topic, sizeof(mqtt->will_topic), options->will_topic);
    copy(mqtt->will_payload, sizeof(mqtt->will_payload), options->will_payload);
    mqtt->port_number = options->port;
    mqtt->keep_alive_s = options->keep_alive_s;
    mqtt->refused = mqtt->hung_up = 0;
    mqtt->tried = 0;
    if (options->tls && !begin_tls(mqtt)) {
        fail(mqtt, FAILURE_CREDENTIALS, "key, certificate or authorities of this device are missing");
        return;
    }
    switch (posix_resolver_begin(&mqtt->resolver, mqtt->host, now_ms)) {
    case RESOLVER_FOUND:
        begin_address(mqtt, now_ms);
        break;
    case RESOLVER_FAILED:
        fail(mqtt, FAILURE_DNS, mqtt->resolver.why);
        break;
    case RESOLVER_WAITS:
        mqtt->state = POSIX_MQTT_RESOLVING;
        break;
    }
}

static void serve_resolving(posix_mqtt_t *mqtt, uint64_t now_ms)
{
    switch (posix_resolver_step(&mqtt->resolver, now_ms)) {
    case RESOLVER_FOUND:
        begin_address(mqtt, now_ms);
        break;
    case RESOLVER_FAILED:
        fail(mqtt, FAILURE_DNS, mqtt->resolver.why);
        break;
    case RESOLVER_WAITS:
        break;
    }
}

/* A server beside us can have taken the connection, and broken it off, before we look. */
static bool has_begun_tls(const posix_mqtt_t *mqtt)
{
    const SSL *ssl = mosquitto_ssl_get(mqtt->client);
    return ssl != NULL && BIO_number_written(SSL_get_wbio(ssl)) > 0;
}

static void serve_connecting(posix_mqtt_t *mqtt, uint64_t now_ms, short found)
{
    if (found == 0) {
        if (now_ms >= mqtt->due_ms) {
            address_failed(mqtt, now_ms, strerror(ETIMEDOUT));
        }
        return;
    }
    int fd = mosquitto_socket(mqtt->client), error = 0;
    struct sockaddr_storage peer;
    socklen_t error_len = sizeof(error), peer_len = sizeof(peer);
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &error_len) != 0) {
        error = errno;
    } else if (error == 0 && getpeername(fd, (struct sockaddr *)&peer, &peer_len) != 0) {
        error = ECONNREFUSED; /* libmosquitto's first try to send has taken the reason away */
    }
    if (error != 0 && has_begun_tls(mqtt)) {
        mqtt->state = POSIX_MQTT_HANDSHAKE;
        ended_before_online(mqtt, MOSQ_ERR_CONN_LOST);
        return;
    }
    if (error != 0) {
        address_failed(mqtt, now_ms, strerror(error));
        return;
    }
    mqtt->misc_at_ms = now_ms + POSIX_MQTT_MISC_MS;
    if (mqtt->context != NULL) {
        mqtt->state = POSIX_MQTT_HANDSHAKE;
    } else {
        mqtt->state = POSIX_MQTT_GREETING;
        settle(mqtt, mosquitto_loop_write(mqtt->client, 1));
    }
}

static void serve_handshake(posix_mqtt_t *mqtt, short found)
{
    if (found == 0) {
        return;
    }
    /* It is loop_read that shakes hands, whatever OpenSSL waits for. */
    int error = mosquitto_loop_read(mqtt->client, 1);
    const SSL *ssl = mosquitto_ssl_get(mqtt->client);
    if (mqtt->state != POSIX_MQTT_HANDSHAKE) {
        /* It was over before, and this was the answer to CONNECT. */
    } else if (error == MOSQ_ERR_SUCCESS && ssl != NULL && SSL_is_init_finished(ssl)) {
        mqtt->state = POSIX_MQTT_GREETING;
        error = mosquitto_loop_write(mqtt->client, 1);
    } else if (error == MOSQ_ERR_SUCCESS && (found & (POLLERR | POLLHUP)) != 0) {
        error = MOSQ_ERR_CONN_LOST; /* it takes a reset for something to try again */
    }
    settle(mqtt, error);
}

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
    settle(mqtt, error);
}

static void serve(void *ctx, uint64_t now_ms, const posix_watch_t *watch)
{
    posix_mqtt_t *mqtt = ctx;
    short found = mqtt->client == NULL ? 0 : posix_watch_found(watch, mosquitto_socket(mqtt->client));
    switch (mqtt->state) {
    case POSIX_MQTT_IDLE:
        break;
    case POSIX_MQTT_RESOLVING:
        serve_resolving(mqtt, now_ms);
        break;
    case POSIX_MQTT_CONNECTING:
        serve_connecting(mqtt, now_ms, found);
        break;
    case POSIX_MQTT_HANDSHAKE:
        serve_handshake(mqtt, found);
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
    let_go(mqtt);
    posix_mqtt_queue_clear(&mqtt->queue);
}

void posix_mqtt_drop(posix_mqtt_t *mqtt)
{
    break_off(mqtt);
    posix_mqtt_queue_end(&mqtt->queue);
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
    let_go(mqtt);
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
