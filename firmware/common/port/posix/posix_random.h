#pragma once

#include "../port_random.h"

extern const port_random_t posix_random; /* getrandom(2) */
