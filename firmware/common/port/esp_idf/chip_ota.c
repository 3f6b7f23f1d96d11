#include "chip_ota.h"

#include "esp_ota_ops.h"
#include "esp_partition.h"

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
    const esp_partition_t *partition = slot_partition(0);
    return partition == NULL ? 0 : partition->size;
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

static bool set_boot(void *ctx, uint8_t slot)
{
    (void)ctx;
    const esp_partition_t *partition = slot_partition(slot);
    return partition != NULL && esp_ota_set_boot_partition(partition) == ESP_OK; /* it checks the image once more */
}

static bool confirm(void *ctx)
{
    (void)ctx;
    return esp_ota_mark_app_valid_cancel_rollback() == ESP_OK;
}

static void roll_back(void *ctx)
{
    (void)ctx;
    (void)esp_ota_mark_app_invalid_rollback_and_reboot(); /* returns only when there is nothing to go back to */
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
