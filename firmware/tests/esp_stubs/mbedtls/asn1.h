#pragma once

#include <stddef.h>

typedef struct {
    int tag;
    size_t len;
    unsigned char *p;
} mbedtls_asn1_buf;

typedef struct mbedtls_asn1_named_data {
    mbedtls_asn1_buf oid, val;
    struct mbedtls_asn1_named_data *next;
} mbedtls_asn1_named_data;
