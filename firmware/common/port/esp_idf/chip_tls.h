/* Whom this device trusts: the authorities that the factory image pins, and nobody else. */
#pragma once

#include <stdbool.h>

#include "esp_err.h"

/* PEM, one certificate after the other. Once, at power-up. False: there is none, or one of them can't be read. */
bool chip_tls_pin(const char *authorities_pem);
bool chip_tls_is_pinned(void);

/* What ESP-IDF calls the attach function of a certificate bundle: `config` is a mbedtls_ssl_config. Ours pins. */
esp_err_t chip_tls_attach(void *config);
