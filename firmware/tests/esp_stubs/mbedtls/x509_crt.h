#pragma once

#include <stddef.h>
#include <stdint.h>

#include "mbedtls/pk.h"
#include "mbedtls/x509.h"

typedef struct mbedtls_x509_crl mbedtls_x509_crl;

typedef struct mbedtls_x509_crt {
    mbedtls_asn1_buf subject_raw, issuer_raw;
    mbedtls_x509_name subject;
    mbedtls_x509_time valid_from, valid_to;
    mbedtls_pk_context pk;
    struct mbedtls_x509_crt *next;
} mbedtls_x509_crt;

void mbedtls_x509_crt_init(mbedtls_x509_crt *certificate);
void mbedtls_x509_crt_free(mbedtls_x509_crt *certificate);
int mbedtls_x509_crt_parse(mbedtls_x509_crt *chain, const unsigned char *text, size_t len);
int mbedtls_x509_crt_verify(mbedtls_x509_crt *certificate, mbedtls_x509_crt *authorities, mbedtls_x509_crl *revoked,
                            const char *name, uint32_t *flags,
                            int (*verify)(void *, mbedtls_x509_crt *, int, uint32_t *), void *arg);
int mbedtls_x509_crt_parse_der(mbedtls_x509_crt *chain, const unsigned char *der, size_t len);
