#include "host_image.h"

#include <openssl/evp.h>
#include <string.h>

#include "../../../core/le.h"

#define HEADER_BYTES 24u
#define HEADER_MAGIC 0xE9
#define HEADER_SEGMENTS 1
#define HEADER_CHIP 12
#define HEADER_HASH_APPENDED 23
#define SEGMENT_HEADER_BYTES 8u
#define SEGMENTS 2u
#define DESCRIPTOR_BYTES 256u
#define DESCRIPTOR_MAGIC 0xABCD5432u
#define DESCRIPTOR_SECURE_VERSION 4
#define DESCRIPTOR_VERSION 16
#define DESCRIPTOR_PROJECT 48
#define CHECKSUM_START 0xEF
#define BLOCK_BYTES 16u
#define CHUNK_BYTES 4096u

#define CAN_NOT_BE_READ "can't be read"

typedef struct {
    const port_flash_t *slot;
    EVP_MD_CTX *hash;
    uint32_t at_bytes;
    uint8_t checksum;
} reader_t;

/* The next bytes, which count for the hash. */
static bool take(reader_t *reader, uint8_t *out, uint32_t len_bytes)
{
    if (len_bytes > reader->slot->size_bytes - reader->at_bytes ||
        !reader->slot->read(reader->slot->ctx, reader->at_bytes, out, len_bytes) ||
        EVP_DigestUpdate(reader->hash, out, len_bytes) != 1) {
        return false;
    }
    reader->at_bytes += len_bytes;
    return true;
}

/* What a segment holds also counts for the checksum. */
static bool take_data(reader_t *reader, uint8_t *out, uint32_t len_bytes)
{
    if (!take(reader, out, len_bytes)) {
        return false;
    }
    for (uint32_t i = 0; i < len_bytes; i++) {
        reader->checksum ^= out[i];
    }
    return true;
}

static const char *take_header(reader_t *reader)
{
    uint8_t header[HEADER_BYTES];
    if (!take(reader, header, sizeof(header))) {
        return CAN_NOT_BE_READ;
    }
    if (header[0] != HEADER_MAGIC) {
        return "holds no image";
    }
    if (le_get16(header + HEADER_CHIP) != HOST_IMAGE_CHIP_ID) {
        return "holds an image for a chip, not for a host";
    }
    if (header[HEADER_SEGMENTS] != SEGMENTS || header[HEADER_HASH_APPENDED] != 1) {
        return "holds an image of another form: two segments and a hash are expected";
    }
    return NULL;
}

static bool take_segment_header(reader_t *reader, uint32_t *len_bytes)
{
    uint8_t header[SEGMENT_HEADER_BYTES];
    if (!take(reader, header, sizeof(header))) {
        return false;
    }
    *len_bytes = le_get32(header + 4);
    return *len_bytes <= reader->slot->size_bytes - reader->at_bytes;
}

static const char *take_descriptor(reader_t *reader, host_image_t *out)
{
    uint8_t bytes[DESCRIPTOR_BYTES];
    uint32_t len_bytes = 0;
    if (!take_segment_header(reader, &len_bytes) || len_bytes != sizeof(bytes) ||
        !take_data(reader, bytes, sizeof(bytes)) || le_get32(bytes) != DESCRIPTOR_MAGIC) {
        return "holds an image without an app descriptor";
    }
    out->secure_version = le_get32(bytes + DESCRIPTOR_SECURE_VERSION);
    memcpy(out->version, bytes + DESCRIPTOR_VERSION, HOST_IMAGE_TEXT_MAX_CHARS);
    memcpy(out->project, bytes + DESCRIPTOR_PROJECT, HOST_IMAGE_TEXT_MAX_CHARS);
    return NULL;
}

static const char *take_program(reader_t *reader, host_image_t *out)
{
    uint8_t chunk[CHUNK_BYTES];
    if (!take_segment_header(reader, &out->program_len_bytes) || out->program_len_bytes == 0) {
        return "holds an image that is cut short";
    }
    out->program_offset_bytes = reader->at_bytes;
    for (uint32_t left_bytes = out->program_len_bytes; left_bytes > 0;) {
        uint32_t len_bytes = left_bytes < sizeof(chunk) ? left_bytes : (uint32_t)sizeof(chunk);
        if (!take_data(reader, chunk, len_bytes)) {
            return CAN_NOT_BE_READ;
        }
        left_bytes -= len_bytes;
    }
    return NULL;
}

static const char *check_end(reader_t *reader, host_image_t *out)
{
    uint8_t end[BLOCK_BYTES];
    uint8_t said[HOST_IMAGE_HASH_BYTES], found[HOST_IMAGE_HASH_BYTES];
    uint32_t end_bytes = BLOCK_BYTES - reader->at_bytes % BLOCK_BYTES;
    if (!take(reader, end, end_bytes) || sizeof(said) > reader->slot->size_bytes - reader->at_bytes ||
        !reader->slot->read(reader->slot->ctx, reader->at_bytes, said, sizeof(said)) ||
        EVP_DigestFinal_ex(reader->hash, found, NULL) != 1) {
        return "holds an image that is cut short";
    }
    if (end[end_bytes - 1] != reader->checksum || memcmp(said, found, sizeof(said)) != 0) {
        return "holds an image that is damaged: its checksums are not right";
    }
    out->len_bytes = reader->at_bytes + HOST_IMAGE_HASH_BYTES;
    return NULL;
}

const char *host_image_check(const port_flash_t *slot, host_image_t *out)
{
    reader_t reader = {.slot = slot, .hash = EVP_MD_CTX_new(), .checksum = CHECKSUM_START};
    const char *wrong = CAN_NOT_BE_READ;
    *out = (host_image_t){0};
    if (reader.hash != NULL && EVP_DigestInit_ex(reader.hash, EVP_sha256(), NULL) == 1) {
        wrong = take_header(&reader);
        wrong = wrong == NULL ? take_descriptor(&reader, out) : wrong;
        wrong = wrong == NULL ? take_program(&reader, out) : wrong;
        wrong = wrong == NULL ? check_end(&reader, out) : wrong;
    }
    EVP_MD_CTX_free(reader.hash);
    return wrong;
}
