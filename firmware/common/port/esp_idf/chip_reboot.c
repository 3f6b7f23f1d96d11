#include "chip_reboot.h"

#include "chip_mqtt.h"
#include "chip_ota.h"
#include "esp_attr.h"
#include "esp_ota_ops.h"
#include "esp_system.h"

#define MAGIC 0x7D5B007Bu
#define NOT_ASKED 0u
#define GOODBYE_MAX_MS 5000

/* In memory that lives through every reset but a loss of power; the magic tells which it was. */
static RTC_NOINIT_ATTR uint32_t s_magic;
static RTC_NOINIT_ATTR uint32_t s_asked; /* reboot_reason_t */
static RTC_NOINIT_ATTR uint32_t s_slot;  /* that ran before */

static void restart(void *ctx, reboot_reason_t reason)
{
    (void)ctx;
    chip_mqtt_settle(GOODBYE_MAX_MS);
    s_asked = (uint32_t)reason;
    esp_restart();
}

/* The other slot ran before, or was about to (an image that crashes at once does not come here), and its image is one
 * that was given up: the boot loader came back to this one. */
static bool was_rolled_back(uint32_t former_slot, uint32_t slot, uint32_t asked)
{
    if (former_slot == slot && asked != REBOOT_UPDATE) {
        return false;
    }
    const esp_partition_t *given_up = esp_ota_get_last_invalid_partition();
    return given_up != NULL && given_up != esp_ota_get_running_partition();
}

static boot_reason_t reason_of_asked(uint32_t asked)
{
    switch (asked) {
    case REBOOT_RECOVERY:
        return BOOT_RECOVERY;
    case REBOOT_CONSOLE:
        return BOOT_CONSOLE;
    case REBOOT_UPDATE:
        return BOOT_UPDATE;
    default: /* asked for by nobody that we know */
        return BOOT_SOFTWARE;
    }
}

static boot_reason_t reason_of_reset(uint32_t asked)
{
    switch (esp_reset_reason()) {
    case ESP_RST_POWERON:
        return BOOT_POWER_ON;
    case ESP_RST_EXT:
        return BOOT_EXTERNAL;
    case ESP_RST_SW:
        return reason_of_asked(asked);
    case ESP_RST_PANIC:
    case ESP_RST_CPU_LOCKUP:
        return BOOT_PANIC;
    case ESP_RST_INT_WDT:
    case ESP_RST_TASK_WDT:
    case ESP_RST_WDT:
        return BOOT_WATCHDOG;
    case ESP_RST_DEEPSLEEP:
        return BOOT_DEEP_SLEEP;
    case ESP_RST_BROWNOUT:
        return BOOT_BROWNOUT;
    default: /* by a debugger, and what later chips have */
        return BOOT_UNKNOWN;
    }
}

static boot_reason_t reason(void *ctx)
{
    (void)ctx;
    const bool remembered = s_magic == MAGIC;
    const uint32_t slot = chip_ota.running_slot(chip_ota.ctx);
    const uint32_t former_slot = remembered ? s_slot : slot;
    const uint32_t asked = remembered ? s_asked : NOT_ASKED;
    s_magic = MAGIC;
    s_asked = NOT_ASKED;
    s_slot = slot;
    return was_rolled_back(former_slot, slot, asked) ? BOOT_ROLLBACK : reason_of_reset(asked);
}

const port_reboot_t chip_reboot = {.reboot = restart, .reason = reason};
