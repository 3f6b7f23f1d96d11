/* The slots that the launcher runs this program from, as it says in the environment (exit_codes.h). */
#pragma once

#include "posix_flash.h"
#include "slots.h"

typedef struct {
    posix_flash_t otadata_file, slot_files[OTADATA_SLOTS];
    slots_t slots;
} host_slots_t;

/* NULL: it was started without a launcher, and has none. */
const port_ota_t *host_slots_open(host_slots_t *slots, const port_reboot_t *reboot);
