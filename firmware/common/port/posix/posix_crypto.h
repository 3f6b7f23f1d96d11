#pragma once

#include "../port_crypto.h"

extern const port_crypto_t posix_crypto; /* OpenSSL 3.0 */
