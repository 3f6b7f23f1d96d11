/* Events of all tasks in one queue. */
#include "chip_events.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "freertos/queue.h"

/* A queue that does not wait, and remembers for how long it was asked to. */
static struct {
    uint8_t items[CHIP_EVENTS_MAX][sizeof(event_t) + 16];
    size_t item_bytes, length, first, count;
    TickType_t waited;
} s_queue;

static bool s_comes_while_it_waits;

QueueHandle_t xQueueCreateStatic(UBaseType_t length, UBaseType_t item_size, uint8_t *storage, StaticQueue_t *memory)
{
    (void)storage, (void)memory;
    memset(&s_queue, 0, sizeof(s_queue));
    assert_true(item_size <= sizeof(s_queue.items[0]));
    s_queue.item_bytes = item_size;
    s_queue.length = length;
    return (QueueHandle_t)(uintptr_t)&s_queue;
}

BaseType_t xQueueSend(QueueHandle_t queue, const void *item, TickType_t wait)
{
    (void)queue;
    assert_int_equal(wait, 0); /* nobody who posts may be held up */
    if (s_queue.count == s_queue.length) {
        return 0;
    }
    memcpy(s_queue.items[(s_queue.first + s_queue.count) % s_queue.length], item, s_queue.item_bytes);
    s_queue.count++;
    return pdTRUE;
}

BaseType_t xQueueReceive(QueueHandle_t queue, void *out, TickType_t wait)
{
    (void)queue;
    s_queue.waited = wait;
    if (s_comes_while_it_waits) {
        s_comes_while_it_waits = false;
        chip_events_network(true);
    }
    if (s_queue.count == 0) {
        return 0;
    }
    memcpy(out, s_queue.items[s_queue.first], s_queue.item_bytes);
    s_queue.first = (s_queue.first + 1) % s_queue.length;
    s_queue.count--;
    return pdTRUE;
}

static uint32_t s_present = 7;

static bool accepts(uint32_t connection, event_t *event)
{
    if (event->type == EVENT_MQTT_ACKED) {
        event->ack.token = 99;
    }
    return connection == s_present;
}

static uint32_t s_request = 3, s_used;

static bool accepts_http(uint32_t request, event_t *event)
{
    (void)event;
    return request == s_request;
}

static void http_used(uint32_t request)
{
    s_used = request;
}

static const chip_events_owners_t s_owners = {accepts, accepts_http, http_used};

static bool next(event_t *out)
{
    return chip_events.next(chip_events.ctx, 1000, out);
}

/* Takes what the test before left, and gives its places back. */
static int begin(void **state)
{
    (void)state;
    event_t event;
    chip_events_network(false);
    while (s_queue.count > 0) {
        (void)next(&event);
    }
    chip_events_init(&s_owners);
    s_used = 0;
    (void)next(&event);
    return 0;
}

static bool post_command(const char *text, size_t whole_bytes)
{
    return chip_events_post_message(7, "ota/GW-1/update", 15, text, strlen(text), whole_bytes);
}

static void a_message_is_handed_out_as_it_came(void **state)
{
    (void)state;
    event_t event;
    assert_true(post_command("{}", 2));
    assert_true(next(&event));
    assert_int_equal(event.type, EVENT_MQTT_MESSAGE);
    assert_string_equal(event.message.topic, "ota/GW-1/update");
    assert_int_equal(event.message.len_bytes, 2);
    assert_memory_equal(event.message.payload, "{}", 2);
}

static void a_command_that_is_longer_than_any_is_told_as_such(void **state)
{
    (void)state;
    event_t event;
    char first_piece[COMMAND_MAX_BYTES + 200];
    memset(first_piece, 'x', sizeof(first_piece) - 1);
    first_piece[sizeof(first_piece) - 1] = '\0';
    assert_true(post_command(first_piece, 1000000));
    assert_true(next(&event));
    assert_true(event.message.len_bytes > COMMAND_MAX_BYTES);
}

static void a_piece_of_a_command_is_not_read_with_the_tail_of_a_former_one(void **state)
{
    (void)state;
    event_t event;
    assert_true(post_command("{\"version\":\"1.2.3\"}", 19));
    assert_true(next(&event));
    assert_false(next(&event));
    assert_true(post_command("{\"version\":", 19)); /* long properties left no room for the rest */
    assert_true(next(&event));
    assert_true(event.message.len_bytes > COMMAND_MAX_BYTES); /* the core refuses it, unread */
}

static void an_empty_message_has_no_address_and_does_no_harm(void **state)
{
    (void)state;
    event_t event;
    assert_true(chip_events_post_message(7, "ota/update", 10, NULL, 0, 0));
    assert_true(next(&event));
    assert_int_equal(event.message.len_bytes, 0);
}

static void a_second_message_waits_for_nobody_and_is_told_to_be_left_out(void **state)
{
    (void)state;
    event_t event;
    assert_true(post_command("{}", 2));
    assert_false(post_command("[]", 2));
    assert_true(next(&event));
    assert_false(post_command("[]", 2)); /* the first one is still being read */
    assert_false(next(&event));
    assert_true(post_command("[]", 2));
}

static void what_a_former_connection_still_says_is_dropped_and_its_place_is_free_again(void **state)
{
    (void)state;
    event_t event;
    assert_true(chip_events_post_message(6, "ota/update", 10, "{}", 2, 2));
    assert_false(next(&event));
    assert_false(next(&event));
    assert_true(post_command("{}", 2));
    assert_true(next(&event));
}

static void an_acknowledgement_gets_its_token_in_the_devices_own_task(void **state)
{
    (void)state;
    event_t event = {.type = EVENT_MQTT_ACKED};
    event.ack.token = 3;
    assert_true(chip_events_post_of(7, &event));
    assert_true(next(&event));
    assert_int_equal(event.ack.token, 99);
}

static void a_topic_that_is_too_long_is_none_of_ours(void **state)
{
    (void)state;
    char topic[TOPIC_MAX_CHARS + 1];
    memset(topic, 't', sizeof(topic));
    assert_false(chip_events_post_message(7, topic, sizeof(topic), "{}", 2, 2));
    assert_true(post_command("{}", 2));
}

static void a_full_queue_costs_an_event_and_no_place(void **state)
{
    (void)state;
    event_t event = {.type = EVENT_MQTT_ACKED};
    while (chip_events_post(&event)) {
    }
    assert_false(post_command("{}", 2));
    assert_false(chip_events_post_line("help", 4));
    assert_true(next(&event));
    assert_true(post_command("{}", 2));
}

static void no_change_of_the_network_is_lost_by_a_full_queue(void **state)
{
    (void)state;
    event_t event = {.type = EVENT_MQTT_ACKED};
    while (chip_events_post(&event)) {
    }
    chip_events_network(true);
    assert_true(next(&event));
    assert_int_equal(event.type, EVENT_NETWORK_UP);
    assert_true(next(&event));
    assert_int_equal(event.type, EVENT_MQTT_ACKED);
    event = (event_t){.type = EVENT_MQTT_ACKED};
    while (chip_events_post(&event)) {
    }
    chip_events_network(false);
    assert_true(next(&event));
    assert_int_equal(event.type, EVENT_NETWORK_DOWN);
}

static void a_network_that_went_and_came_back_unseen_is_told_as_both(void **state)
{
    (void)state;
    event_t event;
    chip_events_network(true);
    assert_true(next(&event));
    chip_events_network(false);
    chip_events_network(true);
    assert_true(next(&event));
    assert_int_equal(event.type, EVENT_NETWORK_DOWN);
    assert_true(next(&event));
    assert_int_equal(event.type, EVENT_NETWORK_UP);
    while (s_queue.count > 0) {
        assert_false(next(&event)); /* what woke it says nothing twice */
    }
}

static void a_network_that_came_and_went_unseen_is_not_told(void **state)
{
    (void)state;
    event_t event;
    chip_events_network(true);
    chip_events_network(true);
    chip_events_network(false);
    while (s_queue.count > 0) {
        assert_false(next(&event));
    }
    assert_false(next(&event));
}

static void a_change_of_the_network_wakes_the_device(void **state)
{
    (void)state;
    event_t event;
    s_comes_while_it_waits = true;
    assert_true(next(&event));
    assert_int_equal(event.type, EVENT_NETWORK_UP);
}

static void no_wait_is_longer_than_the_watchdog_likes(void **state)
{
    (void)state;
    event_t event;
    assert_false(chip_events.next(chip_events.ctx, 60000, &event));
    assert_int_equal(s_queue.waited, pdMS_TO_TICKS(CHIP_EVENTS_WAIT_MAX_MS) + 1);
    assert_false(chip_events.next(chip_events.ctx, 1, &event));
    assert_int_equal(s_queue.waited, 1); /* less than a tick is one, or it would be a busy loop */
    assert_false(chip_events.next(chip_events.ctx, 0, &event));
    assert_int_equal(s_queue.waited, 0);
}

static void a_line_longer_than_any_is_refused(void **state)
{
    (void)state;
    char line[CONSOLE_LINE_MAX_BYTES + 1];
    event_t event;
    memset(line, 'l', sizeof(line));
    assert_false(chip_events_post_line(line, sizeof(line)));
    assert_true(chip_events_post_line(line, CONSOLE_LINE_MAX_BYTES));
    assert_true(next(&event));
    assert_int_equal(strlen(event.line), CONSOLE_LINE_MAX_BYTES);
}

static void what_a_request_handed_out_is_done_with_when_the_next_event_is_asked_for(void **state)
{
    (void)state;
    event_t event = {.type = EVENT_HTTP_PIECE,
                     .http_piece = {.number = 1, .bytes = (const uint8_t *)"x", .len_bytes = 1}};
    assert_true(chip_events_post_of(3, &event));
    assert_true(next(&event));
    assert_int_equal(event.http_piece.len_bytes, 1);
    assert_int_equal(s_used, 0);
    assert_false(next(&event));
    assert_int_equal(s_used, 3);
}

static void what_a_request_that_was_given_up_has_to_say_is_dropped(void **state)
{
    (void)state;
    event_t event = {.type = EVENT_HTTP_ANSWER};
    assert_true(chip_events_post_of(2, &event)); /* what it points to is gone */
    assert_false(next(&event));
    event.type = EVENT_HTTP_END;
    assert_true(chip_events_post_of(2, &event));
    assert_true(chip_events_post_of(3, &event));
    assert_false(next(&event));
    assert_true(next(&event));
}

static void a_request_is_no_connection_of_the_same_number(void **state)
{
    (void)state;
    event_t event = {.type = EVENT_MQTT_CONNECTED};
    assert_true(chip_events_post_of(3, &event));
    assert_false(next(&event));
    event.type = EVENT_HTTP_END;
    assert_true(chip_events_post_of(7, &event));
    assert_false(next(&event));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_message_is_handed_out_as_it_came, begin),
        cmocka_unit_test_setup(a_command_that_is_longer_than_any_is_told_as_such, begin),
        cmocka_unit_test_setup(a_piece_of_a_command_is_not_read_with_the_tail_of_a_former_one, begin),
        cmocka_unit_test_setup(no_change_of_the_network_is_lost_by_a_full_queue, begin),
        cmocka_unit_test_setup(a_network_that_went_and_came_back_unseen_is_told_as_both, begin),
        cmocka_unit_test_setup(a_network_that_came_and_went_unseen_is_not_told, begin),
        cmocka_unit_test_setup(a_change_of_the_network_wakes_the_device, begin),
        cmocka_unit_test_setup(an_empty_message_has_no_address_and_does_no_harm, begin),
        cmocka_unit_test_setup(a_second_message_waits_for_nobody_and_is_told_to_be_left_out, begin),
        cmocka_unit_test_setup(what_a_former_connection_still_says_is_dropped_and_its_place_is_free_again, begin),
        cmocka_unit_test_setup(an_acknowledgement_gets_its_token_in_the_devices_own_task, begin),
        cmocka_unit_test_setup(a_topic_that_is_too_long_is_none_of_ours, begin),
        cmocka_unit_test_setup(a_full_queue_costs_an_event_and_no_place, begin),
        cmocka_unit_test_setup(no_wait_is_longer_than_the_watchdog_likes, begin),
        cmocka_unit_test_setup(a_line_longer_than_any_is_refused, begin),
        cmocka_unit_test_setup(what_a_request_handed_out_is_done_with_when_the_next_event_is_asked_for, begin),
        cmocka_unit_test_setup(what_a_request_that_was_given_up_has_to_say_is_dropped, begin),
        cmocka_unit_test_setup(a_request_is_no_connection_of_the_same_number, begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
