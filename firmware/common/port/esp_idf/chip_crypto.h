/* SHA-256 and ECDSA by mbedTLS 3.6, which takes the chip's engines where it has them. */
#pragma once

#include "../port_crypto.h"

extern const port_crypto_t chip_crypto;
