#define _DEFAULT_SOURCE /* explicit_bzero */

#include "nvs_image.h"

#include <stdlib.h>
#include <string.h>

#include "posix_file.h"

bool nvs_image_open(nvs_image_t *image, const char *path, const char *name_space)
{
    size_t len_bytes = 0;
    char *file = posix_file_read(path, &len_bytes);
    if (file == NULL) {
        return false;
    }
    nvs_image_status_t status = nvs_image_init(image, (const uint8_t *)file, len_bytes, name_space);
    image->file = file;
    if (status != NVS_IMAGE_OK) {
        nvs_image_close(image);
    }
    return status == NVS_IMAGE_OK;
}

void nvs_image_close(nvs_image_t *image)
{
    if (image->file != NULL) {
        explicit_bzero(image->file, image->len_bytes);
        free(image->file);
    }
    image->file = NULL;
    image->bytes = NULL;
    image->len_bytes = 0;
}
