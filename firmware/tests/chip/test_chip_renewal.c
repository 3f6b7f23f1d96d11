/* What of an EST answer becomes this device's certificate. Which certificate signed which is played. */
#include "chip_renewal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "chip_clock.h"
#include "chip_log.h"
#include "chip_tls.h"
#include "esp_http_client.h"

/* A certificate of this test is its serial, an INTEGER: 1 is the leaf, and each is signed by the next one. */
#define LEAF 1
#define ROOT 3

static const char *s_answer, *s_retry_after;
static esp_http_client_config_t s_config;
static chip_renewal_t s_renewal;

esp_http_client_handle_t esp_http_client_init(const esp_http_client_config_t *config)
{
    s_config = *config;
    return (esp_http_client_handle_t)(uintptr_t)&s_answer;
}

esp_err_t esp_http_client_set_header(esp_http_client_handle_t client, const char *key, const char *value)
{
    (void)client, (void)key, (void)value;
    return ESP_OK;
}

esp_err_t esp_http_client_open(esp_http_client_handle_t client, int write_len)
{
    (void)client, (void)write_len;
    return ESP_OK;
}

int esp_http_client_write(esp_http_client_handle_t client, const char *buffer, int len)
{
    (void)client, (void)buffer;
    return len;
}

static void has_header(const char *key, const char *value)
{
    char key_text[32], value_text[32];
    (void)snprintf(key_text, sizeof(key_text), "%s", key);
    (void)snprintf(value_text, sizeof(value_text), "%s", value);
    esp_http_client_event_t event = {.event_id = HTTP_EVENT_ON_HEADER,
                                     .user_data = s_config.user_data,
                                     .header_key = key_text,
                                     .header_value = value_text};
    assert_int_equal(s_config.event_handler(&event), ESP_OK);
}

int64_t esp_http_client_fetch_headers(esp_http_client_handle_t client)
{
    (void)client;
    has_header("Content-Length", "4");
    if (s_retry_after != NULL) {
        has_header("retry-after", s_retry_after); /* names of headers have no case */
    }
    return 0;
}

int esp_http_client_get_status_code(esp_http_client_handle_t client)
{
    (void)client;
    return s_retry_after != NULL ? 429 : 200;
}

int esp_http_client_read_response(esp_http_client_handle_t client, char *buffer, int len)
{
    (void)client;
    return snprintf(buffer, (size_t)len, "%s", s_answer);
}

esp_err_t esp_http_client_cleanup(esp_http_client_handle_t client)
{
    (void)client;
    return ESP_OK;
}

esp_err_t chip_tls_attach(void *config)
{
    (void)config;
    return ESP_OK;
}

bool chip_clock_now(int64_t *unix_s)
{
    (void)unix_s;
    return false;
}

static void say_nothing(void *ctx, log_level_t level, const char *tag, const char *text)
{
    (void)ctx, (void)level, (void)tag, (void)text;
}

const port_log_t chip_log = {.write = say_nothing};

bool mbedtls_pair_make(const char *gateway_code, char key_pem[PAIR_KEY_PEM_BYTES], char *request_base64,
                       size_t cap_bytes)
{
    (void)gateway_code;
    (void)snprintf(key_pem, PAIR_KEY_PEM_BYTES, "key");
    (void)snprintf(request_base64, cap_bytes, "request");
    return true;
}

static uint8_t serial_of(const uint8_t *der, size_t der_bytes)
{
    return der_bytes == 5 ? der[4] : 0;
}

bool mbedtls_pair_join(const char *key_pem, const char *gateway_code, const uint8_t *der, size_t der_bytes,
                       char *certificate_pem, size_t cap_bytes, pair_validity_t *out)
{
    (void)gateway_code;
    assert_string_equal(key_pem, "key");
    *out = (pair_validity_t){1, 2};
    (void)snprintf(certificate_pem, cap_bytes, "%d", LEAF);
    return serial_of(der, der_bytes) == LEAF;
}

bool mbedtls_pair_append_issuer(char *certificate_pem, size_t cap_bytes, const uint8_t *der, size_t der_bytes)
{
    const size_t len = strlen(certificate_pem);
    const uint8_t serial = serial_of(der, der_bytes);
    const int last = certificate_pem[len - 1] - '0';
    if (serial != last + 1 && (serial != ROOT + 1 || last != ROOT + 1)) { /* the last signs itself */
        return false;
    }
    (void)snprintf(certificate_pem + len, cap_bytes - len, "%d", serial);
    return true;
}

static bool renew(const char *answer)
{
    memset(&s_renewal, 0, sizeof(s_renewal));
    s_answer = answer;
    return chip_renewal_run(&s_renewal);
}

/* certs-only messages (RFC 7030, 4.2.3) of these serials, in this order. */
static const char LEAF_ALONE[] = "MCoGCSqGSIb3DQEHAqAdMBsCAQExADALBgkqhkiG9w0BBwGgBTADAgEBMQA=";
static const char ALL_IN_ORDER[] = "MDQGCSqGSIb3DQEHAqAnMCUCAQExADALBgkqhkiG9w0BBwGgDzADAgEBMAMCAQIwAwIBAzEA";
static const char ALL_BACKWARDS[] = "MDQGCSqGSIb3DQEHAqAnMCUCAQExADALBgkqhkiG9w0BBwGgDzADAgEDMAMCAQIwAwIBATEA";
static const char WITH_FOREIGN_ONES[] =
    "MDkGCSqGSIb3DQEHAqAsMCoCAQExADALBgkqhkiG9w0BBwGgFDADAgEJMAMCAQEwAwIBCDADAgECMQA=";
static const char ENDLESS[] = "MDkGCSqGSIb3DQEHAqAsMCoCAQExADALBgkqhkiG9w0BBwGgFDADAgEEMAMCAQMwAwIBAjADAgEBMQA=";
static const char NONE_OF_OURS[] = "MC8GCSqGSIb3DQEHAqAiMCACAQExADALBgkqhkiG9w0BBwGgCjADAgECMAMCAQMxAA==";

static void a_renewed_certificate_comes_with_the_authorities_between_as_the_factorys_does(void **state)
{
    (void)state;
    assert_true(renew(ALL_IN_ORDER));
    assert_string_equal(s_renewal.certificate_pem, "123");
    assert_true(renew(LEAF_ALONE));
    assert_string_equal(s_renewal.certificate_pem, "1");
}

static void the_order_of_an_answer_does_not_matter(void **state)
{
    (void)state;
    assert_true(renew(ALL_BACKWARDS));
    assert_string_equal(s_renewal.certificate_pem, "123");
}

static void a_certificate_that_signed_none_of_ours_is_left_out(void **state)
{
    (void)state;
    assert_true(renew(WITH_FOREIGN_ONES));
    assert_string_equal(s_renewal.certificate_pem, "12");
}

static void a_chain_without_an_end_is_cut(void **state)
{
    (void)state;
    assert_true(renew(ENDLESS));
    assert_string_equal(s_renewal.certificate_pem, "1234");
}

static void authorities_without_our_certificate_are_no_renewal(void **state)
{
    (void)state;
    assert_false(renew(NONE_OF_OURS));
    assert_false(renew("junk"));
}

static void a_server_that_says_when_to_come_again_is_heard(void **state)
{
    (void)state;
    s_retry_after = "70";
    assert_false(renew("Later."));
    assert_int_equal(s_renewal.retry_after_s, 70);
    s_retry_after = "4294967297";
    assert_false(renew("Later."));
    assert_int_equal(s_renewal.retry_after_s, 86400);
    s_retry_after = NULL;
    assert_false(renew("Not at all."));
    assert_int_equal(s_renewal.retry_after_s, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_renewed_certificate_comes_with_the_authorities_between_as_the_factorys_does),
        cmocka_unit_test(the_order_of_an_answer_does_not_matter),
        cmocka_unit_test(a_certificate_that_signed_none_of_ours_is_left_out),
        cmocka_unit_test(a_chain_without_an_end_is_cut),
        cmocka_unit_test(authorities_without_our_certificate_are_no_renewal),
        cmocka_unit_test(a_server_that_says_when_to_come_again_is_heard),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
