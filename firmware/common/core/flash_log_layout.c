#include "flash_log_layout.h"

#include "crc32.h"
#include "le.h"

#define MAGIC 0x4F534454u /* "TDSO" */
#define FORMAT 1u
/* Each generation is an erase: no flash lives for so many. So they need no arithmetic that goes round. */
#define GENERATION_MAX INT32_MAX
/* A mark is a byte that is programmed to 0. A bit that rots must not finish what nobody sent: most must say so. */
#define MARK_MIN_BITS 6u

/* Where things are. */
#define SECTOR_FORMAT 4
#define SECTOR_GENERATION 8
#define SECTOR_FIRST_SEQ 12
#define SECTOR_BOOT 16
#define SECTOR_CRC 20
#define RECORD_LEN 2
#define RECORD_SEQ 4
#define RECORD_BOOT 8
#define RECORD_BODY_CRC 12
#define RECORD_CRC 16

_Static_assert(FLASH_LOG_SECTOR_HEADER_BYTES + FLASH_LOG_RECORD_HEADER_BYTES + RECORD_MAX_BYTES <= OUTBOX_SECTOR_BYTES,
               "the longest record fits an empty sector");
_Static_assert(RECORD_MAX_BYTES <= UINT16_MAX, "a length takes two bytes");

uint32_t flash_log_rounded_up(uint32_t bytes)
{
    return (bytes + FLASH_LOG_ALIGNMENT_BYTES - 1) / FLASH_LOG_ALIGNMENT_BYTES * FLASH_LOG_ALIGNMENT_BYTES;
}

bool flash_log_is_erased(const uint8_t *bytes, size_t len_bytes)
{
    for (size_t i = 0; i < len_bytes; i++) {
        if (bytes[i] != FLASH_LOG_ERASED) {
            return false;
        }
    }
    return true;
}

bool flash_log_is_marked(uint8_t mark)
{
    uint32_t programmed = 0;
    for (uint32_t bit = 1; bit <= 0x80; bit <<= 1) {
        if ((mark & bit) == 0) {
            programmed++;
        }
    }
    return programmed >= MARK_MIN_BITS;
}

bool flash_log_parse_sector(const uint8_t bytes[FLASH_LOG_SECTOR_HEADER_BYTES], flash_log_sector_t *out)
{
    if (le_get32(bytes) != MAGIC || le_get32(bytes + SECTOR_FORMAT) != FORMAT ||
        le_get32(bytes + SECTOR_GENERATION) > GENERATION_MAX ||
        le_get32(bytes + SECTOR_CRC) != crc32_add(0, bytes, SECTOR_CRC)) {
        return false;
    }
    *out = (flash_log_sector_t){.generation = le_get32(bytes + SECTOR_GENERATION),
                                .first_seq = le_get32(bytes + SECTOR_FIRST_SEQ),
                                .boot = le_get32(bytes + SECTOR_BOOT)};
    return true;
}

void flash_log_build_sector(const flash_log_sector_t *sector, uint8_t bytes[FLASH_LOG_SECTOR_HEADER_BYTES])
{
    le_put32(bytes, MAGIC);
    le_put32(bytes + SECTOR_FORMAT, FORMAT);
    le_put32(bytes + SECTOR_GENERATION, sector->generation);
    le_put32(bytes + SECTOR_FIRST_SEQ, sector->first_seq);
    le_put32(bytes + SECTOR_BOOT, sector->boot);
    le_put32(bytes + SECTOR_CRC, crc32_add(0, bytes, SECTOR_CRC));
}

/* Of all but the mark, which is programmed later. */
static uint32_t record_crc(const uint8_t *bytes)
{
    uint32_t crc = crc32_add(0, bytes, FLASH_LOG_MARK_OFFSET);
    return crc32_add(crc, bytes + FLASH_LOG_MARK_OFFSET + 1, RECORD_CRC - FLASH_LOG_MARK_OFFSET - 1);
}

bool flash_log_parse_record(const uint8_t bytes[FLASH_LOG_RECORD_HEADER_BYTES], uint32_t offset_bytes,
                            flash_log_record_t *out)
{
    uint16_t len_bytes = le_get16(bytes + RECORD_LEN);
    if (bytes[0] == 0 || bytes[0] > FLASH_LOG_KINDS || len_bytes > RECORD_MAX_BYTES ||
        offset_bytes + FLASH_LOG_RECORD_HEADER_BYTES + len_bytes > OUTBOX_SECTOR_BYTES ||
        le_get32(bytes + RECORD_CRC) != record_crc(bytes)) {
        return false;
    }
    out->kind = bytes[0];
    out->marked = flash_log_is_marked(bytes[FLASH_LOG_MARK_OFFSET]);
    out->len_bytes = len_bytes;
    out->seq = le_get32(bytes + RECORD_SEQ);
    out->boot = le_get32(bytes + RECORD_BOOT);
    out->body_crc = le_get32(bytes + RECORD_BODY_CRC);
    return true;
}

void flash_log_build_record(const flash_log_record_t *record, uint8_t bytes[FLASH_LOG_RECORD_HEADER_BYTES])
{
    bytes[0] = record->kind;
    bytes[FLASH_LOG_MARK_OFFSET] = FLASH_LOG_ERASED;
    le_put16(bytes + RECORD_LEN, record->len_bytes);
    le_put32(bytes + RECORD_SEQ, record->seq);
    le_put32(bytes + RECORD_BOOT, record->boot);
    le_put32(bytes + RECORD_BODY_CRC, record->body_crc);
    le_put32(bytes + RECORD_CRC, record_crc(bytes));
}
