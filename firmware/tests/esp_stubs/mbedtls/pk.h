#pragma once

#include <stddef.h>

#include "mbedtls/ecp.h"

typedef enum { MBEDTLS_PK_ECKEY = 2 } mbedtls_pk_type_t;
typedef struct mbedtls_pk_info_t mbedtls_pk_info_t;
typedef struct {
    void *opaque;
} mbedtls_pk_context;

void mbedtls_pk_init(mbedtls_pk_context *key);
void mbedtls_pk_free(mbedtls_pk_context *key);
const mbedtls_pk_info_t *mbedtls_pk_info_from_type(mbedtls_pk_type_t type);
int mbedtls_pk_setup(mbedtls_pk_context *key, const mbedtls_pk_info_t *info);
mbedtls_ecp_keypair *mbedtls_pk_ec(const mbedtls_pk_context key);
int mbedtls_pk_write_key_pem(const mbedtls_pk_context *key, unsigned char *out, size_t cap);
int mbedtls_pk_parse_key(mbedtls_pk_context *key, const unsigned char *text, size_t len, const unsigned char *password,
                         size_t password_len, int (*random)(void *, unsigned char *, size_t), void *arg);
int mbedtls_pk_check_pair(const mbedtls_pk_context *public_key, const mbedtls_pk_context *key,
                          int (*random)(void *, unsigned char *, size_t), void *arg);
