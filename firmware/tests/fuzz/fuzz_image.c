/* An image in whatever pieces: the first byte says how long they are. Whatever it is, it is the same in one piece. */
#include <stdlib.h>
#include <string.h>

#include "core/image.h"
#include "port/fake/fake_crypto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool true_of_it)
{
    if (!true_of_it) {
        abort();
    }
}

static image_status_t look(image_t *image, const port_crypto_t *crypto, const uint8_t *data, size_t size, size_t piece)
{
    image_status_t status = image_begin(image, crypto);
    for (size_t at = 0; at < size; at += piece) {
        status = image_take(image, crypto, data + at, size - at < piece ? size - at : piece);
    }
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static image_t image, whole;
    fake_crypto_t crypto;
    if (size < 2) {
        return 0;
    }
    fake_crypto_init(&crypto);
    image_status_t status = look(&image, &crypto.port, data + 1, size - 1, data[0] + 1u);
    must(look(&whole, &crypto.port, data + 1, size - 1, size - 1) == status);
    must(image.head_known == whole.head_known && image.len_bytes == whole.len_bytes);
    must(strcmp(image_wrong(&image), image_wrong(&whole)) == 0);
    if (status == IMAGE_WHOLE) {
        must(image.head_known && image.len_bytes <= size - 1 && image.len_bytes % 16 == 0);
        must(memcmp(image.sha256, whole.sha256, SHA256_BYTES) == 0);
        must(image.last_segment_offset_bytes + image.last_segment_len_bytes < image.len_bytes);
    }
    if (image.head_known) {
        must(strlen(image.project) <= NAME_MAX_CHARS && strlen(image.version) <= VERSION_MAX_CHARS);
    }
    image_give_up(&image, &crypto.port);
    image_give_up(&whole, &crypto.port);
    must(crypto.under_way == 0);
    return 0;
}
