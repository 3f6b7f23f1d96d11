#pragma once

#include <stddef.h>

typedef enum { MBEDTLS_ECP_DP_SECP256R1 = 3 } mbedtls_ecp_group_id;
typedef struct {
    int opaque;
} mbedtls_ecp_keypair;

int mbedtls_ecp_gen_key(mbedtls_ecp_group_id group, mbedtls_ecp_keypair *key,
                        int (*random)(void *, unsigned char *, size_t), void *arg);
