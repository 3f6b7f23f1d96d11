/* Why the device started, as a number on the wire (`motivo_partida`): never reuse one. The names are ESP-IDF's
 * (esp_reset_reason_t). */
#pragma once

#include "../core/step.h"

typedef enum {
    BOOT_UNKNOWN = 0,
    BOOT_POWER_ON = 1,
    BOOT_EXTERNAL = 2,
    BOOT_SOFTWARE = 3, /* asked for by nobody that we know */
    BOOT_PANIC = 4,
    BOOT_WATCHDOG = 5,
    BOOT_DEEP_SLEEP = 6,
    BOOT_BROWNOUT = 7,
    BOOT_RECOVERY = 8,  /* REBOOT_RECOVERY */
    BOOT_CONSOLE = 9,   /* REBOOT_CONSOLE */
    BOOT_UPDATE = 10,   /* REBOOT_UPDATE */
    BOOT_ROLLBACK = 11, /* the boot loader went back to the former image */
} boot_reason_t;

typedef struct {
    void *ctx;
    void (*reboot)(void *ctx, reboot_reason_t reason);
    boot_reason_t (*reason)(void *ctx);
} port_reboot_t;
