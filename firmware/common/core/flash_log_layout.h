/* What a flash log looks like on the medium (flash_log.h); private to flash_log*.c. Pure. */
#pragma once

#include "flash_log.h"

#define FLASH_LOG_ALIGNMENT_BYTES 4u
#define FLASH_LOG_ERASED 0xFFu
#define FLASH_LOG_MARK_OFFSET 1u

typedef struct {
    uint32_t generation, first_seq, boot;
} flash_log_sector_t;

uint32_t flash_log_rounded_up(uint32_t bytes);
bool flash_log_is_erased(const uint8_t *bytes, size_t len_bytes);
bool flash_log_is_marked(uint8_t mark);

/* False: it is none of this format, or damaged. */
bool flash_log_parse_sector(const uint8_t bytes[FLASH_LOG_SECTOR_HEADER_BYTES], flash_log_sector_t *out);
void flash_log_build_sector(const flash_log_sector_t *sector, uint8_t bytes[FLASH_LOG_SECTOR_HEADER_BYTES]);

/* All but the place. False also when a record at this offset would leave its sector. */
bool flash_log_parse_record(const uint8_t bytes[FLASH_LOG_RECORD_HEADER_BYTES], uint32_t offset_bytes,
                            flash_log_record_t *out);
void flash_log_build_record(const flash_log_record_t *record, uint8_t bytes[FLASH_LOG_RECORD_HEADER_BYTES]);
