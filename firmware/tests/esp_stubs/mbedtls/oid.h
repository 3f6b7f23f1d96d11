#pragma once

#include <string.h>

#include "mbedtls/asn1.h"

#define MBEDTLS_OID_AT_CN "\x55\x04\x03"
#define MBEDTLS_OID_CMP(text, oid)                                                                                     \
    (sizeof(text) - 1 != (oid)->len || memcmp(text, (oid)->p, (oid)->len) != 0) /* 0: the same */
