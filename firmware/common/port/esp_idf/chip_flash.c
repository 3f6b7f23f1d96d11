#include "chip_flash.h"

#include "esp_partition.h"

static bool read_bytes(void *ctx, uint32_t offset_bytes, void *out, size_t len_bytes)
{
    return esp_partition_read(ctx, offset_bytes, out, len_bytes) == ESP_OK;
}

static bool write_bytes(void *ctx, uint32_t offset_bytes, const void *data, size_t len_bytes)
{
    return esp_partition_write(ctx, offset_bytes, data, len_bytes) == ESP_OK;
}

static bool erase_bytes(void *ctx, uint32_t offset_bytes, size_t len_bytes)
{
    return esp_partition_erase_range(ctx, offset_bytes, len_bytes) == ESP_OK;
}

bool chip_flash_open(port_flash_t *port)
{
    const esp_partition_t *found =
        esp_partition_find_first(ESP_PARTITION_TYPE_DATA, ESP_PARTITION_SUBTYPE_ANY, CHIP_OUTBOX_PARTITION);
    if (found == NULL) {
        return false;
    }
    /* The context of a port is not const; what describes the partition is not written all the same. */
    *port = (port_flash_t){
        .ctx = (void *)(uintptr_t)found,
        .size_bytes = found->size,
        .read = read_bytes,
        .write = write_bytes,
        .erase = erase_bytes,
    };
    return true;
}
