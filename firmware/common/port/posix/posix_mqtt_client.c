#include "posix_mqtt_client.h"

#include <mqtt_protocol.h>
#include <string.h>

#include "posix_log.h"

static const char *TAG = "mqtt";

static void on_connect(struct mosquitto *client, void *ctx, int reason, int flags, const mosquitto_property *properties)
{
    (void)client;
    (void)flags;
    (void)properties;
    posix_mqtt_t *mqtt = ctx;
    if (reason != MQTT_RC_SUCCESS) {
        mqtt->refused = reason;
        return;
    }
    mqtt->state = POSIX_MQTT_ONLINE;
    posix_mqtt_queue_add(&mqtt->queue, (event_t){.type = EVENT_MQTT_CONNECTED});
}

static void on_disconnect(struct mosquitto *client, void *ctx, int reason, const mosquitto_property *properties)
{
    (void)client;
    (void)properties;
    posix_mqtt_t *mqtt = ctx;
    mqtt->hung_up = reason;
}

static void on_puback(struct mosquitto *client, void *ctx, int mid, int reason, const mosquitto_property *properties)
{
    (void)client;
    (void)properties;
    posix_mqtt_t *mqtt = ctx;
    for (size_t i = 0; i < POSIX_MQTT_IN_FLIGHT_MAX; i++) {
        posix_in_flight_t *one = &mqtt->in_flight[i];
        if (one->token != 0 && one->mid == mid) {
            event_t event = {.type = EVENT_MQTT_ACKED, .ack = {.token = one->token, .reason = (uint8_t)reason}};
            one->token = 0;
            posix_mqtt_queue_add(&mqtt->queue, event);
            return;
        }
    }
}

static void on_message(struct mosquitto *client, void *ctx, const struct mosquitto_message *message,
                       const mosquitto_property *properties)
{
    (void)client;
    (void)properties;
    posix_mqtt_t *mqtt = ctx;
    size_t len = message->payloadlen > 0 ? (size_t)message->payloadlen : 0;
    posix_mqtt_queue_add_message(&mqtt->queue, message->topic, message->payload, len);
}

static void on_log(struct mosquitto *client, void *ctx, int level, const char *text)
{
    (void)client;
    (void)level;
    const posix_mqtt_t *mqtt = ctx;
    posix_log(mqtt->log, LOG_DEBUG, TAG, "%s", text);
}

/* No larger message is delivered: libmosquitto would take it whole into memory, whatever its size. The only call that
 * takes properties of CONNECT also connects, and blocks; without a host it keeps them for the next one and does nothing
 * more. */
static bool limit_packets(struct mosquitto *client)
{
    mosquitto_property *properties = NULL;
    if (mosquitto_property_add_int32(&properties, MQTT_PROP_MAXIMUM_PACKET_SIZE, POSIX_MQTT_PACKET_MAX_BYTES) !=
        MOSQ_ERR_SUCCESS) {
        return false;
    }
    int error = mosquitto_connect_bind_v5(client, NULL, 0, 0, NULL, properties);
    mosquitto_property_free_all(&properties);
    return error == MOSQ_ERR_INVAL;
}

struct mosquitto *posix_mqtt_client_new(posix_mqtt_t *mqtt)
{
    struct mosquitto *client = mosquitto_new(mqtt->client_id, true, mqtt);
    if (client == NULL) {
        return NULL;
    }
    mosquitto_connect_v5_callback_set(client, on_connect);
    mosquitto_disconnect_v5_callback_set(client, on_disconnect);
    mosquitto_publish_v5_callback_set(client, on_puback);
    mosquitto_message_v5_callback_set(client, on_message);
    mosquitto_log_callback_set(client, on_log);
    int will_len = (int)strlen(mqtt->will_payload);
    bool good =
        mosquitto_int_option(client, MOSQ_OPT_PROTOCOL_VERSION, MQTT_PROTOCOL_V5) == MOSQ_ERR_SUCCESS &&
        mosquitto_int_option(client, MOSQ_OPT_TCP_NODELAY, 1) == MOSQ_ERR_SUCCESS && limit_packets(client) &&
        mosquitto_username_pw_set(client, mqtt->client_id, NULL) == MOSQ_ERR_SUCCESS &&
        /* With its defaults it would want files of certificates. */
        mosquitto_int_option(client, MOSQ_OPT_SSL_CTX_WITH_DEFAULTS, 0) == MOSQ_ERR_SUCCESS &&
        (mqtt->context == NULL || mosquitto_void_option(client, MOSQ_OPT_SSL_CTX, mqtt->context) == MOSQ_ERR_SUCCESS) &&
        (mqtt->will_topic[0] == '\0' ||
         mosquitto_will_set_v5(client, mqtt->will_topic, will_len, mqtt->will_payload, 1, true, NULL) == 0);
    if (!good) {
        mosquitto_destroy(client);
        return NULL;
    }
    return client;
}
