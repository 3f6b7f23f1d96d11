#include "port/posix/posix_mqtt_queue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static posix_mqtt_queue_t s_queue;

static int end(void **state)
{
    (void)state;
    posix_mqtt_queue_end(&s_queue);
    memset(&s_queue, 0, sizeof(s_queue));
    return 0;
}

static void add_ack(uint16_t token)
{
    posix_mqtt_queue_add(&s_queue, (event_t){.type = EVENT_MQTT_ACKED, .ack = {.token = token}});
}

static void events_come_out_in_their_order(void **state)
{
    (void)state;
    event_t event;
    assert_false(posix_mqtt_queue_take(&s_queue, &event));
    for (uint16_t round = 0; round < 100; round++) { /* round the ring */
        add_ack((uint16_t)(2 * round + 1));
        add_ack((uint16_t)(2 * round + 2));
        for (uint16_t i = 1; i <= 2; i++) {
            assert_true(posix_mqtt_queue_take(&s_queue, &event));
            assert_int_equal(event.ack.token, 2 * round + i);
        }
    }
    assert_false(posix_mqtt_queue_take(&s_queue, &event));
}

static void a_message_is_a_copy_that_stays_until_the_next_is_taken(void **state)
{
    (void)state;
    char topic[] = "ota/GW-1/update";
    uint8_t payload[] = {'{', '}'};
    event_t event;
    posix_mqtt_queue_add_message(&s_queue, topic, payload, sizeof(payload));
    posix_mqtt_queue_add_message(&s_queue, topic, NULL, 0);
    memset(topic, 'x', sizeof(topic) - 1);
    memset(payload, 'x', sizeof(payload));
    assert_true(posix_mqtt_queue_take(&s_queue, &event));
    assert_int_equal(event.type, EVENT_MQTT_MESSAGE);
    assert_string_equal(event.message.topic, "ota/GW-1/update");
    assert_int_equal(event.message.len_bytes, 2);
    assert_memory_equal(event.message.payload, "{}", 2);
    posix_mqtt_queue_clear(&s_queue); /* the connection ends while it is dealt with */
    assert_memory_equal(event.message.payload, "{}", 2);
    assert_false(posix_mqtt_queue_take(&s_queue, &event));
}

static void of_a_megabyte_no_more_is_kept_than_that_it_is_too_long(void **state)
{
    (void)state;
    event_t event;
    uint8_t *payload = calloc(1, 1000000);
    posix_mqtt_queue_add_message(&s_queue, "ota/update", payload, 1000000);
    free(payload);
    assert_true(posix_mqtt_queue_take(&s_queue, &event));
    assert_int_equal(event.message.len_bytes, COMMAND_MAX_BYTES + 1);
}

static void messages_beyond_the_limit_are_dropped_and_counted_and_acknowledgements_still_fit(void **state)
{
    (void)state;
    event_t event;
    for (size_t i = 0; i < POSIX_MQTT_MESSAGES_MAX + 5; i++) {
        posix_mqtt_queue_add_message(&s_queue, "ota/update", "{}", 2);
    }
    assert_int_equal(s_queue.messages_dropped, 5);
    for (uint16_t i = 1; i <= POSIX_MQTT_IN_FLIGHT_MAX; i++) {
        add_ack(i);
    }
    posix_mqtt_queue_add(&s_queue, (event_t){.type = EVENT_MQTT_CLOSED, .failure = FAILURE_CLOSED});
    size_t count = 0;
    while (posix_mqtt_queue_take(&s_queue, &event)) {
        count++;
    }
    assert_int_equal(count, POSIX_MQTT_MESSAGES_MAX + POSIX_MQTT_IN_FLIGHT_MAX + 1);
    assert_int_equal(event.type, EVENT_MQTT_CLOSED);
    posix_mqtt_queue_add_message(&s_queue, "ota/update", "{}", 2); /* there is room again */
    assert_true(posix_mqtt_queue_take(&s_queue, &event));
}

static void a_full_queue_takes_no_more(void **state)
{
    (void)state;
    for (uint16_t i = 0; i < POSIX_MQTT_EVENTS_MAX; i++) {
        add_ack(i);
    }
    posix_mqtt_queue_add_message(&s_queue, "ota/update", "{}", 2);
    assert_int_equal(s_queue.count, POSIX_MQTT_EVENTS_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(events_come_out_in_their_order, end),
        cmocka_unit_test_teardown(a_message_is_a_copy_that_stays_until_the_next_is_taken, end),
        cmocka_unit_test_teardown(of_a_megabyte_no_more_is_kept_than_that_it_is_too_long, end),
        cmocka_unit_test_teardown(messages_beyond_the_limit_are_dropped_and_counted_and_acknowledgements_still_fit,
                                  end),
        cmocka_unit_test_teardown(a_full_queue_takes_no_more, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
