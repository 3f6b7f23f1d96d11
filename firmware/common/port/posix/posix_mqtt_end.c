#include <mqtt_protocol.h>
#include <string.h>

#include "../../core/connack.h"
#include "posix_log.h"
#include "posix_mqtt_parts.h"

static const char *TAG = "mqtt";

void posix_mqtt_let_go(posix_mqtt_t *mqtt)
{
    posix_resolver_cancel(&mqtt->resolver);
    if (mqtt->client != NULL) {
        mosquitto_destroy(mqtt->client);
        mqtt->client = NULL;
    }
    SSL_CTX_free(mqtt->context);
    mqtt->context = NULL;
    memset(mqtt->in_flight, 0, sizeof(mqtt->in_flight));
    mqtt->state = POSIX_MQTT_IDLE;
}

void posix_mqtt_fail(posix_mqtt_t *mqtt, failure_t failure, const char *why)
{
    posix_log(mqtt->log, LOG_INFO, TAG, "no connection to %s:%u: %s (%s)", mqtt->host, mqtt->port_number, why,
              failure_name(failure));
    posix_mqtt_let_go(mqtt);
    posix_mqtt_queue_add(&mqtt->queue, (event_t){.type = EVENT_MQTT_FAILED, .failure = failure});
}

static void lost(posix_mqtt_t *mqtt)
{
    const char *why = mqtt->hung_up >= MQTT_RC_UNSPECIFIED ? mosquitto_reason_string(mqtt->hung_up)
                                                           : mosquitto_strerror(mqtt->hung_up);
    const char *tls_why = mqtt->context != NULL ? posix_tls_why(&mqtt->tls) : "";
    posix_log(mqtt->log, LOG_INFO, TAG, "the connection to %s:%u is lost: %s", mqtt->host, mqtt->port_number,
              tls_why[0] != '\0' ? tls_why : why);
    posix_mqtt_let_go(mqtt);
    posix_mqtt_queue_add(&mqtt->queue, (event_t){.type = EVENT_MQTT_CLOSED, .failure = FAILURE_CLOSED});
}

void posix_mqtt_ended_before_online(posix_mqtt_t *mqtt, int error)
{
    if (mqtt->refused != 0) {
        posix_mqtt_fail(mqtt, connack_failure(mqtt->refused), mosquitto_reason_string(mqtt->refused));
    } else if (mqtt->context != NULL && posix_tls_failure(&mqtt->tls) != FAILURE_NONE) {
        posix_mqtt_fail(mqtt, posix_tls_failure(&mqtt->tls), posix_tls_why(&mqtt->tls));
    } else if (mqtt->state == POSIX_MQTT_HANDSHAKE) {
        posix_mqtt_fail(mqtt, FAILURE_TLS_OTHER, "it ended the TLS handshake");
    } else if (error == MOSQ_ERR_PROTOCOL || error == MOSQ_ERR_MALFORMED_PACKET) {
        posix_mqtt_fail(mqtt, FAILURE_MQTT_REFUSED, "it does not speak MQTT 5");
    } else if (mqtt->context != NULL && strcmp(mqtt->tls.version, "TLSv1.3") == 0) {
        /* In TLS 1.3 a server looks at our certificate when we have long sent CONNECT, and the reset that follows its
         * alert may overtake it. */
        posix_mqtt_fail(mqtt, FAILURE_TLS_OTHER, "it hung up before it answered, as when it refuses a certificate");
    } else {
        posix_mqtt_fail(mqtt, FAILURE_TCP, "it hung up before it answered");
    }
}

void posix_mqtt_settle(posix_mqtt_t *mqtt, int error)
{
    if (error == MOSQ_ERR_SUCCESS && mosquitto_socket(mqtt->client) >= 0 && mqtt->refused == 0) {
        return;
    }
    if (mqtt->hung_up == 0) {
        mqtt->hung_up = error;
    }
    if (mqtt->state == POSIX_MQTT_ONLINE) {
        lost(mqtt);
    } else {
        posix_mqtt_ended_before_online(mqtt, error);
    }
}
