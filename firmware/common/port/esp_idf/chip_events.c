#include "chip_events.h"

#include <stdatomic.h>
#include <string.h>

#include "freertos/FreeRTOS.h"
#include "freertos/queue.h"

typedef struct {
    event_t event;
    uint32_t of; /* a connection of MQTT, or a request; 0: of none */
} item_t;

static StaticQueue_t s_queue_memory;
static uint8_t s_queue_bytes[CHIP_EVENTS_MAX * sizeof(item_t)];
static QueueHandle_t s_queue;
static const chip_events_owners_t *s_owners;

static char s_topic[TOPIC_MAX_CHARS + 1];
static uint8_t s_payload[COMMAND_MAX_BYTES];
static atomic_bool s_message_taken = true;

static char s_line[CONSOLE_LINE_MAX_BYTES + 1];
static atomic_bool s_line_taken = true;

static event_type_t s_handed_out = EVENT_TICK;
static uint32_t s_handed_out_of;

/* Of the network its state is kept, and not an event each: one that is lost would keep the device off for minutes.
 * Counted at each change; odd: up. */
static atomic_uint s_network;
static unsigned s_network_told; /* of the device's task */

void chip_events_init(const chip_events_owners_t *owners)
{
    s_owners = owners;
    s_network_told = atomic_load(&s_network) & ~1U; /* down, until it hears otherwise */
    s_queue = xQueueCreateStatic(CHIP_EVENTS_MAX, sizeof(item_t), s_queue_bytes, &s_queue_memory);
}

bool chip_events_post_of(uint32_t of, const event_t *event)
{
    const item_t item = {.event = *event, .of = of};
    return xQueueSend(s_queue, &item, 0) == pdTRUE;
}

bool chip_events_post(const event_t *event)
{
    return chip_events_post_of(0, event);
}

void chip_events_network(bool is_up)
{
    const event_t wake = {.type = EVENT_TICK};
    if (((atomic_load(&s_network) & 1U) != 0) != is_up) {
        (void)atomic_fetch_add(&s_network, 1);
        (void)chip_events_post(&wake); /* a queue that is full needs none */
    }
}

/* The place is the caller's until it is posted, or given back. */
static bool take_place(atomic_bool *taken)
{
    bool is_taken = true;
    return atomic_compare_exchange_strong(taken, &is_taken, false);
}

bool chip_events_post_message(uint32_t connection, const char *topic, size_t topic_len, const void *payload,
                              size_t len_bytes, size_t whole_bytes)
{
    if (topic_len >= sizeof(s_topic) || !take_place(&s_message_taken)) {
        return false;
    }
    memcpy(s_topic, topic, topic_len);
    s_topic[topic_len] = '\0';
    if (len_bytes > 0) { /* an empty one has no address */
        memcpy(s_payload, payload, len_bytes < sizeof(s_payload) ? len_bytes : sizeof(s_payload));
    }
    event_t event = {.type = EVENT_MQTT_MESSAGE};
    event.message.topic = s_topic;
    event.message.payload = s_payload;
    /* Of a piece nothing may be read: behind it is the tail of a former command. */
    event.message.len_bytes = len_bytes == whole_bytes ? whole_bytes : COMMAND_MAX_BYTES + 1;
    if (!chip_events_post_of(connection, &event)) {
        atomic_store(&s_message_taken, true);
        return false;
    }
    return true;
}

bool chip_events_post_line(const char *line, size_t len_bytes)
{
    if (len_bytes >= sizeof(s_line) || !take_place(&s_line_taken)) {
        return false;
    }
    memcpy(s_line, line, len_bytes);
    s_line[len_bytes] = '\0';
    event_t event = {.type = EVENT_CONSOLE_LINE};
    event.line = s_line;
    if (!chip_events_post(&event)) {
        atomic_store(&s_line_taken, true);
        return false;
    }
    return true;
}

static bool is_of_http(event_type_t type)
{
    return type == EVENT_HTTP_ANSWER || type == EVENT_HTTP_PIECE || type == EVENT_HTTP_END;
}

static bool is_accepted(uint32_t of, event_t *event)
{
    return of == 0 || (is_of_http(event->type) ? s_owners->accepts_http(of, event) : s_owners->accepts_mqtt(of, event));
}

/* What the last event pointed to is used up now. */
static void give_back(void)
{
    if (s_handed_out == EVENT_MQTT_MESSAGE) {
        atomic_store(&s_message_taken, true);
    } else if (s_handed_out == EVENT_CONSOLE_LINE) {
        atomic_store(&s_line_taken, true);
    } else if (is_of_http(s_handed_out)) {
        s_owners->http_used(s_handed_out_of);
    }
    s_handed_out = EVENT_TICK;
}

/* Down and up again is told as both: what went through the network before is gone. Up and down again is nothing. */
static bool network_changed(event_t *out)
{
    const unsigned now = atomic_load(&s_network);
    const bool was_up = (s_network_told & 1U) != 0;
    const bool is_up = (now & 1U) != 0;
    const bool changed = now != s_network_told && (was_up || is_up);
    s_network_told = changed && was_up && is_up ? now - 1 : now;
    if (changed) {
        *out = (event_t){.type = was_up ? EVENT_NETWORK_DOWN : EVENT_NETWORK_UP};
    }
    return changed;
}

static bool next(void *ctx, uint32_t timeout_ms, event_t *out)
{
    (void)ctx;
    static item_t item; /* not on the stack, which is small */
    give_back();
    if (network_changed(out)) {
        return true;
    }
    const uint32_t wait_ms = timeout_ms < CHIP_EVENTS_WAIT_MAX_MS ? timeout_ms : CHIP_EVENTS_WAIT_MAX_MS;
    /* Rounded up: a wait of less than a tick must not become a busy loop. */
    const TickType_t wait = wait_ms == 0 ? 0 : pdMS_TO_TICKS(wait_ms) + 1;
    if (xQueueReceive(s_queue, &item, wait) != pdTRUE) {
        return false;
    }
    if (item.event.type == EVENT_TICK) { /* it woke us, or came too late to */
        return network_changed(out);
    }
    s_handed_out = item.event.type;
    s_handed_out_of = item.of;
    *out = item.event;
    return is_accepted(item.of, out);
}

const port_events_t chip_events = {.next = next};
