/* A read-only port_kv over an NVS partition as ESP-IDF lays it out (format version 2, not encrypted): the very nvs.bin
 * that `./tds provision` writes for a unit. It reads bytes where they are and keeps nothing.
 *
 * Source of the layout: ESP-IDF Programming Guide v5.5, "Non-Volatile Storage Library", "Internals"; types and
 * checksums as in components/nvs_flash/src (nvs_types.hpp, nvs_page.hpp). Every length is checked before it is used;
 * what fails its CRC is not read, and a key that is not found in an image with damage is KV_FAILED and not KV_MISSING:
 * it may have been there.
 */
#pragma once

#include "../port_kv.h"
#include <stdint.h>

#define NVS_IMAGE_PAGE_BYTES 4096
#define NVS_IMAGE_MAX_BYTES 1048576

typedef struct {
    port_kv_t port; /* set and erase answer KV_FAILED */
    const uint8_t *bytes;
    size_t len_bytes;
    uint8_t namespace_index;
    char *file; /* of nvs_image_open() */
} nvs_image_t;

typedef enum {
    NVS_IMAGE_OK,
    NVS_IMAGE_SIZE,         /* not a number of whole pages, or more than NVS_IMAGE_MAX_BYTES */
    NVS_IMAGE_NO_PAGE,      /* no page of format version 2 that passes its CRC: no NVS, another version, encrypted */
    NVS_IMAGE_NO_NAMESPACE, /* it does not hold this one */
} nvs_image_status_t;

nvs_image_status_t nvs_image_init(nvs_image_t *image, const uint8_t *bytes, size_t len_bytes, const char *name_space);

/* Of a file, which is read whole (nvs_image_file.c). False: it can't be read, or is none with this namespace. */
bool nvs_image_open(nvs_image_t *image, const char *path, const char *name_space);
void nvs_image_close(nvs_image_t *image); /* there is a key in it: it is wiped */
