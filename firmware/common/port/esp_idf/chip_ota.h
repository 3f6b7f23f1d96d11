/* The two slots on the chip: esp_ota_ops, with the boot loader's rollback on (CONFIG_BOOTLOADER_APP_ROLLBACK_ENABLE).
 *
 * ESP-IDF keeps a state by erasing its sector of `otadata` and writing it anew (esp_ota_ops.c, rewrite_ota_seq(); in
 * the boot loader write_otadata()); its bits can't be programmed from "pending" to "valid" without an erase. A power
 * cut between the two leaves no entry of the image that runs, and the former one boots, also when the cut was in a
 * confirmation (esp-idf issue 7859). Nothing is lost by that but the update: the device is told so by what runs then,
 * says "rolled back", and takes the image again. It is never told "confirmed" before the entry was read back.
 */
#pragma once

#include "../port_ota.h"

extern const port_ota_t chip_ota;

/* To be called first at power-up: an image on trial that does not confirm itself within so long is left, whatever the
 * rest of it does, and does not do, meanwhile. The core's own word (UPDATE_TRIAL_S) should come before it. */
void chip_ota_watch_trial(uint32_t limit_s);
