/* The two slots on the chip: esp_ota_ops, with the boot loader's rollback on (CONFIG_BOOTLOADER_APP_ROLLBACK_ENABLE).
 */
#pragma once

#include "../port_ota.h"

extern const port_ota_t chip_ota;
