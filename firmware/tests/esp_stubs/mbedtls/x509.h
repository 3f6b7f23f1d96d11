#pragma once

#include "mbedtls/asn1.h"

#define MBEDTLS_X509_BADCERT_EXPIRED 0x01
#define MBEDTLS_X509_BADCERT_CN_MISMATCH 0x04
#define MBEDTLS_X509_BADCERT_NOT_TRUSTED 0x08
#define MBEDTLS_X509_BADCERT_FUTURE 0x0200

typedef mbedtls_asn1_named_data mbedtls_x509_name;
typedef struct {
    int year, mon, day, hour, min, sec;
} mbedtls_x509_time;
