/* A reboot ends the program. Under a launcher it leaves with POSIX_EXIT_REBOOT + reason and the launcher, which plays
 * the boot loader, starts the image that is due; alone it starts itself anew. Why it started is in the environment. */
#pragma once

#include "../port_reboot.h"
#include "exit_codes.h"

typedef struct {
    boot_reason_t reason;
    bool launched;
    char *const *argv;
    port_reboot_t port;
} posix_reboot_t;

void posix_reboot_init(posix_reboot_t *reboot, bool launched, char *const *argv);
