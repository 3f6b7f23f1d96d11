#include "posix_reboot.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define MAX_DESCRIPTORS 1024

static const boot_reason_t s_becomes[] = {
    [REBOOT_RECOVERY] = BOOT_RECOVERY, [REBOOT_CONSOLE] = BOOT_CONSOLE, [REBOOT_UPDATE] = BOOT_UPDATE};

static void restart(void *ctx, reboot_reason_t reason)
{
    const posix_reboot_t *self = ctx;
    if (self->launched) {
        exit(POSIX_EXIT_REBOOT + (int)reason);
    }
    char number[12];
    snprintf(number, sizeof(number), "%d", (int)s_becomes[reason]);
    setenv(POSIX_BOOT_REASON, number, 1);
    /* Those of libmosquitto would stay open over exec, and the broker would think us there. */
    for (int fd = STDERR_FILENO + 1; fd < MAX_DESCRIPTORS; fd++) {
        close(fd);
    }
    execv("/proc/self/exe", self->argv);
    perror("The program can't be started anew");
    exit(EXIT_FAILURE);
}

static boot_reason_t reason(void *ctx)
{
    const posix_reboot_t *self = ctx;
    return self->reason;
}

void posix_reboot_init(posix_reboot_t *reboot, bool launched, char *const *argv)
{
    *reboot = (posix_reboot_t){.reason = BOOT_POWER_ON, .launched = launched, .argv = argv};
    reboot->port = (port_reboot_t){.ctx = reboot, .reboot = restart, .reason = reason};
    const char *said = getenv(POSIX_BOOT_REASON);
    if (said != NULL) {
        long number = strtol(said, NULL, 10);
        reboot->reason = number > BOOT_UNKNOWN && number <= BOOT_ROLLBACK ? (boot_reason_t)number : BOOT_UNKNOWN;
    }
}
