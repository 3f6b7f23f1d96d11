/* Events of all tasks of the chip, handed to the one that runs the device, in the order in which they came; the
 * network's before all others. */
#pragma once

#include "../port_events.h"

#define CHIP_EVENTS_MAX 32
/* At most so long without an event, and then a tick: the watchdog wants to hear of the device. */
#define CHIP_EVENTS_WAIT_MAX_MS 10000

/* Asked in the device's task about each event of an MQTT connection and of a request, and may fill in what only that
 * task knows. False: it is of one that is over, and nobody looks at what it points to. */
typedef struct {
    bool (*accepts_mqtt)(uint32_t connection, event_t *event);
    bool (*accepts_http)(uint32_t request, event_t *event);
    void (*http_used)(uint32_t request); /* what an event of it pointed to is done with */
} chip_events_owners_t;

void chip_events_init(const chip_events_owners_t *owners);

/* From any task, never blocks. False: the queue is full, or (message, line) the one before was not taken yet. What that
 * costs is a command that the platform announces again, a line that is typed again, an acknowledgement whose record is
 * sent again. `of`: the number of its connection or request. */
bool chip_events_post(const event_t *event);
bool chip_events_post_of(uint32_t of, const event_t *event);
/* From one task alone, at least at each change. It is never lost, however full the queue is. */
void chip_events_network(bool is_up);
/* Copied, one at a time. One that came in pieces, `len_bytes` of `whole`, is told as longer than any command: the core
 * refuses it by its length, unread. */
bool chip_events_post_message(uint32_t connection, const char *topic, size_t topic_len, const void *payload,
                              size_t len_bytes, size_t whole_bytes);
bool chip_events_post_line(const char *line, size_t len_bytes);

extern const port_events_t chip_events;
