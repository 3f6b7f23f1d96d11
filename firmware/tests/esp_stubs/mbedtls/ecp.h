#pragma once

#include <stddef.h>

typedef enum { MBEDTLS_ECP_DP_SECP256R1 = 3 } mbedtls_ecp_group_id;
typedef struct {
    int opaque;
} mbedtls_ecp_keypair;
typedef struct {
    int opaque;
} mbedtls_ecp_group;
typedef struct {
    int opaque;
} mbedtls_ecp_point;

int mbedtls_ecp_gen_key(mbedtls_ecp_group_id group, mbedtls_ecp_keypair *key,
                        int (*random)(void *, unsigned char *, size_t), void *arg);
void mbedtls_ecp_group_init(mbedtls_ecp_group *group);
void mbedtls_ecp_group_free(mbedtls_ecp_group *group);
int mbedtls_ecp_group_load(mbedtls_ecp_group *group, mbedtls_ecp_group_id id);
void mbedtls_ecp_point_init(mbedtls_ecp_point *point);
void mbedtls_ecp_point_free(mbedtls_ecp_point *point);
int mbedtls_ecp_point_read_binary(const mbedtls_ecp_group *group, mbedtls_ecp_point *point, const unsigned char *bytes,
                                  size_t len);
int mbedtls_ecp_check_pubkey(const mbedtls_ecp_group *group, const mbedtls_ecp_point *point);
