#include "host_image.h"

#include <string.h>

#include "../posix_crypto.h"

#define SEGMENTS 2
#define CHUNK_BYTES 4096u

/* Of an image for another machine nothing more is read than says so. */
static const char *look_at_head(const image_t *image)
{
    if (image->chip_id != IMAGE_CHIP_HOST) {
        return "holds an image for a chip, not for a host";
    }
    if (image->segment_count != SEGMENTS) {
        return "holds an image of another form: two segments and a hash are expected";
    }
    return NULL;
}

/* NULL: all of it went by, or as much as shows that it is none. */
static const char *read_image(const port_flash_t *slot, image_t *image)
{
    uint8_t chunk[CHUNK_BYTES];
    const char *wrong = NULL;
    for (uint32_t at = 0; at < slot->size_bytes && wrong == NULL && image->status == IMAGE_MORE;) {
        uint32_t left_bytes = slot->size_bytes - at;
        uint32_t len_bytes = left_bytes < sizeof(chunk) ? left_bytes : (uint32_t)sizeof(chunk);
        if (!slot->read(slot->ctx, at, chunk, len_bytes)) {
            return "can't be read";
        }
        (void)image_take(image, &posix_crypto, chunk, len_bytes);
        wrong = image->head_known ? look_at_head(image) : NULL;
        at += len_bytes;
    }
    return wrong;
}

static const char *take(const image_t *image, host_image_t *out)
{
    if (image->last_segment_len_bytes == 0) {
        return "holds an image without a program";
    }
    out->len_bytes = image->len_bytes;
    memcpy(out->sha256, image->sha256, sizeof(out->sha256));
    out->program_offset_bytes = image->last_segment_offset_bytes;
    out->program_len_bytes = image->last_segment_len_bytes;
    out->secure_version = image->secure_version;
    memcpy(out->version, image->version, sizeof(out->version));
    memcpy(out->project, image->project, sizeof(out->project));
    return NULL;
}

const char *host_image_check(const port_flash_t *slot, host_image_t *out)
{
    image_t image;
    const char *wrong = NULL;
    *out = (host_image_t){0};
    if (image_begin(&image, &posix_crypto) == IMAGE_MORE) {
        wrong = read_image(slot, &image);
        image_give_up(&image, &posix_crypto);
    }
    if (wrong == NULL && image.status != IMAGE_WHOLE) {
        wrong = image_wrong(&image);
    }
    return wrong != NULL ? wrong : take(&image, out);
}
