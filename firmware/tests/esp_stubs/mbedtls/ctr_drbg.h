#pragma once

#include <stddef.h>

typedef struct {
    int opaque;
} mbedtls_ctr_drbg_context;

void mbedtls_ctr_drbg_init(mbedtls_ctr_drbg_context *random);
void mbedtls_ctr_drbg_free(mbedtls_ctr_drbg_context *random);
int mbedtls_ctr_drbg_seed(mbedtls_ctr_drbg_context *random, int (*entropy)(void *, unsigned char *, size_t), void *arg,
                          const unsigned char *custom, size_t len);
int mbedtls_ctr_drbg_random(void *random, unsigned char *out, size_t len);
