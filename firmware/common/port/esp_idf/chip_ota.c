#include "chip_ota.h"

#include "chip_mqtt.h"
#include "esp_ota_ops.h"
#include "esp_partition.h"
#include "esp_system.h"
#include "esp_timer.h"

#define US_PER_S UINT64_C(1000000)
#define GOODBYE_MAX_MS 5000

static esp_timer_handle_t s_trial; /* NULL: the image is on none */

static const esp_partition_t *slot_partition(uint8_t slot)
{
    esp_partition_subtype_t subtype = slot == 0 ? ESP_PARTITION_SUBTYPE_APP_OTA_0 : ESP_PARTITION_SUBTYPE_APP_OTA_1;
    return esp_partition_find_first(ESP_PARTITION_TYPE_APP, subtype, NULL);
}

static uint8_t running_slot(void *ctx)
{
    (void)ctx;
    return esp_ota_get_running_partition()->subtype == ESP_PARTITION_SUBTYPE_APP_OTA_1 ? 1 : 0;
}

static image_state_t state(void *ctx, uint8_t slot)
{
    (void)ctx;
    esp_ota_img_states_t found;
    const esp_partition_t *partition = slot_partition(slot);
    if (partition == NULL || esp_ota_get_state_partition(partition, &found) != ESP_OK) {
        return IMAGE_UNDEFINED;
    }
    switch (found) {
    case ESP_OTA_IMG_NEW:
        return IMAGE_NEW;
    case ESP_OTA_IMG_PENDING_VERIFY:
        return IMAGE_PENDING_VERIFY;
    case ESP_OTA_IMG_VALID:
        return IMAGE_VALID;
    case ESP_OTA_IMG_INVALID:
        return IMAGE_INVALID;
    case ESP_OTA_IMG_ABORTED:
        return IMAGE_ABORTED;
    case ESP_OTA_IMG_UNDEFINED:
        return IMAGE_UNDEFINED;
    }
    return IMAGE_UNDEFINED;
}

static uint32_t slot_bytes(void *ctx)
{
    (void)ctx;
    const esp_partition_t *first = slot_partition(0), *second = slot_partition(1);
    if (first == NULL || second == NULL) {
        return 0;
    }
    return first->size < second->size ? first->size : second->size;
}

static bool may_write(uint8_t slot)
{
    return slot < 2 && slot != running_slot(NULL); /* never the image that runs */
}

static bool erase(void *ctx, uint8_t slot, uint32_t offset_bytes, uint32_t len_bytes)
{
    (void)ctx;
    const esp_partition_t *partition = slot_partition(slot);
    return partition != NULL && may_write(slot) &&
           esp_partition_erase_range(partition, offset_bytes, len_bytes) == ESP_OK;
}

static bool write_bytes(void *ctx, uint8_t slot, uint32_t offset_bytes, const void *data, size_t len_bytes)
{
    (void)ctx;
    const esp_partition_t *partition = slot_partition(slot);
    return partition != NULL && may_write(slot) &&
           esp_partition_write(partition, offset_bytes, data, len_bytes) == ESP_OK;
}

static bool read_bytes(void *ctx, uint8_t slot, uint32_t offset_bytes, void *out, size_t len_bytes)
{
    (void)ctx;
    const esp_partition_t *partition = slot_partition(slot);
    return partition != NULL && esp_partition_read(partition, offset_bytes, out, len_bytes) == ESP_OK;
}

/* It reads the whole image once more, then writes. What was written is read back: flash that takes nothing says so. */
static bool set_boot(void *ctx, uint8_t slot)
{
    const esp_partition_t *partition = slot_partition(slot);
    return partition != NULL && may_write(slot) && esp_ota_set_boot_partition(partition) == ESP_OK &&
           state(ctx, slot) == IMAGE_NEW && esp_ota_get_boot_partition() == partition;
}

static bool confirm(void *ctx)
{
    if (esp_ota_mark_app_valid_cancel_rollback() != ESP_OK || state(ctx, running_slot(ctx)) != IMAGE_VALID) {
        return false;
    }
    if (s_trial != NULL) {
        (void)esp_timer_stop(s_trial);
    }
    return true;
}

static void roll_back(void *ctx)
{
    (void)ctx;
    chip_mqtt_settle(GOODBYE_MAX_MS);
    (void)esp_ota_mark_app_invalid_rollback_and_reboot();
    /* It comes back where `otadata` takes nothing, or the other slot has nothing that starts. The boot loader leaves an
     * image on trial at any restart; where there is no other, this one goes on, and is on trial no more. */
    esp_restart();
}

/* In the timer's own task, above all of ours. By way of a panic, which asks no task for leave, and whose core dump has
 * where each of them hung. No look at `otadata`: whoever hangs may hold the flash. */
static void trial_is_over(void *ctx)
{
    (void)ctx;
    esp_system_abort("The new image has not confirmed itself in time.");
}

void chip_ota_watch_trial(uint32_t limit_s)
{
    const esp_timer_create_args_t args = {.callback = trial_is_over, .name = "trial"};
    if (state(NULL, running_slot(NULL)) != IMAGE_PENDING_VERIFY) {
        return;
    }
    if (esp_timer_create(&args, &s_trial) != ESP_OK || esp_timer_start_once(s_trial, limit_s * US_PER_S) != ESP_OK) {
        esp_system_abort("The trial of the new image can't be watched."); /* no memory, and it has just begun */
    }
}

const port_ota_t chip_ota = {
    .running_slot = running_slot,
    .state = state,
    .slot_bytes = slot_bytes,
    .erase = erase,
    .write = write_bytes,
    .read = read_bytes,
    .set_boot = set_boot,
    .confirm = confirm,
    .roll_back = roll_back,
};
