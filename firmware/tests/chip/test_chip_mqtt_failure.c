/* Why there is no connection, told apart by what ESP-IDF and mbedTLS say. */
#include "chip_mqtt_failure.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "esp_tls_errors.h"
#include "mbedtls/x509.h"

static failure_t on_the_way(chip_mqtt_way_t way, esp_err_t error)
{
    const esp_mqtt_error_codes_t codes = {.error_type = MQTT_ERROR_TYPE_TCP_TRANSPORT, .esp_tls_last_esp_err = error};
    return chip_mqtt_failure(&way, &codes);
}

static failure_t of_certificate(uint32_t flags)
{
    return on_the_way((chip_mqtt_way_t){.greeted = true, .flags = flags}, ESP_ERR_MBEDTLS_SSL_HANDSHAKE_FAILED);
}

static failure_t of_connack(int reason)
{
    const chip_mqtt_way_t way = {.greeted = true};
    const esp_mqtt_error_codes_t codes = {.error_type = MQTT_ERROR_TYPE_CONNECTION_REFUSED,
                                          .connect_return_code = (esp_mqtt_connect_return_code_t)reason};
    return chip_mqtt_failure(&way, &codes);
}

static void what_is_wrong_with_a_servers_certificate_is_told_apart(void **state)
{
    (void)state;
    assert_int_equal(of_certificate(MBEDTLS_X509_BADCERT_EXPIRED), FAILURE_TLS_EXPIRED);
    assert_int_equal(of_certificate(MBEDTLS_X509_BADCERT_FUTURE), FAILURE_TLS_EXPIRED);
    assert_int_equal(of_certificate(MBEDTLS_X509_BADCERT_CN_MISMATCH), FAILURE_TLS_HOST);
    assert_int_equal(of_certificate(MBEDTLS_X509_BADCERT_NOT_TRUSTED), FAILURE_TLS_AUTHORITY);
    assert_int_equal(of_certificate(0x100000), FAILURE_TLS_OTHER);
}

static void of_a_certificate_that_nobody_vouches_for_time_and_name_mean_nothing(void **state)
{
    (void)state;
    assert_int_equal(of_certificate(MBEDTLS_X509_BADCERT_NOT_TRUSTED | MBEDTLS_X509_BADCERT_EXPIRED |
                                    MBEDTLS_X509_BADCERT_CN_MISMATCH),
                     FAILURE_TLS_AUTHORITY);
}

static void a_server_that_turns_our_certificate_away_or_speaks_no_tls_is_told(void **state)
{
    (void)state;
    assert_int_equal(of_certificate(0), FAILURE_TLS_OTHER);
}

static void names_ports_and_silence_are_told_apart(void **state)
{
    (void)state;
    const chip_mqtt_way_t before = {0}, greeted = {.greeted = true};
    assert_int_equal(on_the_way(before, ESP_ERR_ESP_TLS_CANNOT_RESOLVE_HOSTNAME), FAILURE_DNS);
    assert_int_equal(on_the_way(before, ESP_ERR_ESP_TLS_CONNECTION_TIMEOUT), FAILURE_TCP);
    assert_int_equal(on_the_way(greeted, ESP_ERR_ESP_TLS_CONNECTION_TIMEOUT), FAILURE_TIMEOUT);
    assert_int_equal(on_the_way(before, ESP_FAIL), FAILURE_TCP);
    assert_int_equal(on_the_way(greeted, ESP_OK), FAILURE_TCP); /* it hung up before it answered */
}

static void a_damaged_key_or_certificate_of_ours_is_told(void **state)
{
    (void)state;
    const chip_mqtt_way_t greeted = {.greeted = true};
    assert_int_equal(on_the_way(greeted, ESP_ERR_MBEDTLS_PK_PARSE_KEY_FAILED), FAILURE_CREDENTIALS);
    assert_int_equal(on_the_way(greeted, ESP_ERR_MBEDTLS_X509_CRT_PARSE_FAILED), FAILURE_CREDENTIALS);
}

static void a_broker_that_is_busy_is_not_one_that_turns_us_away(void **state)
{
    (void)state;
    assert_int_equal(of_connack(0x88), FAILURE_MQTT_UNAVAILABLE);
    assert_int_equal(of_connack(0x89), FAILURE_MQTT_UNAVAILABLE);
    assert_int_equal(of_connack(3), FAILURE_MQTT_UNAVAILABLE);
    assert_int_equal(of_connack(0x87), FAILURE_MQTT_REFUSED);
    assert_int_equal(of_connack(0x84), FAILURE_MQTT_REFUSED);
    assert_int_equal(of_connack(0xFF), FAILURE_MQTT_REFUSED);
}

static void a_connection_that_stood_was_lost_whatever_the_error(void **state)
{
    (void)state;
    const chip_mqtt_way_t stood = {.connected = true, .greeted = true};
    assert_int_equal(on_the_way(stood, ESP_ERR_ESP_TLS_CONNECTION_TIMEOUT), FAILURE_CLOSED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_wrong_with_a_servers_certificate_is_told_apart),
        cmocka_unit_test(of_a_certificate_that_nobody_vouches_for_time_and_name_mean_nothing),
        cmocka_unit_test(a_server_that_turns_our_certificate_away_or_speaks_no_tls_is_told),
        cmocka_unit_test(names_ports_and_silence_are_told_apart),
        cmocka_unit_test(a_damaged_key_or_certificate_of_ours_is_told),
        cmocka_unit_test(a_broker_that_is_busy_is_not_one_that_turns_us_away),
        cmocka_unit_test(a_connection_that_stood_was_lost_whatever_the_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
