/* From the outbox to the broker, in order, at most SENDER_IN_FLIGHT at once; and when a record is done with. Pure.
 *
 * A broker's PUBACK is not on its disk yet: what was acknowledged within the last resend window is sent again after
 * every reconnect (contract: "What a gateway does"). So each connection begins with the oldest record that is not
 * discarded, and one is discarded only when
 * - it and all before it were acknowledged on this connection (a broker that restarted may know nothing of the last),
 * and
 * - a PUBACK came on the same connection a whole window later: the broker that took it lived on for so long. The clock
 *   alone does not tell: a broker's host can lose power long before its keep-alive runs out here.
 * The server is idempotent.
 *
 * A PUBACK with a reason of 0x80 or more, or 0x10 (nobody subscribed), is no acknowledgement: what else is on its way
 * is waited for, then a pause that grows from SENDER_PAUSE_FIRST_MS to SENDER_PAUSE_MAX_MS, then it goes on from that
 * record. What a broker refuses for what it is (0x90 topic name invalid, 0x95 too large, 0x99 payload format)
 * SENDER_REFUSALS_MAX times is passed over and counted: it would hold up all behind it for ever. Of more than
 * SENDER_PASSED_OVER that are not discarded yet the oldest is tried, and counted, anew after a reconnect.
 */
#pragma once

#include "backoff.h"
#include "outbox.h"
#include "step.h"

#define SENDER_PAUSE_FIRST_MS 1000
#define SENDER_PAUSE_MAX_MS 300000
#define SENDER_REFUSALS_MAX 5
#define SENDER_PASSED_OVER 4        /* so many of them it knows again on the next connection */
#define SENDER_ACK_TIMEOUT_MS 30000 /* no PUBACK for so long: SENDER_STUCK */
#define SENDER_TOKEN_MAX 0x7FFF     /* its tokens are 1 to this; others are not its own */

/* How finely the window is cut. With all taken, the newest one takes in what comes: that waits longer, and no less. */
#ifndef SENDER_CHECKPOINTS
#define SENDER_CHECKPOINTS 64
#endif

typedef struct {
    uint32_t seq;
    uint16_t token; /* 0: free */
    uint64_t sent_ms;
} in_flight_t;

typedef struct {
    uint32_t before_seq; /* all before it were acknowledged on this connection, the last of them at at_ms */
    uint64_t from_ms, at_ms;
} checkpoint_t;

typedef struct {
    outbox_t *outbox; /* NULL: there is none, and nothing is sent but by sender_send_unkept() */
    uint32_t window_s;
    bool online;
    uint32_t next_seq; /* the next to send */
    bool waits_for_clock;
    bool storage_failed; /* the outbox could not be read, or not told what is done with */
    in_flight_t in_flight[SENDER_IN_FLIGHT];
    uint16_t last_token;
    bool held; /* after a refusal nothing is sent until all in flight are answered and the pause is over */
    uint32_t held_seq;
    uint64_t paused_until_ms;
    backoff_t pause;
    uint32_t refused_seq; /* refused for what it is, so many times in a row */
    uint8_t refusals;
    uint32_t passed_over_seqs[SENDER_PASSED_OVER]; /* a ring */
    uint8_t passed_over_count, passed_over_at;
    uint32_t frontier_seq;                        /* all before it were acknowledged on this connection */
    checkpoint_t checkpoints[SENDER_CHECKPOINTS]; /* oldest first */
    uint8_t checkpoint_count;
    uint32_t sent, acked, refused, passed_over; /* counts of messages */
    char topic[TOPIC_MAX_CHARS + 1];
    char payload[MESSAGE_MAX_BYTES];
    sample_t scratch; /* here and not on the stack, which is small on the chip */
} sender_t;

typedef enum {
    SENDER_NOTHING,
    SENDER_ANSWERED,     /* the broker refused one: it is there, and works */
    SENDER_ACKNOWLEDGED, /* a publish counts as acknowledged */
    SENDER_STUCK,        /* the connection is of no use: close it. The sender counts itself as offline from here on */
} sender_result_t;

void sender_init(sender_t *sender, outbox_t *outbox, uint32_t window_s);

void sender_online(sender_t *sender); /* a new connection stands */
void sender_offline(sender_t *sender);

/* Takes MQTT_ACKED; of any other event only that time went by. Adds at most one ACTION_MQTT_PUBLISH: topic and payload
 * are this struct's. */
sender_result_t sender_step(sender_t *sender, const char *gateway_code, uint64_t now_ms, uint32_t random,
                            const event_t *event, actions_t *actions);

/* For a sample that could not be kept: published at once or never. False: offline, not stamped, or it does not fit. Not
 * in the same step as another publish: they share topic and payload. */
bool sender_send_unkept(sender_t *sender, const char *gateway_code, const sample_t *sample, uint16_t token,
                        actions_t *actions);

/* A PUBACK with this reason counts as an acknowledgement (MQTT 5, 3.4.2.1). */
bool sender_acknowledges(uint8_t reason);

/* Nothing is on its way, and nothing waits but what waits for the clock. */
bool sender_is_idle(const sender_t *sender);

uint64_t sender_next_due_ms(const sender_t *sender, uint64_t now_ms); /* now_ms: there is more to send */
