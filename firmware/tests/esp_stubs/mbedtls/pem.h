#pragma once

#include <stddef.h>

int mbedtls_pem_write_buffer(const char *begin, const char *end, const unsigned char *der, size_t der_len,
                             unsigned char *out, size_t cap, size_t *written);
