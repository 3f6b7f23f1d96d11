/* port_ota over two slots of flash and an otadata. Pure: on a host these are files (posix_flash.h), in tests fakes. */
#pragma once

#include "../port_reboot.h"
#include "otadata.h"

typedef struct {
    port_ota_t port;
    const port_flash_t *otadata;
    const port_flash_t *slots[OTADATA_SLOTS];
    uint8_t running;
    const port_reboot_t *reboot;
} slots_t;

/* `running`: as the boot loader said. Both slots are of one size. */
void slots_init(slots_t *slots, const port_flash_t *otadata, const port_flash_t *slot_0, const port_flash_t *slot_1,
                uint8_t running, const port_reboot_t *reboot);
