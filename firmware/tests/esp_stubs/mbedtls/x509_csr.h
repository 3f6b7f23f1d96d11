#pragma once

#include <stddef.h>

#include "mbedtls/pk.h"

typedef enum { MBEDTLS_MD_SHA256 = 9 } mbedtls_md_type_t;
typedef struct {
    int opaque;
} mbedtls_x509write_csr;

void mbedtls_x509write_csr_init(mbedtls_x509write_csr *writer);
void mbedtls_x509write_csr_free(mbedtls_x509write_csr *writer);
void mbedtls_x509write_csr_set_md_alg(mbedtls_x509write_csr *writer, mbedtls_md_type_t hash);
void mbedtls_x509write_csr_set_key(mbedtls_x509write_csr *writer, mbedtls_pk_context *key);
int mbedtls_x509write_csr_set_subject_name(mbedtls_x509write_csr *writer, const char *name);
int mbedtls_x509write_csr_der(mbedtls_x509write_csr *writer, unsigned char *out, size_t cap,
                              int (*random)(void *, unsigned char *, size_t), void *arg);
