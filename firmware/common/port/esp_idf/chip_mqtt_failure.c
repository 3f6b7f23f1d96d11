#include "chip_mqtt_failure.h"

#include "../../core/connack.h"
#include "esp_tls_errors.h"
#include "mbedtls/x509.h"

static failure_t failure_of_certificate(uint32_t flags)
{
    /* The authority first: what a certificate that nobody vouches for says of its time or name means nothing. */
    if ((flags & MBEDTLS_X509_BADCERT_NOT_TRUSTED) != 0) {
        return FAILURE_TLS_AUTHORITY;
    }
    if ((flags & (MBEDTLS_X509_BADCERT_EXPIRED | MBEDTLS_X509_BADCERT_FUTURE)) != 0) {
        return FAILURE_TLS_EXPIRED;
    }
    return (flags & MBEDTLS_X509_BADCERT_CN_MISMATCH) != 0 ? FAILURE_TLS_HOST : FAILURE_TLS_OTHER;
}

static failure_t failure_on_the_way(const chip_mqtt_way_t *way, esp_err_t error)
{
    switch (error) {
    case ESP_ERR_ESP_TLS_CANNOT_RESOLVE_HOSTNAME:
        return FAILURE_DNS;
    case ESP_ERR_ESP_TLS_CONNECTION_TIMEOUT: /* of TCP and of the handshake */
        return way->greeted ? FAILURE_TIMEOUT : FAILURE_TCP;
    case ESP_ERR_MBEDTLS_X509_CRT_PARSE_FAILED:
    case ESP_ERR_MBEDTLS_PK_PARSE_KEY_FAILED:
    case ESP_ERR_MBEDTLS_SSL_CONF_OWN_CERT_FAILED:
        return FAILURE_CREDENTIALS;
    case ESP_ERR_MBEDTLS_SSL_HANDSHAKE_FAILED:
    case ESP_ERR_MBEDTLS_SSL_SETUP_FAILED:
        return FAILURE_TLS_OTHER;
    default: /* refused, no route, reset, hung up before it answered */
        return FAILURE_TCP;
    }
}

failure_t chip_mqtt_failure(const chip_mqtt_way_t *way, const esp_mqtt_error_codes_t *error)
{
    if (error->error_type == MQTT_ERROR_TYPE_CONNECTION_REFUSED) {
        return connack_failure((int)error->connect_return_code);
    }
    if (way->connected) {
        return FAILURE_CLOSED;
    }
    if (error->error_type != MQTT_ERROR_TYPE_TCP_TRANSPORT) {
        return FAILURE_TIMEOUT;
    }
    return way->flags != 0 ? failure_of_certificate(way->flags) : failure_on_the_way(way, error->esp_tls_last_esp_err);
}
