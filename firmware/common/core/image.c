#include "image.h"

#include <string.h>

#include "ascii.h"
#include "le.h"

#define HEADER_BYTES 24u
#define HEADER_MAGIC 0xE9
#define HEADER_SEGMENTS 1
#define HEADER_CHIP 12
#define HEADER_HASH_APPENDED 23
#define SEGMENT_HEADER_BYTES 8u
#define SEGMENT_LENGTH 4
#define DESCRIPTOR_BYTES 256u
#define DESCRIPTOR_MAGIC 0xABCD5432u
#define DESCRIPTOR_SECURE_VERSION 4
#define DESCRIPTOR_VERSION 16
#define DESCRIPTOR_PROJECT 48
#define DESCRIPTOR_TEXT_BYTES 32
#define CHECKSUM_START 0xEF
#define BLOCK_BYTES 16u

#define TEXT_OF(number) #number
#define AS_TEXT(number) TEXT_OF(number)

static const char LOCAL_FAULT[] = "can't be checked: there is no memory or engine for SHA-256 now";
static const char NO_DESCRIPTOR[] = "holds an image without an app descriptor";
static const char DAMAGED[] = "holds an image that is damaged: its checksums are not right";

_Static_assert(sizeof(((image_t *)0)->version) == DESCRIPTOR_TEXT_BYTES, "as the descriptor has it");
_Static_assert(sizeof(((image_t *)0)->project) == DESCRIPTOR_TEXT_BYTES, "as the descriptor has it");
_Static_assert(sizeof(((image_t *)0)->part) == DESCRIPTOR_BYTES, "the longest part that is kept");
_Static_assert(HEADER_BYTES + SEGMENT_HEADER_BYTES + DESCRIPTOR_BYTES == IMAGE_HEAD_BYTES, "the header says so");

/* The parts of an image in their order; between segments it goes back to a header. */
typedef enum { HEADER, SEGMENT_HEADER, DESCRIPTOR, DATA, PADDING, HASH } part_t;

static const struct {
    const char *name;
    uint16_t id;
} CHIPS[] = {
    {"esp32", 0x0000},    {"esp32s2", 0x0002}, {"esp32c3", 0x0005},       {"esp32s3", 0x0009},  {"esp32c2", 0x000C},
    {"esp32c6", 0x000D},  {"esp32h2", 0x0010}, {"esp32p4", 0x0012},       {"esp32c61", 0x0014}, {"esp32c5", 0x0017},
    {"esp32h21", 0x0019}, {"esp32h4", 0x001C}, {"host", IMAGE_CHIP_HOST},
};

static void expect(image_t *image, part_t part, uint32_t len_bytes)
{
    image->state = (uint8_t)part;
    image->left_bytes = len_bytes;
    image->part_len_bytes = 0;
}

/* The hash at the end has nothing of itself in it. */
static bool body_is_hashed(const image_t *image)
{
    return image->state != HASH;
}

/* What was under way is given up, so that whoever hears that it is none may forget about it. */
static void end(image_t *image, const port_crypto_t *crypto, const char *wrong)
{
    if (body_is_hashed(image)) {
        (void)crypto->sha256_finish(crypto->ctx, &image->body_hash, NULL);
    }
    (void)crypto->sha256_finish(crypto->ctx, &image->file_hash, NULL);
    image->status = wrong == LOCAL_FAULT ? IMAGE_LOCAL_FAULT : IMAGE_NONE;
    image->wrong = wrong;
}

/* ---- What each part says: NULL, or what is wrong with it */

static void expect_next_segment(image_t *image)
{
    if (image->segments_left > 0) {
        expect(image, SEGMENT_HEADER, SEGMENT_HEADER_BYTES);
    } else {
        expect(image, PADDING, BLOCK_BYTES - image->len_bytes % BLOCK_BYTES);
    }
}

static void expect_data(image_t *image, uint32_t len_bytes)
{
    if (len_bytes > 0) {
        expect(image, DATA, len_bytes);
    } else {
        expect_next_segment(image);
    }
}

static const char *take_header(image_t *image)
{
    const uint8_t *header = image->part;
    if (header[0] != HEADER_MAGIC) {
        return "holds no image";
    }
    if (header[HEADER_SEGMENTS] == 0 || header[HEADER_SEGMENTS] > IMAGE_MAX_SEGMENTS ||
        header[HEADER_HASH_APPENDED] != 1) {
        return "holds an image of another form: 1 to " AS_TEXT(IMAGE_MAX_SEGMENTS) " segments and a hash are expected";
    }
    image->chip_id = le_get16(header + HEADER_CHIP);
    image->segment_count = image->segments_left = header[HEADER_SEGMENTS];
    expect_next_segment(image);
    return NULL;
}

static const char *take_segment_header(image_t *image)
{
    uint32_t len_bytes = le_get32(image->part + SEGMENT_LENGTH);
    image->segments_left--;
    image->last_segment_offset_bytes = image->len_bytes;
    image->last_segment_len_bytes = len_bytes;
    if (len_bytes > IMAGE_MAX_BYTES - image->len_bytes) {
        return "holds an image with a segment that is too long";
    }
    if (image->head_known) {
        expect_data(image, len_bytes);
        return NULL;
    }
    if (len_bytes < DESCRIPTOR_BYTES) {
        return NO_DESCRIPTOR;
    }
    expect(image, DESCRIPTOR, DESCRIPTOR_BYTES);
    return NULL;
}

/* It goes into logs and reports, which come before any signature. */
static bool take_text(const uint8_t *from, char *out)
{
    for (size_t i = 0; i < DESCRIPTOR_TEXT_BYTES; i++) {
        out[i] = (char)from[i];
        if (from[i] == 0) {
            return true;
        }
        if (!ascii_is_printable(from[i])) {
            break;
        }
    }
    return false;
}

static const char *take_descriptor(image_t *image)
{
    const uint8_t *descriptor = image->part;
    if (le_get32(descriptor) != DESCRIPTOR_MAGIC || !take_text(descriptor + DESCRIPTOR_VERSION, image->version) ||
        !take_text(descriptor + DESCRIPTOR_PROJECT, image->project)) {
        return NO_DESCRIPTOR;
    }
    image->secure_version = le_get32(descriptor + DESCRIPTOR_SECURE_VERSION);
    image->head_known = true;
    expect_data(image, image->last_segment_len_bytes - DESCRIPTOR_BYTES);
    return NULL;
}

static const char *check_checksum(image_t *image, const port_crypto_t *crypto)
{
    if (image->part[0] != image->checksum) {
        return DAMAGED;
    }
    expect(image, HASH, SHA256_BYTES);
    return crypto->sha256_finish(crypto->ctx, &image->body_hash, image->sha256) ? NULL : LOCAL_FAULT;
}

static const char *check_hash(image_t *image, const port_crypto_t *crypto)
{
    if (memcmp(image->part, image->sha256, SHA256_BYTES) != 0) {
        return DAMAGED;
    }
    bool hashed = crypto->sha256_finish(crypto->ctx, &image->file_hash, image->sha256);
    image->status = hashed ? IMAGE_WHOLE : IMAGE_LOCAL_FAULT;
    image->wrong = hashed ? NULL : LOCAL_FAULT;
    return NULL;
}

/* Of a part that is all there. */
static const char *take_part(image_t *image, const port_crypto_t *crypto)
{
    switch ((part_t)image->state) {
    case HEADER:
        return take_header(image);
    case SEGMENT_HEADER:
        return take_segment_header(image);
    case DESCRIPTOR:
        return take_descriptor(image);
    case DATA:
        expect_next_segment(image);
        break;
    case PADDING:
        return check_checksum(image, crypto);
    case HASH:
        return check_hash(image, crypto);
    }
    return NULL;
}

/* ---- Bytes */

static bool add_to_hashes(image_t *image, const port_crypto_t *crypto, const uint8_t *data, uint32_t len_bytes)
{
    return (!body_is_hashed(image) || crypto->sha256_update(crypto->ctx, &image->body_hash, data, len_bytes)) &&
           crypto->sha256_update(crypto->ctx, &image->file_hash, data, len_bytes);
}

static void add_to_checksum(image_t *image, const uint8_t *data, uint32_t len_bytes)
{
    uint8_t checksum = image->checksum;
    for (uint32_t i = 0; i < len_bytes; i++) {
        checksum ^= data[i];
    }
    image->checksum = checksum;
}

/* Of what is to be understood all, of the padding its last byte, of data nothing. */
static void keep(image_t *image, const uint8_t *data, uint32_t len_bytes)
{
    if (image->state == PADDING) {
        image->part[0] = data[len_bytes - 1];
    } else if (image->state != DATA) {
        memcpy(image->part + image->part_len_bytes, data, len_bytes);
        image->part_len_bytes += len_bytes;
    }
}

static void take_some(image_t *image, const port_crypto_t *crypto, const uint8_t *data, uint32_t len_bytes)
{
    const char *wrong = LOCAL_FAULT;
    if (add_to_hashes(image, crypto, data, len_bytes)) {
        if (image->state == DATA || image->state == DESCRIPTOR) {
            add_to_checksum(image, data, len_bytes);
        }
        keep(image, data, len_bytes);
        image->len_bytes += len_bytes;
        image->left_bytes -= len_bytes;
        wrong = image->left_bytes == 0 ? take_part(image, crypto) : NULL;
    }
    if (wrong != NULL) {
        end(image, crypto, wrong);
    }
}

image_status_t image_begin(image_t *image, const port_crypto_t *crypto)
{
    *image = (image_t){.status = IMAGE_LOCAL_FAULT, .wrong = LOCAL_FAULT, .checksum = CHECKSUM_START};
    expect(image, HEADER, HEADER_BYTES);
    if (!crypto->sha256_start(crypto->ctx, &image->body_hash)) {
        return image->status;
    }
    if (!crypto->sha256_start(crypto->ctx, &image->file_hash)) {
        (void)crypto->sha256_finish(crypto->ctx, &image->body_hash, NULL);
        return image->status;
    }
    image->status = IMAGE_MORE;
    image->wrong = NULL;
    return image->status;
}

image_status_t image_take(image_t *image, const port_crypto_t *crypto, const uint8_t *data, size_t len_bytes)
{
    while (image->status == IMAGE_MORE && len_bytes > 0) {
        uint32_t some_bytes = len_bytes < image->left_bytes ? (uint32_t)len_bytes : image->left_bytes;
        take_some(image, crypto, data, some_bytes);
        data += some_bytes;
        len_bytes -= some_bytes;
    }
    return image->status;
}

void image_give_up(image_t *image, const port_crypto_t *crypto)
{
    if (image->status == IMAGE_MORE) {
        end(image, crypto, "holds an image that is cut short");
    }
}

const char *image_wrong(const image_t *image)
{
    return image->wrong != NULL ? image->wrong : "";
}

bool image_chip_id(const char *name, uint16_t *out)
{
    for (size_t i = 0; i < sizeof(CHIPS) / sizeof(CHIPS[0]); i++) {
        if (strcmp(CHIPS[i].name, name) == 0) {
            *out = CHIPS[i].id;
            return true;
        }
    }
    return false;
}

const char *image_chip_name(uint16_t chip_id)
{
    for (size_t i = 0; i < sizeof(CHIPS) / sizeof(CHIPS[0]); i++) {
        if (CHIPS[i].id == chip_id) {
            return CHIPS[i].name;
        }
    }
    return NULL;
}
