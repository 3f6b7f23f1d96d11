/* Connections of MQTT: who may publish, what counts, what the keeper does of it. */
#include "chip_mqtt.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "chip_events.h"
#include "chip_mqtt_client.h"
#include "freertos/semphr.h"
#include "freertos/task.h"

#define PACKET_TOO_LARGE 0x95
#define QUOTA_EXCEEDED 0x97

static TaskFunction_t s_keeper;
static jmp_buf s_idle;
static int s_notified;
static struct {
    int next_id, begun, ended, subscribed;
    uint32_t connection;
    int wait_ran_out; /* so often the keeper's wait ends by time */
    TickType_t wait;
    bool fails, refuses, has_no_memory;
    chip_mqtt_limits_t limits;
    int posted;
    bool queue_is_full;
    event_t event; /* the last that was posted */
    void (*while_it_begins)(void);
    void (*while_somebody_waits)(void);
} s_client;

TaskHandle_t xTaskCreateStatic(TaskFunction_t code, const char *name, uint32_t stack_bytes, void *arg,
                               UBaseType_t priority, StackType_t *stack, StaticTask_t *memory)
{
    (void)name, (void)stack_bytes, (void)arg, (void)priority, (void)stack, (void)memory;
    s_keeper = code;
    return (TaskHandle_t)(uintptr_t)&s_client;
}

uint32_t ulTaskNotifyTake(BaseType_t clear, TickType_t wait)
{
    (void)clear;
    s_client.wait = wait;
    if (s_notified == 0 && s_client.wait_ran_out > 0) {
        s_client.wait_ran_out--;
        return 0;
    }
    if (s_notified == 0) {
        longjmp(s_idle, 1); /* it would wait */
    }
    s_notified = 0;
    return 1;
}

BaseType_t xTaskNotifyGive(TaskHandle_t task)
{
    (void)task;
    s_notified++;
    return pdTRUE;
}

void vTaskDelay(TickType_t ticks)
{
    (void)ticks;
    if (s_client.while_somebody_waits != NULL) {
        s_client.while_somebody_waits();
    }
}

SemaphoreHandle_t xSemaphoreCreateMutexStatic(StaticSemaphore_t *memory)
{
    return (SemaphoreHandle_t)(uintptr_t)memory;
}

BaseType_t xSemaphoreTake(SemaphoreHandle_t semaphore, TickType_t wait)
{
    (void)semaphore, (void)wait;
    return pdTRUE;
}

BaseType_t xSemaphoreGive(SemaphoreHandle_t semaphore)
{
    (void)semaphore;
    return pdTRUE;
}

esp_mqtt_client_handle_t chip_mqtt_client_begin(uint32_t connection, const app_mqtt_options_t *options)
{
    assert_string_equal(options->host, "broker");
    s_client.begun++;
    s_client.connection = connection;
    if (s_client.while_it_begins != NULL) {
        s_client.while_it_begins();
    }
    return s_client.fails ? NULL : (esp_mqtt_client_handle_t)(uintptr_t)&s_client;
}

void chip_mqtt_client_end(esp_mqtt_client_handle_t client)
{
    assert_ptr_equal(client, &s_client);
    s_client.ended++;
}

chip_mqtt_limits_t chip_mqtt_client_limits(void)
{
    return s_client.limits;
}

bool chip_events_post_of(uint32_t connection, const event_t *event)
{
    assert_int_equal(connection, s_client.connection);
    if (s_client.queue_is_full) {
        return false;
    }
    s_client.posted++;
    s_client.event = *event;
    return true;
}

int esp_mqtt_client_enqueue(esp_mqtt_client_handle_t client, const char *topic, const char *data, int len, int qos,
                            int retain, bool store)
{
    (void)topic, (void)data, (void)len, (void)retain;
    assert_ptr_equal(client, &s_client);
    assert_int_equal(qos, 1);
    assert_true(store);
    if (s_client.has_no_memory) {
        return -1;
    }
    s_client.next_id++;
    return s_client.next_id;
}

int esp_mqtt_client_subscribe_single(esp_mqtt_client_handle_t client, const char *topic, int qos)
{
    (void)topic;
    assert_ptr_equal(client, &s_client);
    assert_int_equal(qos, 1);
    s_client.subscribed++;
    return s_client.refuses ? -1 : 1;
}

static port_mqtt_t s_mqtt;
static const app_mqtt_options_t OPTIONS = {.host = "broker", .port = 8883, .tls = true, .client_id = "GW-1"};

/* Until there is nothing more for it to do. */
static void run_keeper(void)
{
    if (setjmp(s_idle) == 0) {
        s_keeper(NULL);
    }
}

static bool comes(event_type_t type, uint32_t connection)
{
    event_t event = {.type = type};
    return chip_mqtt_accepts(connection, &event);
}

static uint16_t acknowledged(int msg_id)
{
    event_t event = {.type = EVENT_MQTT_ACKED};
    event.ack.token = (uint16_t)msg_id;
    return chip_mqtt_accepts(s_client.connection, &event) ? event.ack.token : 0;
}

static bool publish_bytes(uint16_t token, uint16_t len_bytes)
{
    static const char PAYLOAD[200];
    assert_true(len_bytes <= sizeof(PAYLOAD));
    return s_mqtt.publish(s_mqtt.ctx, "t", PAYLOAD, len_bytes, false, token);
}

static bool publish(uint16_t token)
{
    return publish_bytes(token, 1);
}

/* The last that was published was not handed to the client, and the loop hears so. */
static void assert_refused(uint16_t token, uint8_t reason)
{
    assert_int_equal(s_client.event.type, EVENT_MQTT_ACKED);
    assert_int_equal(s_client.event.ack.reason, reason);
    assert_true(s_client.event.ack.local); /* the broker said nothing */
    event_t event = s_client.event;
    assert_true(chip_mqtt_accepts(s_client.connection, &event));
    assert_int_equal(event.ack.token, token);
}

static uint32_t s_last; /* the number of the connection before the test's first */

/* Each test has connections with numbers of its own: as on a device, they only go up. */
static int begin(void **state)
{
    (void)state;
    assert_true(chip_mqtt_init(&s_mqtt));
    s_mqtt.close(s_mqtt.ctx);
    s_client.fails = false;
    run_keeper();
    memset(&s_client, 0, sizeof(s_client));
    s_client.limits = (chip_mqtt_limits_t){.packet_max_bytes = UINT32_MAX, .on_their_way_max = UINT16_MAX};
    while (!comes(EVENT_MQTT_CLOSED, s_last)) {
        s_last++;
    }
    return 0;
}

static void go_online(void)
{
    s_mqtt.connect(s_mqtt.ctx, &OPTIONS);
    run_keeper();
    assert_true(comes(EVENT_MQTT_CONNECTED, s_client.connection));
}

static void nothing_is_published_before_the_broker_answered(void **state)
{
    (void)state;
    s_mqtt.connect(s_mqtt.ctx, &OPTIONS);
    assert_false(publish(1));
    run_keeper();
    assert_false(publish(1));
    assert_true(comes(EVENT_MQTT_CONNECTED, s_client.connection));
    assert_true(publish(1));
}

static void an_acknowledgement_finds_its_token_once(void **state)
{
    (void)state;
    go_online();
    assert_true(publish(11));
    assert_true(publish(12));
    assert_int_equal(acknowledged(2), 12);
    assert_int_equal(acknowledged(1), 11);
    assert_int_equal(acknowledged(1), 0);
    assert_int_equal(acknowledged(77), 0);
}

static void no_more_is_taken_than_can_be_told_apart_and_places_come_back(void **state)
{
    (void)state;
    go_online();
    uint16_t tried = 0;
    while (s_client.posted == 0) {
        tried++;
        assert_true(publish(tried));
    }
    assert_refused(tried, QUOTA_EXCEEDED);
    assert_true(s_client.next_id > SENDER_IN_FLIGHT);
    assert_int_equal(acknowledged(1), 1);
    assert_true(publish(100));
    assert_int_equal(s_client.posted, 1);
}

/* PUBLISH, QoS 1: 3 bytes of topic, 2 of identifier, 1 of no properties, and 2 before them, or 3 from 128 on. */
static void what_is_larger_than_the_broker_takes_is_refused_as_too_large_and_costs_no_connection(void **state)
{
    (void)state;
    go_online();
    s_client.limits.packet_max_bytes = 100;
    assert_true(publish_bytes(7, 92));
    assert_int_equal(s_client.next_id, 1);
    assert_true(publish_bytes(8, 93));
    assert_int_equal(s_client.next_id, 1);
    assert_refused(8, PACKET_TOO_LARGE);
    s_client.limits.packet_max_bytes = 160;
    assert_true(publish_bytes(9, 151));
    assert_int_equal(s_client.next_id, 2);
    assert_true(publish_bytes(10, 152));
    assert_int_equal(s_client.next_id, 2);
    assert_refused(10, PACKET_TOO_LARGE);
}

static void what_the_client_has_no_memory_for_is_told_and_not_blamed_for_what_it_is(void **state)
{
    (void)state;
    go_online();
    s_client.has_no_memory = true;
    assert_true(publish(7));
    assert_refused(7, QUOTA_EXCEEDED);
    s_client.has_no_memory = false;
    s_client.posted = 0;
    for (uint16_t token = 1; token <= SENDER_IN_FLIGHT; token++) { /* it took no place */
        assert_true(publish(token));
    }
    assert_int_equal(s_client.posted, 0);
}

static void no_more_is_on_its_way_than_the_broker_takes_at_once(void **state)
{
    (void)state;
    go_online();
    s_client.limits.on_their_way_max = 2;
    assert_true(publish(11));
    assert_true(publish(12));
    assert_true(publish(13));
    assert_refused(13, QUOTA_EXCEEDED);
    assert_int_equal(s_client.next_id, 2);
    assert_int_equal(acknowledged(1), 11);
    assert_true(publish(14));
    assert_int_equal(s_client.next_id, 3);
}

static void a_refusal_that_can_not_be_told_is_no_publish(void **state)
{
    (void)state;
    go_online();
    s_client.queue_is_full = true;
    s_client.limits.packet_max_bytes = 1;
    assert_false(publish(7));
}

static void what_a_former_connection_still_says_counts_for_nothing(void **state)
{
    (void)state;
    go_online();
    const uint32_t former = s_client.connection;
    assert_true(publish(11));
    s_mqtt.close(s_mqtt.ctx);
    assert_false(comes(EVENT_MQTT_CLOSED, former));
    s_mqtt.connect(s_mqtt.ctx, &OPTIONS);
    run_keeper();
    assert_false(comes(EVENT_MQTT_CONNECTED, former));
    event_t late = {.type = EVENT_MQTT_ACKED};
    late.ack.token = 1;
    assert_false(chip_mqtt_accepts(former, &late));
    assert_true(comes(EVENT_MQTT_CONNECTED, s_client.connection));
    assert_int_equal(acknowledged(1), 0); /* of what was published there nothing is waited for */
}

static void after_its_end_nothing_is_published(void **state)
{
    (void)state;
    go_online();
    assert_true(comes(EVENT_MQTT_CLOSED, s_client.connection));
    assert_false(publish(1));
    assert_false(s_mqtt.subscribe(s_mqtt.ctx, "ota/update"));
}

static void the_former_client_is_ended_before_the_next_begins_and_only_once(void **state)
{
    (void)state;
    go_online();
    s_mqtt.connect(s_mqtt.ctx, &OPTIONS);
    run_keeper();
    assert_int_equal(s_client.begun, 2);
    assert_int_equal(s_client.ended, 1);
    s_mqtt.close(s_mqtt.ctx);
    run_keeper();
    s_mqtt.close(s_mqtt.ctx);
    run_keeper();
    assert_int_equal(s_client.ended, 2);
}

static void of_what_was_wanted_in_a_hurry_the_last_counts(void **state)
{
    (void)state;
    s_mqtt.connect(s_mqtt.ctx, &OPTIONS);
    s_mqtt.close(s_mqtt.ctx);
    s_mqtt.connect(s_mqtt.ctx, &OPTIONS);
    s_mqtt.close(s_mqtt.ctx);
    run_keeper();
    assert_int_equal(s_client.begun, 0);
}

static void topics_are_asked_for_on_the_connection_that_they_were_meant_for(void **state)
{
    (void)state;
    go_online();
    assert_true(s_mqtt.subscribe(s_mqtt.ctx, "ota/GW-1/update"));
    assert_true(s_mqtt.subscribe(s_mqtt.ctx, "ota/update"));
    run_keeper();
    assert_int_equal(s_client.subscribed, 2);
    assert_true(s_mqtt.subscribe(s_mqtt.ctx, "ota/update"));
    s_mqtt.connect(s_mqtt.ctx, &OPTIONS);
    run_keeper();
    assert_int_equal(s_client.subscribed, 2);
}

static void a_client_that_could_not_begin_is_neither_used_nor_ended(void **state)
{
    (void)state;
    s_client.fails = true;
    s_mqtt.connect(s_mqtt.ctx, &OPTIONS);
    run_keeper();
    assert_true(comes(EVENT_MQTT_FAILED, s_client.connection));
    assert_false(publish(1));
    s_mqtt.close(s_mqtt.ctx);
    run_keeper();
    assert_int_equal(s_client.ended, 0);
}

static void publish_while_it_begins(void)
{
    assert_false(comes(EVENT_MQTT_CONNECTED, s_client.connection)); /* it does not hang either */
    assert_false(publish(1));
}

static void nothing_is_published_on_a_client_that_is_destroyed(void **state)
{
    (void)state;
    go_online();
    s_client.while_it_begins = publish_while_it_begins;
    s_mqtt.connect(s_mqtt.ctx, &OPTIONS);
    run_keeper();
    assert_int_equal(s_client.ended, 1);
    assert_int_equal(s_client.next_id, 0);
}

static void a_connack_that_comes_before_the_begin_returned_costs_no_presence(void **state)
{
    (void)state;
    s_mqtt.connect(s_mqtt.ctx, &OPTIONS);
    s_client.while_somebody_waits = run_keeper;
    assert_true(comes(EVENT_MQTT_CONNECTED, s_last + 1));
    assert_true(publish(1));
}

static void a_topic_that_the_broker_refuses_is_asked_for_again(void **state)
{
    (void)state;
    go_online();
    assert_true(s_mqtt.subscribe(s_mqtt.ctx, "ota/GW-1/update"));
    assert_true(s_mqtt.subscribe(s_mqtt.ctx, "ota/update"));
    run_keeper();
    assert_true(s_client.wait == portMAX_DELAY);
    chip_mqtt_topic_refused();
    run_keeper();
    assert_int_equal(s_client.subscribed, 2); /* not at once */
    assert_true(s_client.wait == pdMS_TO_TICKS(60000));
    s_client.wait_ran_out = 1;
    run_keeper();
    assert_int_equal(s_client.subscribed, 4);
    assert_true(s_client.wait == portMAX_DELAY);
    assert_true(publish(1)); /* and the connection is good for all else */
}

static void a_topic_that_could_not_be_asked_for_is_asked_for_again(void **state)
{
    (void)state;
    go_online();
    s_client.refuses = true;
    assert_true(s_mqtt.subscribe(s_mqtt.ctx, "ota/update"));
    s_client.wait_ran_out = 2;
    run_keeper();
    assert_int_equal(s_client.subscribed, 3);
    s_mqtt.connect(s_mqtt.ctx, &OPTIONS);
    run_keeper();
    assert_true(s_client.wait == portMAX_DELAY); /* the next connection has topics of its own */
    assert_int_equal(s_client.subscribed, 3);
}

static void a_restart_waits_for_the_goodbye_and_not_for_ever(void **state)
{
    (void)state;
    go_online();
    s_mqtt.close(s_mqtt.ctx);
    chip_mqtt_settle(100); /* the keeper does nothing: it returns all the same */
    run_keeper();
    chip_mqtt_settle(UINT32_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(nothing_is_published_before_the_broker_answered, begin),
        cmocka_unit_test_setup(an_acknowledgement_finds_its_token_once, begin),
        cmocka_unit_test_setup(no_more_is_taken_than_can_be_told_apart_and_places_come_back, begin),
        cmocka_unit_test_setup(what_is_larger_than_the_broker_takes_is_refused_as_too_large_and_costs_no_connection,
                               begin),
        cmocka_unit_test_setup(what_the_client_has_no_memory_for_is_told_and_not_blamed_for_what_it_is, begin),
        cmocka_unit_test_setup(no_more_is_on_its_way_than_the_broker_takes_at_once, begin),
        cmocka_unit_test_setup(a_refusal_that_can_not_be_told_is_no_publish, begin),
        cmocka_unit_test_setup(what_a_former_connection_still_says_counts_for_nothing, begin),
        cmocka_unit_test_setup(after_its_end_nothing_is_published, begin),
        cmocka_unit_test_setup(the_former_client_is_ended_before_the_next_begins_and_only_once, begin),
        cmocka_unit_test_setup(of_what_was_wanted_in_a_hurry_the_last_counts, begin),
        cmocka_unit_test_setup(topics_are_asked_for_on_the_connection_that_they_were_meant_for, begin),
        cmocka_unit_test_setup(a_client_that_could_not_begin_is_neither_used_nor_ended, begin),
        cmocka_unit_test_setup(nothing_is_published_on_a_client_that_is_destroyed, begin),
        cmocka_unit_test_setup(a_connack_that_comes_before_the_begin_returned_costs_no_presence, begin),
        cmocka_unit_test_setup(a_topic_that_the_broker_refuses_is_asked_for_again, begin),
        cmocka_unit_test_setup(a_topic_that_could_not_be_asked_for_is_asked_for_again, begin),
        cmocka_unit_test_setup(a_restart_waits_for_the_goodbye_and_not_for_ever, begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
