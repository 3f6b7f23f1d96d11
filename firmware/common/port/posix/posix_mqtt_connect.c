#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "posix_clock.h"
#include "posix_log.h"
#include "posix_mqtt_client.h"
#include "posix_mqtt_parts.h"

static const char *TAG = "mqtt";

static void begin_address(posix_mqtt_t *mqtt, uint64_t now_ms);

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
    posix_mqtt_fail(mqtt, FAILURE_TCP, why);
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
        posix_mqtt_fail(mqtt, FAILURE_TCP, "out of memory");
        return;
    }
    const char *address = mqtt->resolver.addresses[mqtt->address];
    posix_log(mqtt->log, LOG_DEBUG, TAG, "connecting to %s, port %u", address, mqtt->port_number);
    int error = mosquitto_connect_bind_async(mqtt->client, address, mqtt->port_number, (int)mqtt->keep_alive_s, NULL);
    if (error == MOSQ_ERR_TLS || (error > 0 && has_heard_of_tls(mqtt))) {
        /* A server beside us can be quicker than this call: the handshake began in it, and ended. */
        mqtt->state = POSIX_MQTT_HANDSHAKE;
        posix_mqtt_ended_before_online(mqtt, error);
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

static void resolved(posix_mqtt_t *mqtt, uint64_t now_ms, resolver_state_t result)
{
    switch (result) {
    case RESOLVER_FOUND:
        begin_address(mqtt, now_ms);
        break;
    case RESOLVER_FAILED:
        posix_mqtt_fail(mqtt, FAILURE_DNS, mqtt->resolver.why);
        break;
    case RESOLVER_WAITS:
        break;
    }
}

void posix_mqtt_connect(posix_mqtt_t *mqtt, const app_mqtt_options_t *options)
{
    uint64_t now_ms = posix_now_ms();
    posix_mqtt_let_go(mqtt);
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
        posix_mqtt_fail(mqtt, FAILURE_CREDENTIALS, "key, certificate or authorities of this device are missing");
        return;
    }
    mqtt->state = POSIX_MQTT_RESOLVING;
    resolved(mqtt, now_ms, posix_resolver_begin(&mqtt->resolver, mqtt->host, now_ms));
}

/* A server beside us can have taken the connection, and broken it off, before we look. */
static bool has_begun_tls(const posix_mqtt_t *mqtt)
{
    const SSL *ssl = mosquitto_ssl_get(mqtt->client);
    return ssl != NULL && BIO_number_written(SSL_get_wbio(ssl)) > 0;
}

static void serve_tcp(posix_mqtt_t *mqtt, uint64_t now_ms, short found)
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
        posix_mqtt_ended_before_online(mqtt, MOSQ_ERR_CONN_LOST);
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
        posix_mqtt_settle(mqtt, mosquitto_loop_write(mqtt->client, 1));
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
    posix_mqtt_settle(mqtt, error);
}

void posix_mqtt_serve_connecting(posix_mqtt_t *mqtt, uint64_t now_ms, short found)
{
    if (mqtt->state == POSIX_MQTT_RESOLVING) {
        resolved(mqtt, now_ms, posix_resolver_step(&mqtt->resolver, now_ms));
    } else if (mqtt->state == POSIX_MQTT_CONNECTING) {
        serve_tcp(mqtt, now_ms, found);
    } else if (mqtt->state == POSIX_MQTT_HANDSHAKE) {
        serve_handshake(mqtt, found);
    }
}
