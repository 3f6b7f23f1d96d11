#pragma once

#include <stddef.h>

#include "mbedtls/bignum.h"
#include "mbedtls/ecp.h"

int mbedtls_ecdsa_verify(mbedtls_ecp_group *group, const unsigned char *hash, size_t len, const mbedtls_ecp_point *key,
                         const mbedtls_mpi *r, const mbedtls_mpi *s);
