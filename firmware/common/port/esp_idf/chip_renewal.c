#include "chip_renewal.h"

#include <string.h>
#include <strings.h>

#include "../../core/certs_only.h"
#include "chip_clock.h"
#include "chip_log.h"
#include "chip_tls.h"
#include "esp_http_client.h"

#define ANSWER_TIMEOUT_MS 15000
#define CERTIFICATES_MAX 4 /* of an answer; the first that is ours counts */
#define STATUS_OK 200

static const char *TAG = "identity";

static void warn(const char *text)
{
    chip_log.write(NULL, LOG_WARNING, TAG, text);
}

static esp_err_t on_http(esp_http_client_event_t *event)
{
    chip_renewal_t *renewal = event->user_data;
    if (event->event_id == HTTP_EVENT_ON_HEADER && strcasecmp(event->header_key, "Retry-After") == 0) {
        renewal->retry_after_s = est_retry_after_s(event->header_value);
    }
    return ESP_OK;
}

/* The length of the answer; 0: there is none. */
static size_t exchange(chip_renewal_t *renewal, esp_http_client_handle_t client)
{
    const int request_len = (int)strlen(renewal->request);
    if (esp_http_client_set_header(client, "Content-Type", "application/pkcs10") != ESP_OK ||
        esp_http_client_set_header(client, "Content-Transfer-Encoding", "base64") != ESP_OK ||
        esp_http_client_open(client, request_len) != ESP_OK ||
        esp_http_client_write(client, renewal->request, request_len) != request_len ||
        esp_http_client_fetch_headers(client) < 0) {
        warn("The server that renews certificates can't be reached, or is none that this device trusts.");
        return 0;
    }
    const int len = esp_http_client_read_response(client, renewal->answer, sizeof(renewal->answer));
    if (esp_http_client_get_status_code(client) != STATUS_OK) {
        warn("The server that renews certificates issues none.");
        return 0;
    }
    /* One that fills the buffer is cut, and no certificate of ours. */
    return len > 0 && (size_t)len < sizeof(renewal->answer) ? (size_t)len : 0;
}

static size_t ask(chip_renewal_t *renewal)
{
    const esp_http_client_config_t config = {
        .url = renewal->url,
        .method = HTTP_METHOD_POST,
        .crt_bundle_attach = chip_tls_attach,
        .client_cert_pem = renewal->present.certificate,
        .client_key_pem = renewal->present.key,
        .timeout_ms = ANSWER_TIMEOUT_MS,
        .event_handler = on_http,
        .user_data = renewal,
        .disable_auto_redirect = true, /* a redirect would show our certificate to somebody who was not configured */
    };
    esp_http_client_handle_t client = esp_http_client_init(&config);
    if (client == NULL) {
        return 0;
    }
    const size_t len = exchange(renewal, client);
    (void)esp_http_client_cleanup(client);
    return len;
}

static bool append_next_issuer(chip_renewal_t *renewal, size_t message_bytes)
{
    for (uint8_t i = 0; i < CERTIFICATES_MAX; i++) {
        const uint8_t *der = NULL;
        size_t der_bytes = 0;
        if (!certs_only_find((const uint8_t *)renewal->answer, message_bytes, i, &der, &der_bytes)) {
            return false;
        }
        if (mbedtls_pair_append_issuer(renewal->certificate_pem, sizeof(renewal->certificate_pem), der, der_bytes)) {
            return true;
        }
    }
    return false;
}

/* As the factory's certificate has them: a broker that knows the root alone needs what is between. In the order of
 * their signatures (RFC 5246, 7.4.2), in which an answer need not have them. */
static void append_issuers(chip_renewal_t *renewal, size_t message_bytes)
{
    for (uint8_t count = 1; count < CERTIFICATES_MAX && append_next_issuer(renewal, message_bytes); count++) {
    }
}

static bool take(chip_renewal_t *renewal, size_t answer_bytes)
{
    const size_t message_bytes = certs_only_unbase64(renewal->answer, answer_bytes);
    for (uint8_t i = 0; i < CERTIFICATES_MAX; i++) {
        const uint8_t *der = NULL;
        size_t der_bytes = 0;
        if (!certs_only_find((const uint8_t *)renewal->answer, message_bytes, i, &der, &der_bytes)) {
            return false;
        }
        if (mbedtls_pair_join(renewal->key_pem, renewal->gateway_code, der, der_bytes, renewal->certificate_pem,
                              sizeof(renewal->certificate_pem), &renewal->validity)) {
            append_issuers(renewal, message_bytes);
            return true;
        }
    }
    return false;
}

static bool is_valid_now(const pair_validity_t *validity)
{
    int64_t unix_s;
    return !chip_clock_now(&unix_s) ||
           est_is_valid_now(validity->not_before_unix_s, validity->not_after_unix_s, unix_s);
}

bool chip_renewal_run(chip_renewal_t *renewal)
{
    if (!mbedtls_pair_make(renewal->gateway_code, renewal->key_pem, renewal->request, sizeof(renewal->request))) {
        warn("No new key could be made.");
        return false;
    }
    const size_t answer_bytes = ask(renewal);
    if (answer_bytes == 0) {
        return false;
    }
    if (!take(renewal, answer_bytes) || !is_valid_now(&renewal->validity)) {
        warn("What came from the server that renews certificates is no certificate of this gateway, or not valid now.");
        return false;
    }
    return true;
}
