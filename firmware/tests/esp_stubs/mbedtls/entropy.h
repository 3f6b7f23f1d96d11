#pragma once

#include <stddef.h>

typedef struct {
    int opaque;
} mbedtls_entropy_context;

void mbedtls_entropy_init(mbedtls_entropy_context *entropy);
void mbedtls_entropy_free(mbedtls_entropy_context *entropy);
int mbedtls_entropy_func(void *entropy, unsigned char *out, size_t len);
