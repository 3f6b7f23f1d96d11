#include "sender.h"

#include <string.h>

#include "telemetry.h"

/* Reasons of a PUBACK, MQTT 5, 3.4.2.1. */
#define NO_MATCHING_SUBSCRIBERS 0x10
#define FIRST_ERROR 0x80
#define TOPIC_NAME_INVALID 0x90
#define PACKET_TOO_LARGE 0x95
#define PAYLOAD_FORMAT_INVALID 0x99

void sender_init(sender_t *sender, outbox_t *outbox, uint32_t window_s)
{
    memset(sender, 0, sizeof(*sender)); /* a compound literal would put 9 KiB on the stack */
    sender->outbox = outbox;
    sender->window_s = window_s;
    backoff_init(&sender->pause, SENDER_PAUSE_FIRST_MS, SENDER_PAUSE_MAX_MS);
}

void sender_online(sender_t *sender)
{
    sender_offline(sender);
    sender->online = true;
    if (sender->outbox != NULL) {
        sender->next_seq = sender->frontier_seq = sender->outbox->first_seq;
        sender->outbox->acknowledged_seq = sender->frontier_seq;
    }
}

void sender_offline(sender_t *sender)
{
    sender->online = false;
    sender->waits_for_clock = false;
    sender->held = false;
    sender->paused_until_ms = 0; /* but the ceiling of the pauses stays: who refuses and hangs up is not hammered */
    sender->checkpoint_count = 0;
    for (size_t i = 0; i < SENDER_IN_FLIGHT; i++) {
        sender->in_flight[i].token = 0;
    }
}

bool sender_acknowledges(uint8_t reason)
{
    return reason < FIRST_ERROR && reason != NO_MATCHING_SUBSCRIBERS;
}

static bool refused_for_what_it_is(uint8_t reason)
{
    return reason == TOPIC_NAME_INVALID || reason == PACKET_TOO_LARGE || reason == PAYLOAD_FORMAT_INVALID;
}

static in_flight_t *with_token(sender_t *sender, uint16_t token)
{
    for (size_t i = 0; i < SENDER_IN_FLIGHT; i++) {
        if (sender->in_flight[i].token == token) {
            return &sender->in_flight[i]; /* with token 0: a free one */
        }
    }
    return NULL;
}

static const in_flight_t *oldest_in_flight(const sender_t *sender)
{
    const in_flight_t *oldest = NULL;
    for (size_t i = 0; i < SENDER_IN_FLIGHT; i++) {
        const in_flight_t *entry = &sender->in_flight[i];
        if (entry->token != 0 && (oldest == NULL || flash_log_is_before(entry->seq, oldest->seq))) {
            oldest = entry;
        }
    }
    return oldest;
}

/* How far acknowledgements reach without a gap. */
static uint32_t frontier(const sender_t *sender)
{
    const uint32_t seq = sender->held ? sender->held_seq : sender->next_seq;
    const in_flight_t *oldest = oldest_in_flight(sender);
    return oldest != NULL && flash_log_is_before(oldest->seq, seq) ? oldest->seq : seq;
}

static void advance(sender_t *sender, uint64_t now_ms)
{
    const uint32_t seq = frontier(sender);
    if (!flash_log_is_before(sender->frontier_seq, seq)) {
        return;
    }
    sender->frontier_seq = sender->outbox->acknowledged_seq = seq;
    backoff_reset(&sender->pause);
    /* Each covers its share of the window, so that the oldest has become a window old before the last is taken. */
    const uint64_t share_ms = (uint64_t)sender->window_s * 1000 / (SENDER_CHECKPOINTS - 1);
    const uint8_t count = sender->checkpoint_count;
    if (count > 0) {
        checkpoint_t *newest = &sender->checkpoints[count - 1];
        if (count == SENDER_CHECKPOINTS || now_ms - newest->from_ms < share_ms) {
            newest->before_seq = seq;
            newest->at_ms = now_ms;
            return;
        }
    }
    sender->checkpoints[count] = (checkpoint_t){.before_seq = seq, .from_ms = now_ms, .at_ms = now_ms};
    sender->checkpoint_count++;
}

/* The broker answered what was sent at alive_ms, so then it was there: what it had acknowledged a window before is on
 * its disk. */
static void discard_before(sender_t *sender, uint64_t alive_ms)
{
    const uint64_t window_ms = (uint64_t)sender->window_s * 1000;
    uint8_t proven = 0;
    while (proven < sender->checkpoint_count && sender->checkpoints[proven].at_ms + window_ms <= alive_ms) {
        proven++;
    }
    if (proven == 0) {
        return;
    }
    sender->storage_failed = !outbox_discard(sender->outbox, sender->checkpoints[proven - 1].before_seq);
    if (sender->storage_failed) {
        return; /* with the next answer again */
    }
    sender->checkpoint_count = (uint8_t)(sender->checkpoint_count - proven);
    memmove(sender->checkpoints, &sender->checkpoints[proven], sender->checkpoint_count * sizeof(checkpoint_t));
}

static bool is_passed_over(const sender_t *sender, uint32_t seq)
{
    for (uint8_t i = 0; i < sender->passed_over_count; i++) {
        if (sender->passed_over_seqs[i] == seq) {
            return true;
        }
    }
    return false;
}

static void pass_over(sender_t *sender, uint32_t seq)
{
    sender->passed_over++;
    sender->passed_over_seqs[sender->passed_over_at] = seq;
    sender->passed_over_at = (uint8_t)((sender->passed_over_at + 1) % SENDER_PASSED_OVER);
    if (sender->passed_over_count < SENDER_PASSED_OVER) {
        sender->passed_over_count++;
    }
}

/* Counts how often the oldest refused record was refused for what it is. Of several in flight the younger ones do not
 * count yet: they will be the oldest in their turn. */
static void count_refusal(sender_t *sender, uint32_t seq)
{
    const bool unsettled = sender->refusals > 0 && !flash_log_is_before(sender->refused_seq, frontier(sender));
    if (unsettled && flash_log_is_before(sender->refused_seq, seq)) {
        return;
    }
    if (seq != sender->refused_seq) {
        sender->refused_seq = seq;
        sender->refusals = 0;
    }
    sender->refusals++;
    if (sender->refusals == SENDER_REFUSALS_MAX) {
        sender->refusals = 0;
        pass_over(sender, seq);
        backoff_reset(&sender->pause);
    }
}

static void hold(sender_t *sender, uint64_t now_ms, uint32_t random, uint32_t seq)
{
    if (!sender->held) {
        sender->held = true;
        sender->held_seq = seq;
        sender->paused_until_ms = now_ms + backoff_next(&sender->pause, random);
    } else if (flash_log_is_before(seq, sender->held_seq)) {
        sender->held_seq = seq;
    }
}

static sender_result_t on_ack(sender_t *sender, uint64_t now_ms, uint32_t random, const event_t *event)
{
    const uint8_t reason = event->ack.reason;
    in_flight_t *entry = event->ack.token != 0 ? with_token(sender, event->ack.token) : NULL;
    if (entry == NULL) {
        return SENDER_NOTHING; /* of another connection, or not its own */
    }
    entry->token = 0;
    if (!event->ack.local) {
        discard_before(sender, entry->sent_ms);
    }
    if (sender_acknowledges(reason)) {
        sender->acked++;
        advance(sender, now_ms);
        return SENDER_ACKNOWLEDGED;
    }
    sender->refused++;
    hold(sender, now_ms, random, entry->seq);
    if (refused_for_what_it_is(reason)) {
        count_refusal(sender, entry->seq);
    }
    return event->ack.local ? SENDER_NOTHING : SENDER_ANSWERED;
}

static bool has_more(const sender_t *sender)
{
    const outbox_t *outbox = sender->outbox;
    return outbox != NULL && flash_log_is_before(sender->next_seq, outbox->next_seq) &&
           (!sender->waits_for_clock || outbox->offset_known);
}

static bool is_stuck(const sender_t *sender, uint64_t now_ms)
{
    for (size_t i = 0; i < SENDER_IN_FLIGHT; i++) {
        const in_flight_t *entry = &sender->in_flight[i];
        if (entry->token != 0 && now_ms - entry->sent_ms >= SENDER_ACK_TIMEOUT_MS) {
            return true;
        }
    }
    return false;
}

/* Topic and payload of a sample, as an action. False: it can't be said. */
static bool publish(sender_t *sender, const char *gateway_code, const sample_t *sample, uint16_t token,
                    actions_t *actions)
{
    const size_t topic_bytes = telemetry_topic(gateway_code, sample->device_code, sender->topic, sizeof(sender->topic));
    const size_t len_bytes = telemetry_payload(gateway_code, sample, sender->payload, sizeof(sender->payload));
    if (topic_bytes == 0 || len_bytes == 0) {
        return false;
    }
    action_t *action = actions_add(actions, ACTION_MQTT_PUBLISH);
    if (action == NULL) {
        return false;
    }
    action->publish.topic = sender->topic;
    action->publish.payload = sender->payload;
    action->publish.len_bytes = (uint16_t)len_bytes;
    action->publish.token = token;
    action->publish.retain = false;
    return true;
}

static void send_next(sender_t *sender, const char *gateway_code, uint64_t now_ms, uint32_t random, actions_t *actions)
{
    in_flight_t *entry = with_token(sender, 0);
    if (sender->held || now_ms < sender->paused_until_ms || entry == NULL || !has_more(sender) ||
        actions->count == ACTIONS_MAX) {
        return;
    }
    uint32_t seq = sender->next_seq;
    switch (outbox_read(sender->outbox, &seq, &sender->scratch)) {
    case OUTBOX_FOUND:
        sender->storage_failed = false;
        break;
    case OUTBOX_END:
        sender->next_seq = sender->outbox->next_seq;
        return;
    case OUTBOX_WAITS_FOR_CLOCK:
        sender->waits_for_clock = true;
        return;
    case OUTBOX_UNREADABLE:
        sender->storage_failed = true;
        sender->paused_until_ms = now_ms + backoff_next(&sender->pause, random);
        return;
    }
    sender->next_seq = seq + 1;
    if (is_passed_over(sender, seq)) {
        return;
    }
    const uint16_t token = (uint16_t)(sender->last_token % SENDER_TOKEN_MAX + 1);
    if (!publish(sender, gateway_code, &sender->scratch, token, actions)) {
        pass_over(sender, seq);
        return;
    }
    sender->last_token = token;
    sender->sent++;
    *entry = (in_flight_t){.seq = seq, .token = token, .sent_ms = now_ms};
}

sender_result_t sender_step(sender_t *sender, const char *gateway_code, uint64_t now_ms, uint32_t random,
                            const event_t *event, actions_t *actions)
{
    if (!sender->online) {
        return SENDER_NOTHING;
    }
    sender_result_t result = SENDER_NOTHING;
    if (event->type == EVENT_MQTT_ACKED) {
        result = on_ack(sender, now_ms, random, event);
    }
    if (is_stuck(sender, now_ms)) {
        sender_offline(sender);
        return SENDER_STUCK;
    }
    if (sender->held && oldest_in_flight(sender) == NULL && now_ms >= sender->paused_until_ms) {
        sender->held = false;
        sender->next_seq = sender->held_seq;
    }
    send_next(sender, gateway_code, now_ms, random, actions);
    return result;
}

bool sender_send_unkept(sender_t *sender, const char *gateway_code, const sample_t *sample, uint16_t token,
                        actions_t *actions)
{
    return sender->online && publish(sender, gateway_code, sample, token, actions);
}

bool sender_is_idle(const sender_t *sender)
{
    return !sender->held && oldest_in_flight(sender) == NULL && !has_more(sender);
}

uint64_t sender_next_due_ms(const sender_t *sender, uint64_t now_ms)
{
    if (!sender->online) {
        return UINT64_MAX;
    }
    uint64_t due_ms = UINT64_MAX;
    bool none = true, full = true;
    for (size_t i = 0; i < SENDER_IN_FLIGHT; i++) {
        const in_flight_t *entry = &sender->in_flight[i];
        if (entry->token == 0) {
            full = false;
            continue;
        }
        none = false;
        const uint64_t stuck_ms = entry->sent_ms + SENDER_ACK_TIMEOUT_MS;
        due_ms = stuck_ms < due_ms ? stuck_ms : due_ms;
    }
    const bool goes_on = sender->held ? none : !full && has_more(sender);
    const uint64_t on_ms = sender->paused_until_ms > now_ms ? sender->paused_until_ms : now_ms;
    return goes_on && on_ms < due_ms ? on_ms : due_ms;
}
