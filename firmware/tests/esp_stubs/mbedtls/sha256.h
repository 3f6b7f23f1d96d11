#pragma once

#include <stddef.h>

typedef struct {
    unsigned char opaque[116]; /* as long as the longest of the chips' own */
} mbedtls_sha256_context;

void mbedtls_sha256_init(mbedtls_sha256_context *hash);
void mbedtls_sha256_free(mbedtls_sha256_context *hash);
int mbedtls_sha256_starts(mbedtls_sha256_context *hash, int is_sha224);
int mbedtls_sha256_update(mbedtls_sha256_context *hash, const unsigned char *data, size_t len);
int mbedtls_sha256_finish(mbedtls_sha256_context *hash, unsigned char *out);
