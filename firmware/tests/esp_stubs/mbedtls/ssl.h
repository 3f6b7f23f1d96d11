#pragma once

#include <stdint.h>

#include "mbedtls/x509_crt.h"

typedef struct mbedtls_ssl_config mbedtls_ssl_config;

void mbedtls_ssl_conf_ca_chain(mbedtls_ssl_config *config, mbedtls_x509_crt *authorities, mbedtls_x509_crl *revoked);
void mbedtls_ssl_conf_verify(mbedtls_ssl_config *config, int (*verify)(void *, mbedtls_x509_crt *, int, uint32_t *),
                             void *arg);
