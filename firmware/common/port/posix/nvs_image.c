#include "nvs_image.h"

#include <string.h>

#include "../../core/crc32.h"
#include "../../core/le.h"

#define CRC_START 0xFFFFFFFFu

/* A page: header, a bitmap of two bits an entry, entries. */
#define HEADER_BYTES 32
#define HEADER_SEQUENCE 4
#define HEADER_VERSION 8
#define HEADER_CRC 28
#define VERSION_2 0xFE
#define BITMAP_OFFSET 32
#define ENTRIES_OFFSET 64
#define ENTRY_BYTES 32
#define ENTRIES 126

/* States of a page: bits that go from 1 to 0. */
#define PAGE_ACTIVE 0xFFFFFFFEu
#define PAGE_FULL 0xFFFFFFFCu
#define PAGE_FREEING 0xFFFFFFF8u
#define PAGE_BLANK 0xFFFFFFFFu
#define ENTRY_WRITTEN 2
#define ENTRY_ILLEGAL 1

/* An entry. */
#define ENTRY_NAMESPACE 0
#define ENTRY_TYPE 1
#define ENTRY_SPAN 2
#define ENTRY_CHUNK 3
#define ENTRY_CRC 4
#define ENTRY_KEY 8
#define ENTRY_DATA 24
#define KEY_BYTES 16
#define NAMESPACES 0 /* the namespace of namespaces' names */
#define CHUNK_ANY 0xFF

typedef enum {
    TYPE_U8 = 0x01,
    TYPE_U16 = 0x02,
    TYPE_U32 = 0x04,
    TYPE_U64 = 0x08,
    TYPE_I8 = 0x11,
    TYPE_I16 = 0x12,
    TYPE_I32 = 0x14,
    TYPE_I64 = 0x18,
    TYPE_TEXT = 0x21,
    TYPE_BLOB_CHUNK = 0x42,
    TYPE_BLOB_INDEX = 0x48,
} type_t;

typedef struct {
    const uint8_t *entry; /* NULL: not found */
    uint32_t sequence;    /* of its page */
} found_t;

typedef struct {
    uint8_t namespace_index;
    bool chunk; /* a piece of a blob, with this index; otherwise a value, or a blob's index */
    uint8_t chunk_index;
    const char *key;
} wanted_t;

typedef struct {
    bool damaged; /* something failed its CRC: what is not found may have been there */
    uint32_t pages;
} survey_t;

static bool page_is_good(const uint8_t *page, survey_t *survey)
{
    uint32_t state = le_get32(page);
    if (state == PAGE_BLANK) {
        return false;
    }
    if ((state != PAGE_ACTIVE && state != PAGE_FULL && state != PAGE_FREEING) || page[HEADER_VERSION] != VERSION_2 ||
        le_get32(page + HEADER_CRC) != crc32_add(CRC_START, page + HEADER_SEQUENCE, HEADER_CRC - HEADER_SEQUENCE)) {
        survey->damaged = true;
        return false;
    }
    survey->pages++;
    return true;
}

static uint32_t entry_state(const uint8_t *page, uint32_t index)
{
    return (uint32_t)page[BITMAP_OFFSET + index / 4] >> (index % 4 * 2) & 3u;
}

static uint32_t entry_crc(const uint8_t *entry)
{
    uint32_t crc = crc32_add(CRC_START, entry, ENTRY_CRC);
    return crc32_add(crc, entry + ENTRY_KEY, ENTRY_BYTES - ENTRY_KEY);
}

/* How many entries the one at `index` takes; 0: it is damaged. */
static uint32_t span_of(const uint8_t *page, uint32_t index)
{
    const uint8_t *entry = page + ENTRIES_OFFSET + index * ENTRY_BYTES;
    uint32_t span = entry[ENTRY_SPAN];
    if (le_get32(entry + ENTRY_CRC) != entry_crc(entry) || span == 0 || span > ENTRIES - index) {
        return 0;
    }
    for (uint32_t i = 1; i < span; i++) {
        if (entry_state(page, index + i) != ENTRY_WRITTEN) {
            return 0;
        }
    }
    return span;
}

static bool matches(const uint8_t *entry, const wanted_t *wanted)
{
    bool is_chunk = entry[ENTRY_TYPE] == TYPE_BLOB_CHUNK;
    return entry[ENTRY_NAMESPACE] == wanted->namespace_index && is_chunk == wanted->chunk &&
           (!is_chunk || entry[ENTRY_CHUNK] == wanted->chunk_index) && entry[ENTRY_KEY + KEY_BYTES - 1] == '\0' &&
           strcmp((const char *)entry + ENTRY_KEY, wanted->key) == 0;
}

/* The newest one: NVS writes the new value before it marks the old one erased, and power may go in between. */
static found_t find(const nvs_image_t *image, const wanted_t *wanted, survey_t *survey)
{
    found_t found = {0};
    for (size_t at = 0; at < image->len_bytes; at += NVS_IMAGE_PAGE_BYTES) {
        const uint8_t *page = image->bytes + at;
        if (!page_is_good(page, survey)) {
            continue;
        }
        uint32_t sequence = le_get32(page + HEADER_SEQUENCE);
        for (uint32_t index = 0; index < ENTRIES;) {
            uint32_t span = 1;
            survey->damaged = survey->damaged || entry_state(page, index) == ENTRY_ILLEGAL;
            if (entry_state(page, index) == ENTRY_WRITTEN) {
                span = span_of(page, index);
                const uint8_t *entry = page + ENTRIES_OFFSET + index * ENTRY_BYTES;
                if (span > 0 && matches(entry, wanted) && (found.entry == NULL || sequence >= found.sequence)) {
                    found = (found_t){.entry = entry, .sequence = sequence};
                }
                if (span == 0) {
                    survey->damaged = true;
                    span = 1;
                }
            }
            index += span;
        }
    }
    return found;
}

/* What a text or a piece of a blob holds: behind its entry, within its span. NULL: damaged. */
static const uint8_t *data_of(const uint8_t *entry, size_t *len_bytes)
{
    *len_bytes = le_get16(entry + ENTRY_DATA);
    if (*len_bytes > (entry[ENTRY_SPAN] - 1u) * ENTRY_BYTES) {
        return NULL;
    }
    const uint8_t *data = entry + ENTRY_BYTES;
    return le_get32(entry + ENTRY_DATA + 4) == crc32_add(CRC_START, data, *len_bytes) ? data : NULL;
}

static kv_status_t copy(const uint8_t *data, size_t value_bytes, void *out, size_t cap_bytes, size_t *len_bytes)
{
    *len_bytes = value_bytes;
    if (value_bytes > cap_bytes) {
        return KV_TOO_SMALL;
    }
    if (value_bytes > 0) {
        memcpy(out, data, value_bytes);
    }
    return KV_OK;
}

static kv_status_t get_text(const uint8_t *entry, void *out, size_t cap_bytes, size_t *len_bytes)
{
    size_t text_bytes;
    const uint8_t *text = data_of(entry, &text_bytes);
    if (text == NULL || text_bytes == 0 || text[text_bytes - 1] != '\0') {
        return KV_FAILED;
    }
    return copy(text, text_bytes - 1, out, cap_bytes, len_bytes);
}

static kv_status_t get_blob(const nvs_image_t *image, const uint8_t *entry, const char *key, void *out,
                            size_t cap_bytes, size_t *len_bytes)
{
    size_t size_bytes = le_get32(entry + ENTRY_DATA);
    uint32_t chunks = entry[ENTRY_DATA + 4];
    uint32_t first = entry[ENTRY_DATA + 5];
    size_t done = 0;
    if (size_bytes > image->len_bytes || first + chunks > CHUNK_ANY) {
        return KV_FAILED;
    }
    *len_bytes = size_bytes;
    if (size_bytes > cap_bytes) {
        return KV_TOO_SMALL;
    }
    for (uint32_t i = 0; i < chunks; i++) {
        survey_t survey = {0};
        wanted_t wanted = {image->namespace_index, true, (uint8_t)(first + i), key};
        found_t found = find(image, &wanted, &survey);
        size_t chunk_bytes = 0;
        const uint8_t *data = found.entry != NULL ? data_of(found.entry, &chunk_bytes) : NULL;
        if (data == NULL || chunk_bytes > size_bytes - done) {
            return KV_FAILED;
        }
        if (chunk_bytes > 0) {
            memcpy((uint8_t *)out + done, data, chunk_bytes);
        }
        done += chunk_bytes;
    }
    return done == size_bytes ? KV_OK : KV_FAILED;
}

static kv_status_t get(void *ctx, const char *key, void *out, size_t cap_bytes, size_t *len_bytes)
{
    const nvs_image_t *image = ctx;
    survey_t survey = {0};
    wanted_t wanted = {.namespace_index = image->namespace_index, .key = key};
    const uint8_t *entry = find(image, &wanted, &survey).entry;
    if (entry == NULL) {
        return survey.damaged ? KV_FAILED : KV_MISSING;
    }
    switch ((type_t)entry[ENTRY_TYPE]) {
    case TYPE_U8:
    case TYPE_I8:
    case TYPE_U16:
    case TYPE_I16:
    case TYPE_U32:
    case TYPE_I32:
    case TYPE_U64:
    case TYPE_I64:
        return copy(entry + ENTRY_DATA, entry[ENTRY_TYPE] & 0x0Fu, out, cap_bytes, len_bytes);
    case TYPE_TEXT:
        return get_text(entry, out, cap_bytes, len_bytes);
    case TYPE_BLOB_INDEX:
        return get_blob(image, entry, key, out, cap_bytes, len_bytes);
    case TYPE_BLOB_CHUNK:
        break;
    }
    return KV_FAILED; /* a type that version 2 does not have */
}

static kv_status_t set(void *ctx, const char *key, const void *value, size_t len_bytes)
{
    (void)ctx;
    (void)key;
    (void)value;
    (void)len_bytes;
    return KV_FAILED;
}

static kv_status_t erase(void *ctx, const char *key)
{
    (void)ctx;
    (void)key;
    return KV_FAILED;
}

nvs_image_status_t nvs_image_init(nvs_image_t *image, const uint8_t *bytes, size_t len_bytes, const char *name_space)
{
    *image = (nvs_image_t){.bytes = bytes, .len_bytes = len_bytes};
    image->port = (port_kv_t){.ctx = image, .get = get, .set = set, .erase = erase};
    if (len_bytes == 0 || len_bytes % NVS_IMAGE_PAGE_BYTES != 0 || len_bytes > NVS_IMAGE_MAX_BYTES) {
        image->len_bytes = 0;
        return NVS_IMAGE_SIZE;
    }
    survey_t survey = {0};
    wanted_t wanted = {.namespace_index = NAMESPACES, .key = name_space};
    const uint8_t *entry = find(image, &wanted, &survey).entry;
    if (entry != NULL && entry[ENTRY_TYPE] == TYPE_U8) {
        image->namespace_index = entry[ENTRY_DATA];
        return NVS_IMAGE_OK;
    }
    image->len_bytes = 0; /* else a key of the names' own namespace would be found */
    return survey.pages == 0 ? NVS_IMAGE_NO_PAGE : NVS_IMAGE_NO_NAMESPACE;
}
