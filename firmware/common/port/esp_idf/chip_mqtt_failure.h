/* Why a connection did not come about, from what esp-mqtt and esp-tls tell of it. */
#pragma once

#include "../../core/step.h"
#include "mqtt_client.h"

typedef struct {
    bool connected; /* CONNACK had come */
    bool greeted;   /* TCP stands, and TLS has begun */
    uint32_t flags; /* what mbedTLS has against the server's certificates: MBEDTLS_X509_BADCERT_... */
} chip_mqtt_way_t;

failure_t chip_mqtt_failure(const chip_mqtt_way_t *way, const esp_mqtt_error_codes_t *error);
