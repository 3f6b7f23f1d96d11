#pragma once

#include <stddef.h>

typedef struct {
    void *opaque;
} mbedtls_mpi;

void mbedtls_mpi_init(mbedtls_mpi *number);
void mbedtls_mpi_free(mbedtls_mpi *number);
int mbedtls_mpi_read_binary(mbedtls_mpi *number, const unsigned char *bytes, size_t len);
