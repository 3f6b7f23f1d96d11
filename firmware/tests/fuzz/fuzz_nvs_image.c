/* Any bytes as an NVS image: nothing is read out of bounds, whatever its lengths say.
 *
 * Byte 0: how. With bit 0, checksums of pages, entries and data are made right first, so that what is behind them is
 * reached. The image begins at the second byte, filled up with 0xFF to whole pages, in memory of just its length. */
#include <stdlib.h>
#include <string.h>

#include "core/crc32.h"
#include "core/le.h"
#include "port/posix/nvs_image.h"

#define HOW_RIGHT_CHECKSUMS 0x01
#define PAGES_MAX 4
#define ENTRIES 126
#define ENTRY_BYTES 32
#define LOOK_UPS 16

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void make_right(uint8_t *page)
{
    for (size_t i = 0; i < ENTRIES; i++) {
        uint8_t *entry = page + 64 + i * ENTRY_BYTES;
        size_t len_bytes = le_get16(entry + 24);
        if ((entry[1] == 0x21 || entry[1] == 0x42) && len_bytes <= (ENTRIES - i - 1) * ENTRY_BYTES) {
            le_put32(entry + 28, crc32_add(UINT32_MAX, entry + ENTRY_BYTES, len_bytes));
        }
        uint32_t crc = crc32_add(UINT32_MAX, entry, 4);
        le_put32(entry + 4, crc32_add(crc, entry + 8, ENTRY_BYTES - 8));
    }
    page[8] = 0xFE;
    le_put32(page + 28, crc32_add(UINT32_MAX, page + 4, 24));
}

static void look_up(const nvs_image_t *image, const char *key)
{
    uint8_t out[600];
    size_t len_bytes = 0;
    kv_status_t status = image->port.get(image->port.ctx, key, out, sizeof(out), &len_bytes);
    if (status == KV_OK && len_bytes > sizeof(out)) {
        abort();
    }
    (void)image->port.get(image->port.ctx, key, out, 0, &len_bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    size_t len_bytes = (size - 1 + NVS_IMAGE_PAGE_BYTES - 1) / NVS_IMAGE_PAGE_BYTES * NVS_IMAGE_PAGE_BYTES;
    if (len_bytes > PAGES_MAX * NVS_IMAGE_PAGE_BYTES) {
        return 0;
    }
    uint8_t *bytes = malloc(len_bytes > 0 ? len_bytes : 1);
    if (bytes == NULL) {
        return 0;
    }
    memset(bytes, 0xFF, len_bytes);
    memcpy(bytes, data + 1, size - 1);
    for (size_t at = 0; (data[0] & HOW_RIGHT_CHECKSUMS) != 0 && at < len_bytes; at += NVS_IMAGE_PAGE_BYTES) {
        make_right(bytes + at);
    }
    nvs_image_t image;
    if (nvs_image_init(&image, bytes, len_bytes, "tds_factory") == NVS_IMAGE_OK) {
        /* Of its first entries: each look-up goes through the whole image. */
        for (size_t at = 64; at + ENTRY_BYTES <= len_bytes && at < 64 + LOOK_UPS * ENTRY_BYTES; at += ENTRY_BYTES) {
            char key[16];
            memcpy(key, bytes + at + 8, sizeof(key));
            key[sizeof(key) - 1] = '\0';
            look_up(&image, key);
        }
    }
    look_up(&image, "gateway_code");
    free(bytes);
    return 0;
}
