/* Restarts, and why this start is one. */
#pragma once

#include "../port_reboot.h"

extern const port_reboot_t chip_reboot; /* `reason` is to be asked once a boot */
