/* What esp-mqtt's own task says, and what is made of it. */
#include "chip_mqtt_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "chip_events.h"
#include "chip_identity.h"
#include "chip_log.h"
#include "chip_mqtt.h"
#include "chip_mqtt_failure.h"
#include "chip_tls.h"
#include "freertos/FreeRTOS.h"
#include "freertos/task.h"
#include "mbedtls/ssl.h"
#include "mqtt_client_priv.h"

static mqtt5_config_storage_t s_connack;
static struct esp_mqtt_client s_client = {.mqtt5_config = &s_connack};

static struct {
    esp_event_handler_t handler;
    void *arg;
    int refused;
    size_t len_bytes, whole_bytes;
} s_heard;

static esp_mqtt_client_handle_t a_client(void)
{
    return &s_client;
}

static void says(esp_mqtt_event_id_t id, esp_mqtt_event_t *event)
{
    s_heard.handler(s_heard.arg, NULL, id, event);
}

esp_mqtt_client_handle_t esp_mqtt_client_init(const esp_mqtt_client_config_t *config)
{
    (void)config;
    return a_client();
}

esp_err_t esp_mqtt_client_register_event(esp_mqtt_client_handle_t client, esp_mqtt_event_id_t event,
                                         esp_event_handler_t handler, void *arg)
{
    (void)client, (void)event;
    s_heard.handler = handler;
    s_heard.arg = arg;
    return ESP_OK;
}

esp_err_t esp_mqtt_client_start(esp_mqtt_client_handle_t client)
{
    (void)client;
    esp_mqtt_event_t event = {0};
    says(MQTT_EVENT_BEFORE_CONNECT, &event);
    return ESP_OK;
}

esp_err_t esp_mqtt_client_destroy(esp_mqtt_client_handle_t client)
{
    (void)client;
    return ESP_OK;
}

int esp_mqtt_client_get_outbox_size(esp_mqtt_client_handle_t client)
{
    (void)client;
    return 0;
}

void vTaskDelay(TickType_t ticks)
{
    (void)ticks;
}

void mbedtls_ssl_conf_verify(mbedtls_ssl_config *config, int (*verify)(void *, mbedtls_x509_crt *, int, uint32_t *),
                             void *ctx)
{
    (void)config, (void)verify, (void)ctx;
}

esp_err_t chip_tls_attach(void *config)
{
    (void)config;
    return ESP_OK;
}

const chip_pair_t *chip_identity_pair(void)
{
    return NULL;
}

failure_t chip_mqtt_failure(const chip_mqtt_way_t *way, const esp_mqtt_error_codes_t *error)
{
    (void)way, (void)error;
    return FAILURE_TCP;
}

bool chip_events_post_of(uint32_t connection, const event_t *event)
{
    (void)connection, (void)event;
    return true;
}

bool chip_events_post_message(uint32_t connection, const char *topic, size_t topic_len, const void *payload,
                              size_t len_bytes, size_t whole_bytes)
{
    (void)connection, (void)topic, (void)topic_len, (void)payload;
    s_heard.len_bytes += len_bytes;
    s_heard.whole_bytes = whole_bytes;
    return true;
}

void chip_mqtt_topic_refused(void)
{
    s_heard.refused++;
}

static void say_nothing(void *ctx, log_level_t level, const char *tag, const char *text)
{
    (void)ctx, (void)level, (void)tag, (void)text;
}

const port_log_t chip_log = {.write = say_nothing};

static int begin(void **state)
{
    (void)state;
    const app_mqtt_options_t options = {.host = "broker", .port = 1883, .client_id = "GW-1"};
    memset(&s_heard, 0, sizeof(s_heard));
    memset(&s_connack, 0, sizeof(s_connack));
    assert_ptr_equal(chip_mqtt_client_begin(3, &options), a_client());
    return 0;
}

static void suback(char reason)
{
    esp_mqtt_event_t event = {.data = &reason, .data_len = 1};
    says(MQTT_EVENT_SUBSCRIBED, &event);
}

static void a_refused_suback_does_not_leave_the_device_deaf(void **state)
{
    (void)state;
    suback((char)0x87); /* not authorized */
    assert_int_equal(s_heard.refused, 1);
    suback((char)0x80);
    assert_int_equal(s_heard.refused, 2);
}

static void a_topic_that_is_granted_is_not_asked_for_again(void **state)
{
    (void)state;
    suback(1);
    suback(0);
    esp_mqtt_event_t empty = {0};
    says(MQTT_EVENT_SUBSCRIBED, &empty);
    assert_int_equal(s_heard.refused, 0);
}

static void of_a_command_in_pieces_only_the_first_is_told(void **state)
{
    (void)state;
    char text[] = "{\"version\"";
    esp_mqtt_event_t event = {.data = text, .data_len = 4, .total_data_len = 10, .topic = text, .topic_len = 3};
    says(MQTT_EVENT_DATA, &event);
    event.current_data_offset = 4;
    event.data_len = 6;
    event.topic = NULL;
    event.topic_len = 0;
    says(MQTT_EVENT_DATA, &event);
    assert_int_equal(s_heard.len_bytes, 4);
    assert_int_equal(s_heard.whole_bytes, 10);
}

static void connack(uint32_t packet_max_bytes, uint16_t receive_maximum)
{
    s_connack.server_resp_property_info.maximum_packet_size = packet_max_bytes;
    s_connack.server_resp_property_info.receive_maximum = receive_maximum;
    esp_mqtt_event_t event = {.client = a_client()};
    says(MQTT_EVENT_CONNECTED, &event);
}

static void what_the_broker_takes_is_as_its_connack_says(void **state)
{
    (void)state;
    connack(2000, 20);
    assert_int_equal(chip_mqtt_client_limits().packet_max_bytes, 2000);
    assert_int_equal(chip_mqtt_client_limits().on_their_way_max, 20);
    connack(0, 65535); /* of the next connection, which says nothing of it */
    assert_int_equal(chip_mqtt_client_limits().packet_max_bytes, UINT32_MAX);
    assert_int_equal(chip_mqtt_client_limits().on_their_way_max, 65535);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_refused_suback_does_not_leave_the_device_deaf, begin),
        cmocka_unit_test_setup(a_topic_that_is_granted_is_not_asked_for_again, begin),
        cmocka_unit_test_setup(of_a_command_in_pieces_only_the_first_is_told, begin),
        cmocka_unit_test_setup(what_the_broker_takes_is_as_its_connack_says, begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
