/* The partition `outbox`, as flash. */
#pragma once

#include "../port_flash.h"

#define CHIP_OUTBOX_PARTITION "outbox"

/* False: there is no such partition. */
bool chip_flash_open(port_flash_t *port);
