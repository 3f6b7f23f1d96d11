#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/sender.h"
#include "port/fake/fake_flash.h"

#define S 1000ULL
#define WINDOW_S 90
#define WINDOW_MS (WINDOW_S * S)
#define SECTORS 64
#define FULL UINT32_MAX /* the longest of a jitter */
#define NO_SUBSCRIBERS 0x10
#define NOT_AUTHORIZED 0x87
#define TOPIC_INVALID 0x90
#define TOO_LARGE 0x95
#define BAD_FORMAT 0x99

/* Samples are numbered from 1: that is the value in them. */
typedef struct {
    uint8_t medium[SECTORS * OUTBOX_SECTOR_BYTES];
    fake_flash_t flash;
    outbox_t outbox;
    uint32_t first_seq; /* the first sample's number in the outbox */
    sender_t sender;
    uint64_t now_ms;
    sender_result_t result;
    uint16_t token; /* of the last publish; 0: none came */
    int value;      /* in it */
    int put;        /* samples so far: their values are 1, 2, 3, … */
} rig_t;

static rig_t *rig_of(void **state)
{
    return *state;
}

/* Of a blank medium. */
static void begin(rig_t *rig, uint64_t seed)
{
    flash_log_t log;
    flash_log_end_t log_end;
    fake_flash_init(&rig->flash, rig->medium, sizeof(rig->medium), seed);
    fake_flash_blank(&rig->flash);
    assert_true(flash_log_mount(&log, &rig->flash.port, 1, &log_end));
    assert_true(flash_log_open(&log, rig->first_seq, 1));
    assert_true(outbox_mount(&rig->outbox, &rig->flash.port, 2));
    assert_int_equal(rig->outbox.next_seq, rig->first_seq);
    sender_init(&rig->sender, &rig->outbox, WINDOW_S);
    rig->put = 0;
    rig->now_ms = 0;
}

static int set_up_from(void **state, uint32_t first_seq)
{
    rig_t *rig = calloc(1, sizeof(*rig));
    assert_non_null(rig);
    rig->first_seq = first_seq;
    begin(rig, 1);
    *state = rig;
    return 0;
}

static int set_up(void **state)
{
    return set_up_from(state, 1);
}

static int set_up_before_the_numbers_go_round(void **state)
{
    return set_up_from(state, UINT32_MAX); /* the second record is number 0 */
}

static int tear_down(void **state)
{
    rig_t *rig = *state;
    assert_int_equal(rig->flash.misuses, 0);
    free(rig);
    return 0;
}

static void fill(sample_t *sample, int value)
{
    assert_true(sample_init(sample, "D01"));
    assert_true(sample_add(sample, "n", "", (decimal_t){.digits = value}));
    sample->moment = (moment_t){.stamped = true, .unix_s = 1780000000 + value};
}

static void put(rig_t *rig, int count)
{
    for (int i = 0; i < count; i++) {
        sample_t sample;
        fill(&sample, ++rig->put);
        assert_true(outbox_put(&rig->outbox, &sample));
    }
}

static void step(rig_t *rig, event_t event)
{
    actions_t actions = {.count = 0};
    rig->result = sender_step(&rig->sender, "GW-1", rig->now_ms, FULL, &event, &actions);
    rig->token = 0;
    rig->value = 0;
    assert_true(actions.count <= 1);
    if (actions.count == 1) {
        const action_t *action = &actions.items[0];
        assert_int_equal(action->type, ACTION_MQTT_PUBLISH);
        assert_string_equal(action->publish.topic, "telemetry/GW-1/D01/data");
        assert_false(action->publish.retain);
        assert_int_equal(action->publish.len_bytes, strlen(action->publish.payload));
        rig->token = action->publish.token;
        const char *valor = strstr(action->publish.payload, "\"valor\":");
        assert_non_null(valor);
        rig->value = atoi(valor + strlen("\"valor\":"));
    }
}

/* The value of the publish that comes now; 0: none. */
static int tick(rig_t *rig)
{
    step(rig, (event_t){.type = EVENT_TICK});
    return rig->value;
}

/* The value of the publish that the answer leaves room for. */
static int answer(rig_t *rig, uint16_t token, uint8_t reason)
{
    step(rig, (event_t){.type = EVENT_MQTT_ACKED, .ack = {.token = token, .reason = reason}});
    return rig->value;
}

static int acknowledge(rig_t *rig, uint16_t token)
{
    return answer(rig, token, 0);
}

/* Sends what there is, each acknowledged at once; how many there were. */
static int drain(rig_t *rig)
{
    int count = 0;
    (void)tick(rig);
    while (rig->token != 0) {
        count++;
        (void)acknowledge(rig, rig->token);
    }
    return count;
}

/* Of the oldest that is there. */
static int oldest_value(const rig_t *rig)
{
    return (int)(rig->outbox.first_seq - rig->first_seq) + 1;
}

static void sends_from(rig_t *rig, int first, int last)
{
    for (int value = first; value <= last; value++) {
        assert_int_equal(tick(rig), value);
    }
}

static void reconnect(rig_t *rig)
{
    sender_offline(&rig->sender);
    sender_online(&rig->sender);
}

/* Sending */

static void offline_nothing_is_sent(void **state)
{
    rig_t *rig = rig_of(state);
    put(rig, 3);
    assert_int_equal(tick(rig), 0);
    assert_true(sender_next_due_ms(&rig->sender, rig->now_ms) == UINT64_MAX);
    assert_false(sender_is_idle(&rig->sender));
}

static void what_waits_goes_out_in_order_one_a_step_and_without_pause(void **state)
{
    rig_t *rig = rig_of(state);
    put(rig, SENDER_IN_FLIGHT);
    sender_online(&rig->sender);
    for (int value = 1; value <= SENDER_IN_FLIGHT; value++) {
        assert_int_equal(sender_next_due_ms(&rig->sender, rig->now_ms), rig->now_ms);
        assert_int_equal(tick(rig), value);
    }
    assert_int_equal(rig->sender.sent, SENDER_IN_FLIGHT);
}

static void no_more_than_the_bound_are_on_their_way_at_once(void **state)
{
    rig_t *rig = rig_of(state);
    put(rig, SENDER_IN_FLIGHT + 3);
    sender_online(&rig->sender);
    sends_from(rig, 1, SENDER_IN_FLIGHT);
    const uint16_t token = rig->token;
    assert_int_equal(tick(rig), 0);
    assert_int_equal(sender_next_due_ms(&rig->sender, rig->now_ms), rig->now_ms + SENDER_ACK_TIMEOUT_MS);
    assert_int_equal(acknowledge(rig, token), SENDER_IN_FLIGHT + 1); /* the answer makes room for the next */
    assert_int_equal(rig->result, SENDER_ACKNOWLEDGED);
}

static void a_backlog_of_a_day_goes_out_without_time_going_by(void **state)
{
    rig_t *rig = rig_of(state);
    put(rig, 200);
    sender_online(&rig->sender);
    assert_int_equal(drain(rig), 200);
    assert_int_equal(tick(rig), 0);
    assert_true(sender_is_idle(&rig->sender));
    assert_true(sender_next_due_ms(&rig->sender, rig->now_ms) == UINT64_MAX);
}

static void tokens_go_round_and_are_never_zero(void **state)
{
    rig_t *rig = rig_of(state);
    rig->sender.last_token = SENDER_TOKEN_MAX - 1;
    put(rig, 2);
    sender_online(&rig->sender);
    assert_int_equal(tick(rig), 1);
    assert_int_equal(rig->token, SENDER_TOKEN_MAX);
    assert_int_equal(tick(rig), 2);
    assert_int_equal(rig->token, 1);
}

static void with_no_room_for_an_action_it_waits_for_the_next_step(void **state)
{
    rig_t *rig = rig_of(state);
    put(rig, 1);
    sender_online(&rig->sender);
    actions_t actions = {.count = ACTIONS_MAX};
    const event_t event = {.type = EVENT_TICK};
    (void)sender_step(&rig->sender, "GW-1", rig->now_ms, FULL, &event, &actions);
    assert_int_equal(tick(rig), 1);
}

static void what_can_not_be_said_is_passed_over_and_counted(void **state)
{
    rig_t *rig = rig_of(state);
    put(rig, 1);
    sender_online(&rig->sender);
    actions_t actions = {.count = 0};
    const event_t event = {.type = EVENT_TICK};
    (void)sender_step(&rig->sender, "no code!", rig->now_ms, FULL, &event, &actions);
    assert_int_equal(actions.count, 0);
    assert_int_equal(rig->sender.passed_over, 1);
    assert_true(sender_is_idle(&rig->sender));
}

static void an_answer_of_nobodys_publish_is_none(void **state)
{
    rig_t *rig = rig_of(state);
    put(rig, 1);
    sender_online(&rig->sender);
    assert_int_equal(tick(rig), 1);
    const uint16_t token = rig->token;
    assert_int_equal(answer(rig, 0, 0), 0);
    assert_int_equal(rig->result, SENDER_NOTHING);
    assert_int_equal(answer(rig, (uint16_t)(token + 1), 0), 0);
    assert_int_equal(rig->result, SENDER_NOTHING);
    acknowledge(rig, token);
    assert_int_equal(rig->result, SENDER_ACKNOWLEDGED);
    acknowledge(rig, token); /* a second time */
    assert_int_equal(rig->result, SENDER_NOTHING);
}

static void an_answer_of_the_former_connection_is_none(void **state)
{
    rig_t *rig = rig_of(state);
    put(rig, 1);
    sender_online(&rig->sender);
    assert_int_equal(tick(rig), 1);
    const uint16_t token = rig->token;
    reconnect(rig);
    acknowledge(rig, token);
    assert_int_equal(rig->result, SENDER_NOTHING);
    assert_int_equal(rig->value, 1);
}

static void what_waits_for_the_clock_is_sent_when_it_is_set(void **state)
{
    rig_t *rig = rig_of(state);
    sample_t sample;
    fill(&sample, 1);
    sample.moment = (moment_t){.boot = 1, .since_boot_ms = 5};
    assert_true(outbox_put(&rig->outbox, &sample));
    sender_online(&rig->sender);
    assert_int_equal(tick(rig), 0);
    assert_true(sender_next_due_ms(&rig->sender, rig->now_ms) == UINT64_MAX); /* it does not spin */
    assert_true(sender_is_idle(&rig->sender));
    assert_true(outbox_set_offset(&rig->outbox, 1780000000000));
    assert_int_equal(sender_next_due_ms(&rig->sender, rig->now_ms), rig->now_ms);
    assert_int_equal(tick(rig), 1);
}

/* Discarding */

static void an_acknowledged_record_stays_for_a_window_and_is_sent_again_after_a_reconnect(void **state)
{
    rig_t *rig = rig_of(state);
    put(rig, 2);
    sender_online(&rig->sender);
    assert_int_equal(drain(rig), 2);
    rig->now_ms += WINDOW_MS - 1;
    put(rig, 1);
    assert_int_equal(drain(rig), 1);
    assert_int_equal(outbox_depth(&rig->outbox), 3);
    reconnect(rig);
    sends_from(rig, 1, 3);
}

static void it_is_discarded_when_the_broker_answers_a_window_later(void **state)
{
    rig_t *rig = rig_of(state);
    put(rig, 2);
    sender_online(&rig->sender);
    assert_int_equal(drain(rig), 2);
    rig->now_ms += WINDOW_MS;
    assert_int_equal(tick(rig), 0);
    assert_int_equal(outbox_depth(&rig->outbox), 2); /* time alone is no proof */
    put(rig, 1);
    assert_int_equal(drain(rig), 1);
    assert_int_equal(outbox_depth(&rig->outbox), 1);
    reconnect(rig);
    sends_from(rig, 3, 3);
}

static void an_answer_that_was_long_on_its_way_proves_only_that_the_broker_lived_when_it_was_asked(void **state)
{
    rig_t *rig = rig_of(state);
    put(rig, 1);
    sender_online(&rig->sender);
    assert_int_equal(drain(rig), 1);
    rig->now_ms += WINDOW_MS - 1;
    put(rig, 1);
    assert_int_equal(tick(rig), 2);
    rig->now_ms += 20 * S;
    acknowledge(rig, rig->token);
    assert_int_equal(outbox_depth(&rig->outbox), 2);
}

static void a_broker_that_lost_power_unheard_costs_nothing(void **state)
{
    rig_t *rig = rig_of(state);
    put(rig, 1);
    sender_online(&rig->sender);
    assert_int_equal(drain(rig), 1);
    rig->now_ms += WINDOW_MS * 3; /* it went just after its answer; the keep-alive tells much later */
    assert_int_equal(tick(rig), 0);
    reconnect(rig);
    sends_from(rig, 1, 1);
}

static void an_acknowledgement_on_a_former_connection_does_not_count_on_this_one(void **state)
{
    rig_t *rig = rig_of(state);
    put(rig, 2);
    sender_online(&rig->sender);
    assert_int_equal(drain(rig), 2);
    rig->now_ms += 60 * S;
    reconnect(rig); /* to a broker that restarted and knows neither */
    assert_int_equal(drain(rig), 2);
    rig->now_ms += WINDOW_MS - 1;
    put(rig, 1);
    assert_int_equal(drain(rig), 1);
    assert_int_equal(outbox_depth(&rig->outbox), 3);
    rig->now_ms += 1;
    put(rig, 1);
    assert_int_equal(drain(rig), 1);
    assert_int_equal(outbox_depth(&rig->outbox), 2);
}

static void behind_a_gap_nothing_is_discarded(void **state)
{
    rig_t *rig = rig_of(state);
    put(rig, 3);
    sender_online(&rig->sender);
    assert_int_equal(tick(rig), 1);
    const uint16_t first = rig->token;
    sends_from(rig, 2, 2);
    assert_int_equal(acknowledge(rig, rig->token), 3);
    assert_int_equal(acknowledge(rig, rig->token), 0);
    rig->now_ms += SENDER_ACK_TIMEOUT_MS - 1;
    acknowledge(rig, first); /* out of order, last of all: the window counts from here */
    rig->now_ms += WINDOW_MS - 1;
    put(rig, 1);
    assert_int_equal(drain(rig), 1);
    assert_int_equal(outbox_depth(&rig->outbox), 4);
    rig->now_ms += 1;
    put(rig, 1);
    assert_int_equal(drain(rig), 1);
    assert_int_equal(outbox_depth(&rig->outbox), 2);
}

static void a_steady_flow_is_discarded_a_window_later_with_bounded_memory(void **state)
{
    rig_t *rig = rig_of(state);
    sender_online(&rig->sender);
    const uint64_t share_ms = WINDOW_MS / (SENDER_CHECKPOINTS - 1);
    for (int i = 0; i < 2000; i++) { /* 200 s at ten a second */
        put(rig, 1);
        assert_int_equal(drain(rig), 1);
        assert_true(rig->sender.checkpoint_count <= SENDER_CHECKPOINTS);
        assert_true(outbox_depth(&rig->outbox) <= (WINDOW_MS + 2 * share_ms) / 100 + 1);
        assert_true(i < 900 || outbox_depth(&rig->outbox) >= WINDOW_MS / 100);
        rig->now_ms += 100;
    }
    assert_int_equal(rig->outbox.dropped, 0);
}

static void with_all_checkpoints_taken_it_waits_longer_and_no_less(void **state)
{
    rig_t *rig = rig_of(state);
    sender_online(&rig->sender);
    rig->flash.fail_writes_from = 1; /* the outbox can't be told what is done with */
    for (int i = 0; i < SENDER_CHECKPOINTS + 20; i++) {
        rig->flash.fail_writes_from = 0;
        put(rig, 1);
        rig->flash.fail_writes_from = rig->flash.writes + 1;
        assert_int_equal(drain(rig), 1);
        rig->now_ms += 10 * S;
    }
    assert_int_equal(rig->sender.checkpoint_count, SENDER_CHECKPOINTS);
    assert_true(rig->sender.storage_failed);
    const checkpoint_t *newest = &rig->sender.checkpoints[SENDER_CHECKPOINTS - 1];
    assert_int_equal(newest->before_seq, rig->sender.frontier_seq);
    assert_int_equal(newest->at_ms, rig->now_ms - 10 * S);
    rig->flash.fail_writes_from = 0;
    put(rig, 1);
    assert_int_equal(drain(rig), 1); /* it is told again, and the ring is free */
    assert_false(rig->sender.storage_failed);
    assert_int_equal(outbox_depth(&rig->outbox), 21 + 1);
}

static void a_record_that_the_outbox_dropped_on_its_way_is_no_trouble(void **state)
{
    rig_t *rig = rig_of(state);
    put(rig, 3);
    sender_online(&rig->sender);
    assert_int_equal(tick(rig), 1);
    const uint16_t token = rig->token;
    assert_int_equal(tick(rig), 2);
    uint16_t second = rig->token;
    while (rig->outbox.dropped == 0) {
        put(rig, 1);
    }
    acknowledge(rig, token);
    assert_int_equal(rig->result, SENDER_ACKNOWLEDGED);
    assert_int_equal(rig->value, oldest_value(rig));
    const uint16_t oldest = rig->token;
    while (acknowledge(rig, second) != 0) {
        assert_int_equal(rig->result, SENDER_ACKNOWLEDGED);
        second = rig->token;
    }
    acknowledge(rig, oldest);
    assert_true(sender_is_idle(&rig->sender));
}

/* Refusals */

static void a_publish_refused_with_0x87_is_kept_and_sent_again_after_a_pause(void **state)
{
    rig_t *rig = rig_of(state);
    put(rig, 2);
    sender_online(&rig->sender);
    assert_int_equal(tick(rig), 1);
    assert_int_equal(answer(rig, rig->token, NOT_AUTHORIZED), 0);
    assert_int_equal(rig->result, SENDER_ANSWERED);
    assert_int_equal(sender_next_due_ms(&rig->sender, rig->now_ms), rig->now_ms + SENDER_PAUSE_FIRST_MS);
    rig->now_ms += SENDER_PAUSE_FIRST_MS - 1;
    assert_int_equal(tick(rig), 0);
    assert_false(sender_is_idle(&rig->sender));
    rig->now_ms += 1;
    sends_from(rig, 1, 2);
    assert_int_equal(rig->sender.refused, 1);
    assert_int_equal(rig->sender.passed_over, 0);
}

static void nobody_subscribed_is_no_acknowledgement(void **state)
{
    rig_t *rig = rig_of(state);
    put(rig, 1);
    sender_online(&rig->sender);
    for (int i = 0; i < 2 * SENDER_REFUSALS_MAX; i++) {
        rig->now_ms += SENDER_PAUSE_MAX_MS;
        assert_int_equal(tick(rig), 1);
        (void)answer(rig, rig->token, NO_SUBSCRIBERS);
        assert_int_equal(rig->result, SENDER_ANSWERED);
    }
    assert_int_equal(outbox_depth(&rig->outbox), 1);
    assert_int_equal(rig->sender.acked, 0);
    assert_int_equal(rig->sender.passed_over, 0);
}

static void pauses_grow_to_five_minutes_and_begin_anew_with_an_acknowledgement(void **state)
{
    rig_t *rig = rig_of(state);
    put(rig, 1);
    sender_online(&rig->sender);
    uint64_t ceiling_ms = SENDER_PAUSE_FIRST_MS;
    for (int i = 0; i < 12; i++) {
        assert_int_equal(tick(rig), 1);
        (void)answer(rig, rig->token, 0x97);
        assert_int_equal(rig->sender.paused_until_ms, rig->now_ms + ceiling_ms);
        rig->now_ms += ceiling_ms;
        ceiling_ms = ceiling_ms * 2 < SENDER_PAUSE_MAX_MS ? ceiling_ms * 2 : SENDER_PAUSE_MAX_MS;
    }
    assert_int_equal(drain(rig), 1);
    put(rig, 1);
    assert_int_equal(tick(rig), 2);
    (void)answer(rig, rig->token, 0x97);
    assert_int_equal(rig->sender.paused_until_ms, rig->now_ms + SENDER_PAUSE_FIRST_MS);
}

static void the_others_on_their_way_are_waited_for_and_it_goes_on_from_the_oldest_refused(void **state)
{
    rig_t *rig = rig_of(state);
    uint16_t tokens[6] = {0};
    put(rig, 6);
    sender_online(&rig->sender);
    for (int i = 1; i <= 5; i++) {
        assert_int_equal(tick(rig), i);
        tokens[i] = rig->token;
    }
    assert_int_equal(answer(rig, tokens[4], NOT_AUTHORIZED), 0);
    const uint64_t paused_until_ms = rig->sender.paused_until_ms;
    rig->now_ms += 100;
    assert_int_equal(answer(rig, tokens[2], NOT_AUTHORIZED), 0);
    assert_int_equal(answer(rig, tokens[5], NOT_AUTHORIZED), 0);
    assert_int_equal(rig->sender.paused_until_ms, paused_until_ms); /* one pause for all of them */
    assert_int_equal(acknowledge(rig, tokens[1]), 0);
    rig->now_ms += 10 * S;
    assert_int_equal(tick(rig), 0); /* 3 has not been answered */
    assert_int_equal(acknowledge(rig, tokens[3]), 2);
    sends_from(rig, 3, 6);
}

static void an_answer_to_a_younger_one_does_not_shorten_the_pauses_of_the_refused(void **state)
{
    rig_t *rig = rig_of(state);
    put(rig, 2);
    sender_online(&rig->sender);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(tick(rig), 1);
        const uint16_t refused = rig->token;
        assert_int_equal(tick(rig), 2);
        const uint16_t good = rig->token;
        (void)acknowledge(rig, good);
        (void)answer(rig, refused, NOT_AUTHORIZED);
        assert_int_equal(rig->sender.paused_until_ms, rig->now_ms + ((uint64_t)SENDER_PAUSE_FIRST_MS << i));
        rig->now_ms = rig->sender.paused_until_ms;
    }
}

static void a_broker_that_refuses_and_hangs_up_is_not_hammered(void **state)
{
    rig_t *rig = rig_of(state);
    put(rig, 1);
    sender_online(&rig->sender);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(tick(rig), 1); /* at once: the connection itself has waited */
        (void)answer(rig, rig->token, NOT_AUTHORIZED);
        assert_int_equal(rig->sender.paused_until_ms, rig->now_ms + ((uint64_t)SENDER_PAUSE_FIRST_MS << i));
        reconnect(rig);
    }
}

static void refuse_for_what_it_is(rig_t *rig, int value, uint8_t reason)
{
    for (int i = 0; i < SENDER_REFUSALS_MAX; i++) {
        rig->now_ms += SENDER_PAUSE_MAX_MS;
        assert_int_equal(tick(rig), value);
        assert_int_equal(answer(rig, rig->token, reason), 0);
    }
    rig->now_ms += SENDER_PAUSE_MAX_MS;
    assert_int_equal(tick(rig), 0); /* passed over */
}

static void what_is_refused_for_what_it_is_is_passed_over_after_so_many_times_and_counted(void **state)
{
    const uint8_t reasons[] = {TOO_LARGE, BAD_FORMAT, TOPIC_INVALID};
    rig_t *rig = rig_of(state);
    sender_online(&rig->sender);
    for (size_t i = 0; i < sizeof(reasons); i++) {
        put(rig, 1);
        refuse_for_what_it_is(rig, rig->put, reasons[i]);
        assert_int_equal(rig->sender.passed_over, i + 1);
        put(rig, 1);
        assert_int_equal(tick(rig), rig->put);
        (void)acknowledge(rig, rig->token);
    }
}

static void what_was_passed_over_is_so_after_a_reconnect_too_and_is_discarded_with_the_others(void **state)
{
    rig_t *rig = rig_of(state);
    put(rig, 1);
    sender_online(&rig->sender);
    refuse_for_what_it_is(rig, 1, TOO_LARGE);
    put(rig, 1);
    reconnect(rig);
    assert_int_equal(tick(rig), 0);
    assert_int_equal(tick(rig), 2);
    (void)acknowledge(rig, rig->token);
    rig->now_ms += WINDOW_MS;
    put(rig, 1);
    assert_int_equal(drain(rig), 1);
    assert_int_equal(outbox_depth(&rig->outbox), 1);
}

static void two_that_are_refused_for_what_they_are_are_passed_over_for_good(void **state)
{
    rig_t *rig = rig_of(state);
    put(rig, 2);
    sender_online(&rig->sender);
    refuse_for_what_it_is(rig, 1, TOO_LARGE);
    refuse_for_what_it_is(rig, 2, TOO_LARGE);
    put(rig, 1);
    const uint32_t refused = rig->sender.refused;
    for (int i = 0; i < 10; i++) {
        reconnect(rig);
        assert_int_equal(tick(rig), 0);
        assert_int_equal(tick(rig), 0);
        assert_int_equal(tick(rig), 3);
        (void)acknowledge(rig, rig->token);
    }
    assert_int_equal(rig->sender.refused, refused);
    assert_int_equal(rig->sender.passed_over, 2);
}

/* More than it knows again: each connection still comes to what lies behind them. */
static void however_many_are_refused_for_what_they_are_what_is_behind_them_is_sent(void **state)
{
    rig_t *rig = rig_of(state);
    put(rig, SENDER_PASSED_OVER + 2);
    sender_online(&rig->sender);
    for (int value = 1; value <= SENDER_PASSED_OVER + 2; value++) {
        refuse_for_what_it_is(rig, value, TOO_LARGE);
    }
    put(rig, 1);
    for (int i = 0; i < 2; i++) {
        reconnect(rig);
        int steps = 0;
        while (rig->value != rig->put) {
            assert_true(++steps < 1000);
            rig->now_ms += SENDER_PAUSE_MAX_MS;
            if (tick(rig) != 0 && rig->value != rig->put) {
                (void)answer(rig, rig->token, TOO_LARGE);
            }
        }
        (void)acknowledge(rig, rig->token);
    }
}

static void a_clients_own_refusal_does_not_discard(void **state)
{
    rig_t *rig = rig_of(state);
    put(rig, 2);
    sender_online(&rig->sender);
    assert_int_equal(tick(rig), 1);
    assert_int_equal(acknowledge(rig, rig->token), 2);
    (void)acknowledge(rig, rig->token);
    rig->now_ms += 2 * WINDOW_MS;
    put(rig, 1);
    assert_int_equal(tick(rig), 3);
    event_t refusal = {.type = EVENT_MQTT_ACKED, .ack = {.token = rig->token, .reason = TOO_LARGE, .local = true}};
    step(rig, refusal);
    assert_int_equal(rig->result, SENDER_NOTHING);
    assert_int_equal(outbox_depth(&rig->outbox), 3);
    rig->now_ms += SENDER_PAUSE_MAX_MS;
    assert_int_equal(tick(rig), 3);
    (void)answer(rig, rig->token, TOO_LARGE); /* the broker's word */
    assert_int_equal(rig->result, SENDER_ANSWERED);
    assert_int_equal(outbox_depth(&rig->outbox), 1);
}

static void what_was_acknowledged_and_goes_with_a_full_ring_is_not_dropped(void **state)
{
    rig_t *rig = rig_of(state);
    sender_online(&rig->sender);
    for (int i = 0; i < 100000 && oldest_value(rig) == 1; i++) {
        put(rig, 1); /* within one window, so that nothing is discarded */
        assert_int_equal(drain(rig), 1);
    }
    assert_true(oldest_value(rig) > 1);
    assert_int_equal(rig->outbox.dropped, 0);
}

static void a_whole_row_that_is_refused_for_what_it_is_is_passed_over_one_after_the_other(void **state)
{
    rig_t *rig = rig_of(state);
    put(rig, 4);
    sender_online(&rig->sender);
    int refusals = 0;
    while (rig->sender.passed_over < 4) {
        rig->now_ms += 1 * S;
        uint16_t tokens[SENDER_IN_FLIGHT];
        int count = 0;
        for (int i = 0; i < 2 * SENDER_IN_FLIGHT; i++) {
            if (tick(rig) != 0) {
                tokens[count++] = rig->token;
            }
        }
        while (count > 0) { /* the youngest first */
            (void)answer(rig, tokens[--count], TOO_LARGE);
            refusals++;
        }
        assert_true(rig->now_ms < 3600 * S);
    }
    assert_int_equal(refusals, SENDER_REFUSALS_MAX * (4 + 3 + 2 + 1));
    put(rig, 1);
    rig->now_ms += SENDER_PAUSE_MAX_MS;
    assert_int_equal(tick(rig), 0);
    assert_int_equal(tick(rig), 5);
}

static void what_was_refused_for_what_it_is_less_often_is_sent_as_any(void **state)
{
    rig_t *rig = rig_of(state);
    put(rig, 2);
    sender_online(&rig->sender);
    for (int i = 0; i < SENDER_REFUSALS_MAX - 1; i++) {
        assert_int_equal(tick(rig), 1);
        (void)answer(rig, rig->token, TOO_LARGE);
        rig->now_ms += SENDER_PAUSE_MAX_MS;
    }
    assert_int_equal(tick(rig), 1);
    assert_int_equal(acknowledge(rig, rig->token), 2);
    assert_int_equal(answer(rig, rig->token, TOO_LARGE), 0); /* another one: counted from the start */
    assert_int_equal(rig->sender.refusals, 1);
    assert_int_equal(rig->sender.passed_over, 0);
}

static void a_connection_lost_within_a_pause_begins_from_the_oldest(void **state)
{
    rig_t *rig = rig_of(state);
    put(rig, 3);
    sender_online(&rig->sender);
    assert_int_equal(tick(rig), 1);
    const uint16_t first = rig->token;
    assert_int_equal(tick(rig), 2);
    (void)answer(rig, rig->token, NOT_AUTHORIZED);
    (void)acknowledge(rig, first);
    reconnect(rig);
    sends_from(rig, 1, 3);
}

/* Time-outs and storage */

static void a_puback_that_never_comes_ends_the_connection(void **state)
{
    rig_t *rig = rig_of(state);
    put(rig, 2);
    sender_online(&rig->sender);
    assert_int_equal(tick(rig), 1);
    rig->now_ms += 10 * S;
    put(rig, 1);
    assert_int_equal(tick(rig), 2);
    assert_int_equal(acknowledge(rig, rig->token), 3);
    rig->now_ms += SENDER_ACK_TIMEOUT_MS - 10 * S - 1;
    assert_int_equal(tick(rig), 0);
    assert_int_equal(rig->result, SENDER_NOTHING);
    assert_int_equal(sender_next_due_ms(&rig->sender, rig->now_ms), rig->now_ms + 1);
    rig->now_ms += 1;
    assert_int_equal(tick(rig), 0);
    assert_int_equal(rig->result, SENDER_STUCK);
    assert_false(rig->sender.online);
    sender_online(&rig->sender);
    sends_from(rig, 1, 3);
}

static void an_outbox_that_can_not_be_read_is_asked_again_after_a_pause(void **state)
{
    rig_t *rig = rig_of(state);
    put(rig, 1);
    sender_online(&rig->sender);
    rig->flash.fail_reads = true;
    assert_int_equal(tick(rig), 0);
    assert_true(rig->sender.storage_failed);
    assert_int_equal(sender_next_due_ms(&rig->sender, rig->now_ms), rig->now_ms + SENDER_PAUSE_FIRST_MS);
    rig->flash.fail_reads = false;
    rig->now_ms += SENDER_PAUSE_FIRST_MS;
    assert_int_equal(tick(rig), 1);
    assert_false(rig->sender.storage_failed);
}

static void without_an_outbox_only_what_can_not_be_kept_is_sent(void **state)
{
    rig_t *rig = rig_of(state);
    sample_t sample;
    actions_t actions = {.count = 0};
    fill(&sample, 7);
    sender_init(&rig->sender, NULL, WINDOW_S);
    assert_false(sender_send_unkept(&rig->sender, "GW-1", &sample, 0x8001, &actions));
    sender_online(&rig->sender);
    assert_int_equal(tick(rig), 0);
    assert_true(sender_is_idle(&rig->sender));
    assert_true(sender_next_due_ms(&rig->sender, rig->now_ms) == UINT64_MAX);
    assert_true(sender_send_unkept(&rig->sender, "GW-1", &sample, 0x8001, &actions));
    assert_int_equal(actions.count, 1);
    assert_int_equal(actions.items[0].publish.token, 0x8001);
    sample.moment = (moment_t){.boot = 1};
    assert_false(sender_send_unkept(&rig->sender, "GW-1", &sample, 0x8001, &actions));
    fill(&sample, 8);
    actions.count = ACTIONS_MAX;
    assert_false(sender_send_unkept(&rig->sender, "GW-1", &sample, 0x8001, &actions));
}

static void reasons_below_0x80_but_0x10_acknowledge(void **state)
{
    (void)state;
    for (int reason = 0; reason <= UINT8_MAX; reason++) {
        assert_int_equal(sender_acknowledges((uint8_t)reason), reason < 0x80 && reason != 0x10);
    }
}

/* Whatever happens in whatever order: each record is acknowledged at last, in bounded steps, with bounded in flight. */
static void any_weather_ends_with_all_acknowledged(void **state)
{
    rig_t *rig = rig_of(state);
    for (uint64_t seed = 1; seed <= 30; seed++) {
        uint16_t on_way[64];
        int values[64];
        int count = 0;
        bool *seen = calloc(400, sizeof(bool));
        assert_non_null(seen);
        begin(rig, seed);
        for (int i = 0; i < 6000; i++) {
            const uint32_t dice = fake_flash_random(&rig->flash) % 100;
            const bool calm = i > 4000;
            rig->now_ms += fake_flash_random(&rig->flash) % 500;
            if (rig->put < 300 && dice < 10 && !calm) {
                put(rig, 1);
            }
            if (!rig->sender.online) {
                count = 0;
                sender_online(&rig->sender);
            } else if (!calm && dice < 12) {
                count = 0;
                sender_offline(&rig->sender);
            } else if (count > 0 && dice < 90) {
                const int which = (int)(fake_flash_random(&rig->flash) % (uint32_t)count);
                const uint8_t reason = !calm && dice < 25 ? (dice % 2 == 0 ? NO_SUBSCRIBERS : 0x97) : 0;
                const uint16_t token = on_way[which];
                if (reason == 0) {
                    seen[values[which]] = true;
                }
                on_way[which] = on_way[count - 1];
                values[which] = values[--count];
                (void)answer(rig, token, reason);
            } else {
                (void)tick(rig);
            }
            if (rig->token != 0) {
                on_way[count] = rig->token;
                values[count++] = rig->value;
                assert_true(count <= SENDER_IN_FLIGHT);
            }
            for (int value = 1; value < oldest_value(rig); value++) {
                assert_true(seen[value]); /* nothing is discarded that was never acknowledged */
            }
        }
        for (int value = 1; value <= rig->put; value++) {
            assert_true(seen[value]);
        }
        assert_int_equal(rig->outbox.dropped, 0);
        assert_int_equal(rig->flash.misuses, 0);
        free(seen);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(offline_nothing_is_sent),
        TEST(what_waits_goes_out_in_order_one_a_step_and_without_pause),
        TEST(no_more_than_the_bound_are_on_their_way_at_once),
        TEST(a_backlog_of_a_day_goes_out_without_time_going_by),
        TEST(tokens_go_round_and_are_never_zero),
        TEST(with_no_room_for_an_action_it_waits_for_the_next_step),
        TEST(what_can_not_be_said_is_passed_over_and_counted),
        TEST(an_answer_of_nobodys_publish_is_none),
        TEST(an_answer_of_the_former_connection_is_none),
        TEST(what_waits_for_the_clock_is_sent_when_it_is_set),
        TEST(an_acknowledged_record_stays_for_a_window_and_is_sent_again_after_a_reconnect),
        TEST(it_is_discarded_when_the_broker_answers_a_window_later),
        TEST(an_answer_that_was_long_on_its_way_proves_only_that_the_broker_lived_when_it_was_asked),
        TEST(a_broker_that_lost_power_unheard_costs_nothing),
        TEST(an_acknowledgement_on_a_former_connection_does_not_count_on_this_one),
        TEST(behind_a_gap_nothing_is_discarded),
        TEST(a_steady_flow_is_discarded_a_window_later_with_bounded_memory),
        TEST(with_all_checkpoints_taken_it_waits_longer_and_no_less),
        TEST(a_record_that_the_outbox_dropped_on_its_way_is_no_trouble),
        TEST(a_publish_refused_with_0x87_is_kept_and_sent_again_after_a_pause),
        TEST(nobody_subscribed_is_no_acknowledgement),
        TEST(pauses_grow_to_five_minutes_and_begin_anew_with_an_acknowledgement),
        TEST(the_others_on_their_way_are_waited_for_and_it_goes_on_from_the_oldest_refused),
        TEST(an_answer_to_a_younger_one_does_not_shorten_the_pauses_of_the_refused),
        TEST(a_broker_that_refuses_and_hangs_up_is_not_hammered),
        TEST(what_is_refused_for_what_it_is_is_passed_over_after_so_many_times_and_counted),
        TEST(what_was_passed_over_is_so_after_a_reconnect_too_and_is_discarded_with_the_others),
        TEST(two_that_are_refused_for_what_they_are_are_passed_over_for_good),
        TEST(however_many_are_refused_for_what_they_are_what_is_behind_them_is_sent),
        TEST(a_clients_own_refusal_does_not_discard),
        TEST(what_was_acknowledged_and_goes_with_a_full_ring_is_not_dropped),
        TEST(a_whole_row_that_is_refused_for_what_it_is_is_passed_over_one_after_the_other),
        TEST(what_was_refused_for_what_it_is_less_often_is_sent_as_any),
        TEST(a_connection_lost_within_a_pause_begins_from_the_oldest),
        TEST(a_puback_that_never_comes_ends_the_connection),
        TEST(an_outbox_that_can_not_be_read_is_asked_again_after_a_pause),
        TEST(without_an_outbox_only_what_can_not_be_kept_is_sent),
        TEST(reasons_below_0x80_but_0x10_acknowledge),
        TEST(any_weather_ends_with_all_acknowledged),
    };
    struct CMUnitTest again[sizeof(tests) / sizeof(tests[0])];
    memcpy(again, tests, sizeof(tests));
    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        again[i].setup_func = set_up_before_the_numbers_go_round;
    }
    return cmocka_run_group_tests(tests, NULL, NULL) +
           cmocka_run_group_tests_name("before the numbers go round", again, NULL, NULL);
}
