#include "chip_mqtt.h"

#include <stdatomic.h>
#include <string.h>

#include "chip_events.h"
#include "chip_mqtt_client.h"
#include "freertos/FreeRTOS.h"
#include "freertos/semphr.h"
#include "freertos/task.h"

#define STACK_BYTES 5120 /* it writes DISCONNECT and SUBSCRIBE by TLS, and parses a renewed pair */
#define PRIORITY 4
#define ON_ITS_WAY (SENDER_IN_FLIGHT + 2) /* presence and what could not be kept go beside the sender's */
#define TOPICS_MAX 4
#define LOOK_AGAIN_MS 20
#define SETTLE_MAX_MS 500        /* from a connection's CONNACK to the end of the keeper's look at its begin */
#define SUBSCRIBE_AGAIN_MS 60000 /* after a topic was refused; the connection is good for all else */

/* Reasons of a PUBACK, MQTT 5, 3.4.2.1. */
#define PACKET_TOO_LARGE 0x95
#define QUOTA_EXCEEDED 0x97

/* What the device's task knows; nobody else looks at it. */
static uint32_t s_connection; /* counted up by connect() and close(): events of another one are of the past */
static bool s_online;
typedef struct {
    int msg_id; /* esp-mqtt's; 0: free */
    uint16_t token;
} on_its_way_t;

static on_its_way_t s_on_its_way[ON_ITS_WAY];

/* What it wants, handed to the keeper. */
typedef struct {
    uint32_t connection;
    bool connect;
    app_mqtt_options_t options;     /* of its texts the device keeps those that it points to */
    const char *topics[TOPICS_MAX]; /* since its begin */
    uint8_t topic_count;
} wanted_t;

static SemaphoreHandle_t s_lock;
static StaticSemaphore_t s_lock_memory;
static wanted_t s_wanted;

/* The keeper's. The device's task uses the client of the connection that is wanted and done, and the keeper ends none
 * that is wanted. */
static TaskHandle_t s_keeper;
static StaticTask_t s_keeper_memory;
static StackType_t s_stack[STACK_BYTES / sizeof(StackType_t)];
static esp_mqtt_client_handle_t s_client;
static wanted_t s_doing;
static uint8_t s_asked;    /* of its topics the first so many */
static atomic_bool s_deaf; /* a topic was refused, or could not be asked for */
static atomic_uint s_done; /* the connection that is begun, or ended */

static void subscribe_all(void)
{
    for (; s_client != NULL && s_asked < s_doing.topic_count; s_asked++) {
        if (esp_mqtt_client_subscribe_single(s_client, s_doing.topics[s_asked], 1) < 0) {
            atomic_store(&s_deaf, true);
        }
    }
}

static void replace_client(void)
{
    if (s_client != NULL) {
        chip_mqtt_client_end(s_client);
        s_client = NULL; /* the next one's begin takes its time */
    }
    s_asked = 0;
    atomic_store(&s_deaf, false);
    if (s_doing.connect) {
        s_client = chip_mqtt_client_begin(s_doing.connection, &s_doing.options);
    }
}

static void keep(void *ctx)
{
    (void)ctx;
    for (;;) {
        const TickType_t wait = atomic_load(&s_deaf) ? pdMS_TO_TICKS(SUBSCRIBE_AGAIN_MS) : portMAX_DELAY;
        const bool told = ulTaskNotifyTake(pdTRUE, wait) != 0;
        (void)xSemaphoreTake(s_lock, portMAX_DELAY);
        s_doing = s_wanted;
        (void)xSemaphoreGive(s_lock);
        if (s_doing.connection != atomic_load(&s_done)) {
            replace_client();
            atomic_store(&s_done, s_doing.connection);
        } else if (!told) {
            s_asked = 0;
            atomic_store(&s_deaf, false);
        }
        subscribe_all();
    }
}

/* The number of the connection goes up, and nothing of the former one counts any more. */
static void want(const app_mqtt_options_t *options)
{
    s_connection++;
    s_online = false;
    memset(s_on_its_way, 0, sizeof(s_on_its_way));
    (void)xSemaphoreTake(s_lock, portMAX_DELAY);
    s_wanted = (wanted_t){.connection = s_connection, .connect = options != NULL};
    if (options != NULL) {
        s_wanted.options = *options;
    }
    (void)xSemaphoreGive(s_lock);
    (void)xTaskNotifyGive(s_keeper);
}

static void connect_to(void *ctx, const app_mqtt_options_t *options)
{
    (void)ctx;
    want(options);
}

static void close_connection(void *ctx)
{
    (void)ctx;
    want(NULL);
}

/* NULL: it waits for acknowledgements. */
static on_its_way_t *free_place(uint16_t places)
{
    on_its_way_t *place = NULL;
    uint16_t taken = 0;
    for (size_t i = 0; i < ON_ITS_WAY; i++) {
        if (s_on_its_way[i].msg_id != 0) {
            taken++;
        } else if (place == NULL) {
            place = &s_on_its_way[i];
        }
    }
    return taken < places ? place : NULL;
}

/* The refusal that the broker would send, or worse, without the way there and back. What is handed over in vain and
 * answered by nobody would cost the connection, and the next one begins with the same record. */
static bool refuse(uint16_t token, uint8_t reason)
{
    const event_t event = {.type = EVENT_MQTT_ACKED, .ack = {.token = token, .reason = reason, .local = true}};
    return chip_events_post_of(s_connection, &event);
}

static bool publish(void *ctx, const char *topic, const char *payload, uint16_t len_bytes, bool retain, uint16_t token)
{
    (void)ctx;
    /* Until the connection is done the client is the keeper's: it may be destroyed, or none. */
    if (!s_online || atomic_load(&s_done) != s_connection || s_client == NULL) {
        return false;
    }
    const chip_mqtt_limits_t limits = chip_mqtt_client_limits();
    if (chip_mqtt_packet_bytes(topic, len_bytes) > limits.packet_max_bytes) {
        return refuse(token, PACKET_TOO_LARGE); /* it hangs up on a larger one */
    }
    on_its_way_t *place = free_place(limits.on_their_way_max);
    /* Enqueued: the client's own task writes it. That it takes none (there is no memory) is no fault of this message:
     * it is tried again after a pause, and never passed over. */
    const int msg_id =
        place == NULL ? 0 : esp_mqtt_client_enqueue(s_client, topic, payload, len_bytes, 1, retain, true);
    if (msg_id <= 0) {
        return refuse(token, QUOTA_EXCEEDED);
    }
    *place = (on_its_way_t){.msg_id = msg_id, .token = token};
    return true;
}

static bool subscribe(void *ctx, const char *topic)
{
    (void)ctx;
    bool taken = false;
    (void)xSemaphoreTake(s_lock, portMAX_DELAY);
    if (s_online && s_wanted.topic_count < TOPICS_MAX) {
        s_wanted.topics[s_wanted.topic_count] = topic;
        s_wanted.topic_count++;
        taken = true;
    }
    (void)xSemaphoreGive(s_lock);
    (void)xTaskNotifyGive(s_keeper);
    return taken;
}

/* The event has esp-mqtt's number of a message until here: whatever was published, its place was filled before this
 * task could come to its acknowledgement. */
static uint16_t take_token(int msg_id)
{
    for (size_t i = 0; i < ON_ITS_WAY; i++) {
        if (s_on_its_way[i].msg_id == msg_id) {
            s_on_its_way[i].msg_id = 0;
            return s_on_its_way[i].token;
        }
    }
    return 0;
}

bool chip_mqtt_accepts(uint32_t connection, event_t *event)
{
    if (connection != s_connection) {
        return false;
    }
    if (event->type == EVENT_MQTT_CONNECTED) {
        /* Its begin may not have returned yet. What is published in answer must find the client: who is here is said
         * once in a connection. */
        chip_mqtt_settle(SETTLE_MAX_MS);
        s_online = atomic_load(&s_done) == s_connection;
        return s_online; /* false, and the core gives the connection up after a while */
    } else if (event->type == EVENT_MQTT_FAILED || event->type == EVENT_MQTT_CLOSED) {
        s_online = false;
    } else if (event->type == EVENT_MQTT_ACKED && !event->ack.local) {
        event->ack.token = take_token(event->ack.token);
        return event->ack.token != 0;
    }
    return true;
}

void chip_mqtt_topic_refused(void)
{
    atomic_store(&s_deaf, true);
    (void)xTaskNotifyGive(s_keeper);
}

void chip_mqtt_settle(uint32_t timeout_ms)
{
    for (uint32_t waited_ms = 0; atomic_load(&s_done) != s_connection && waited_ms < timeout_ms;
         waited_ms += LOOK_AGAIN_MS) {
        vTaskDelay(pdMS_TO_TICKS(LOOK_AGAIN_MS));
    }
}

bool chip_mqtt_init(port_mqtt_t *port)
{
    s_lock = xSemaphoreCreateMutexStatic(&s_lock_memory);
    s_keeper = xTaskCreateStatic(keep, "mqtt_keeper", STACK_BYTES, NULL, PRIORITY, s_stack, &s_keeper_memory);
    *port = (port_mqtt_t){.connect = connect_to, .close = close_connection, .publish = publish, .subscribe = subscribe};
    return s_keeper != NULL;
}
