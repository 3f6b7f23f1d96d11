#include "chip_mqtt_client.h"

#include <stdatomic.h>

#include "chip_events.h"
#include "chip_identity.h"
#include "chip_log.h"
#include "chip_mqtt.h"
#include "chip_mqtt_failure.h"
#include "chip_tls.h"
#include "freertos/FreeRTOS.h"
#include "freertos/task.h"
#include "mbedtls/ssl.h"

#define TASK_STACK_BYTES 6144 /* of the client's own task, in which TLS runs: a chain of P-256 is verified in it */
#define HEADER_MAX_BYTES 64   /* of a packet, with its properties */
#define OUTBOX_LIMIT_BYTES ((SENDER_IN_FLIGHT + 2) * (MESSAGE_MAX_BYTES + TOPIC_MAX_CHARS + HEADER_MAX_BYTES))
#define RETRANSMIT_MS 600000 /* longer than a connection is kept without an acknowledgement: the sender sends again */
#define BEGIN_MAX_MS 1000
#define GOODBYE_MAX_MS 2000 /* for what was published last: it says that this device leaves */
#define LOOK_AGAIN_MS 20

static const char *TAG = "mqtt";

/* Of the client's own task from its start to its end, one after the other; the keeper looks at the atomic ones. */
static chip_mqtt_way_t s_way;
static failure_t s_failure;
static bool s_over; /* its end is told: esp-mqtt says it twice when the broker sends DISCONNECT */
static atomic_bool s_began, s_online;
static atomic_uint s_packet_max_bytes, s_on_their_way_max; /* the device's task looks at these two */

/* Since v5.5.2 esp-tls keeps to itself what was wrong with a certificate: it asks for it only where the handshake got
 * as far as a session. mbedTLS tells it here, certificate by certificate; the verdict is left as it is. */
static int on_certificate(void *ctx, mbedtls_x509_crt *certificate, int depth, uint32_t *flags)
{
    (void)ctx, (void)certificate, (void)depth;
    s_way.flags |= *flags;
    return 0;
}

static esp_err_t on_tls(void *config)
{
    s_way.greeted = true;
    mbedtls_ssl_conf_verify(config, on_certificate, NULL);
    return chip_tls_attach(config);
}

static void connected(uint32_t connection, const esp_mqtt_event_t *mqtt)
{
    const event_t event = {.type = EVENT_MQTT_CONNECTED};
    const chip_mqtt_limits_t limits = chip_mqtt_limits(mqtt->client);
    atomic_store(&s_packet_max_bytes, limits.packet_max_bytes);
    atomic_store(&s_on_their_way_max, limits.on_their_way_max);
    s_way.connected = true;
    atomic_store(&s_online, true);
    (void)chip_events_post_of(connection, &event); /* one that is lost: the core's own time-outs see to it */
}

static void ended(uint32_t connection)
{
    event_t event = {.type = s_way.connected ? EVENT_MQTT_CLOSED : EVENT_MQTT_FAILED};
    event.failure = s_way.connected ? FAILURE_CLOSED : s_failure;
    atomic_store(&s_online, false);
    if (!s_over) {
        s_over = true;
        (void)chip_events_post_of(connection, &event);
    }
}

static void acknowledged(uint32_t connection, const esp_mqtt_event_t *mqtt)
{
    event_t event = {.type = EVENT_MQTT_ACKED};
    event.ack.token = (uint16_t)mqtt->msg_id; /* chip_mqtt_accepts() makes its token of it */
    /* The reason is all of the data that the client makes of a PUBACK (esp_mqtt5_parse_puback); none means success. */
    event.ack.reason = mqtt->data != NULL && mqtt->data_len == 1 ? (uint8_t)mqtt->data[0] : 0;
    (void)chip_events_post_of(connection, &event); /* one that is lost is a record that is sent again */
}

static void arrived(uint32_t connection, const esp_mqtt_event_t *mqtt)
{
    /* What does not fit the client's buffer with its properties comes in pieces. The first one says that there are
     * more; the others have nothing to say. */
    if (mqtt->current_data_offset == 0 &&
        !chip_events_post_message(connection, mqtt->topic, (size_t)mqtt->topic_len, mqtt->data, (size_t)mqtt->data_len,
                                  (size_t)mqtt->total_data_len)) {
        chip_log.write(NULL, LOG_WARNING, TAG, "A command came while another waits, and is left out.");
    }
}

/* Deaf to updates, and nobody would know: the keeper asks for its topics again. */
static void subscribed(const esp_mqtt_event_t *mqtt)
{
    for (int i = 0; i < mqtt->data_len; i++) {
        if ((uint8_t)mqtt->data[i] >= MQTT5_UNSPECIFIED_ERROR) {
            chip_log.write(NULL, LOG_WARNING, TAG, "The broker refuses a topic; it is asked again in a minute.");
            chip_mqtt_topic_refused();
            return;
        }
    }
}

static void on_event(void *ctx, esp_event_base_t base, int32_t id, void *data)
{
    (void)base;
    const uint32_t connection = (uint32_t)(uintptr_t)ctx;
    const esp_mqtt_event_t *mqtt = data;
    switch ((esp_mqtt_event_id_t)id) {
    case MQTT_EVENT_BEFORE_CONNECT:
        atomic_store(&s_began, true);
        break;
    case MQTT_EVENT_CONNECTED:
        connected(connection, mqtt);
        break;
    case MQTT_EVENT_ERROR:
        s_failure = chip_mqtt_failure(&s_way, mqtt->error_handle);
        break;
    case MQTT_EVENT_DISCONNECTED:
        ended(connection);
        break;
    case MQTT_EVENT_PUBLISHED:
        acknowledged(connection, mqtt);
        break;
    case MQTT_EVENT_DATA:
        arrived(connection, mqtt);
        break;
    case MQTT_EVENT_SUBSCRIBED:
        subscribed(mqtt);
        break;
    default: /* unsubscribed, deleted, ... */
        break;
    }
}

static esp_mqtt_client_handle_t fail(uint32_t connection, failure_t failure)
{
    event_t event = {.type = EVENT_MQTT_FAILED};
    event.failure = failure;
    (void)chip_events_post_of(connection, &event);
    return NULL;
}

static esp_mqtt_client_handle_t start(uint32_t connection, const esp_mqtt_client_config_t *config)
{
    s_way = (chip_mqtt_way_t){0};
    s_failure = FAILURE_TIMEOUT; /* of a connection that ends without an error, as when no CONNACK comes */
    s_over = false;
    atomic_store(&s_began, false);
    atomic_store(&s_online, false);
    esp_mqtt_client_handle_t client = esp_mqtt_client_init(config);
    if (client == NULL) {
        return NULL;
    }
    if (esp_mqtt_client_register_event(client, MQTT_EVENT_ANY, on_event, (void *)(uintptr_t)connection) != ESP_OK ||
        esp_mqtt_client_start(client) != ESP_OK) {
        (void)esp_mqtt_client_destroy(client);
        return NULL;
    }
    /* A client may be destroyed only when its task runs, or is over: it does not stop one that has not begun. */
    for (uint32_t waited_ms = 0; !atomic_load(&s_began) && waited_ms < BEGIN_MAX_MS; waited_ms += LOOK_AGAIN_MS) {
        vTaskDelay(pdMS_TO_TICKS(LOOK_AGAIN_MS));
    }
    if (!atomic_load(&s_began)) {
        (void)esp_mqtt_client_destroy(client);
        return NULL;
    }
    return client;
}

esp_mqtt_client_handle_t chip_mqtt_client_begin(uint32_t connection, const app_mqtt_options_t *options)
{
    esp_mqtt_client_config_t config = {
        .broker.address.hostname = options->host,
        .broker.address.port = options->port,
        .broker.address.transport = options->tls ? MQTT_TRANSPORT_OVER_SSL : MQTT_TRANSPORT_OVER_TCP,
        .credentials.client_id = options->client_id,
        .session.protocol_ver = MQTT_PROTOCOL_V_5,
        .session.keepalive = options->keep_alive_s,
        .session.message_retransmit_timeout = RETRANSMIT_MS,
        .session.last_will.topic = options->will_topic,
        .session.last_will.msg = options->will_payload,
        .session.last_will.qos = 1,
        .session.last_will.retain = 1,
        .network.disable_auto_reconnect = true, /* when to come back is the core's to say */
        .network.timeout_ms = CHIP_MQTT_TIMEOUT_MS,
        .task.stack_size = TASK_STACK_BYTES,
        .buffer.size = COMMAND_MAX_BYTES + TOPIC_MAX_CHARS + HEADER_MAX_BYTES,
        .buffer.out_size = MESSAGE_MAX_BYTES + TOPIC_MAX_CHARS + HEADER_MAX_BYTES,
        .outbox.limit = OUTBOX_LIMIT_BYTES,
    };
    if (options->tls) {
        const chip_pair_t *pair = chip_identity_pair();
        if (pair == NULL) {
            return fail(connection, FAILURE_CREDENTIALS);
        }
        config.broker.verification.crt_bundle_attach = on_tls;
        config.credentials.authentication.certificate = pair->certificate;
        config.credentials.authentication.key = pair->key;
    }
    esp_mqtt_client_handle_t client = start(connection, &config);
    /* No memory for its task or its buffers: it is tried again later. */
    return client != NULL ? client : fail(connection, FAILURE_TCP);
}

void chip_mqtt_client_end(esp_mqtt_client_handle_t client)
{
    for (uint32_t waited_ms = 0;
         atomic_load(&s_online) && esp_mqtt_client_get_outbox_size(client) > 0 && waited_ms < GOODBYE_MAX_MS;
         waited_ms += LOOK_AGAIN_MS) {
        vTaskDelay(pdMS_TO_TICKS(LOOK_AGAIN_MS));
    }
    (void)esp_mqtt_client_destroy(client); /* it says DISCONNECT first; what it kept the sender has as well */
}

chip_mqtt_limits_t chip_mqtt_client_limits(void)
{
    return (chip_mqtt_limits_t){.packet_max_bytes = atomic_load(&s_packet_max_bytes),
                                .on_their_way_max = (uint16_t)atomic_load(&s_on_their_way_max)};
}
