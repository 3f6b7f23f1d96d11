/* A log of small records in a ring of flash sectors. It knows nothing of what is in them: that is the outbox's.
 *
 * A sector: a header of 24 bytes (magic, format, generation, sequence number of its first record, boot, CRC-32), then
 * records, each a header of 20 bytes (kind, mark, length of the body, sequence number, boot, CRC-32 of the body, CRC-32
 * of the header but the mark) and its body, filled up to 4 bytes. All little endian.
 *
 * Each sector that is opened counts one generation, also one that then turns out bad. So a sector belongs to the log
 * only if its generation is the head's less its distance in the ring: what a sector that could not be erased still
 * says from a former round is never taken for new. Mounting writes nothing: a device that can't stay up wears nothing.
 *
 * Bounds: a call reads at most the headers of all sectors (flash_log_mount() twice) and what two sectors hold. Only
 * flash_log_next() goes on over sectors in which it finds nothing.
 */
#pragma once

#include "../port/port_flash.h"
#include "bounds.h"

#define FLASH_LOG_SECTOR_HEADER_BYTES 24u
#define FLASH_LOG_RECORD_HEADER_BYTES 20u
#define FLASH_LOG_KINDS 3u /* kinds are 1 to this */
/* Sequence numbers that a sector can use up: of records without a body, and of the two writes that may fail. */
#define FLASH_LOG_SECTOR_MAX_NUMBERS                                                                                   \
    ((OUTBOX_SECTOR_BYTES - FLASH_LOG_SECTOR_HEADER_BYTES) / FLASH_LOG_RECORD_HEADER_BYTES + 2u)

typedef struct {
    const port_flash_t *flash;
    uint32_t sectors;
    uint32_t head;         /* the sector that is written */
    uint32_t generation;   /* of the head */
    uint32_t used;         /* sectors from the oldest to the head; 0: nothing is there yet */
    uint32_t offset_bytes; /* in the head, where the next record goes; OUTBOX_SECTOR_BYTES: it takes no more */
    uint32_t bad;          /* writes and erases that failed since mount */
    bool head_failed;      /* a write to the head failed once: after the second one it takes no more */
} flash_log_t;

/* Where in the log: stays good while the log grows; of a sector that is gone it becomes the oldest that is there. */
typedef struct {
    uint32_t generation;
    uint32_t offset_bytes;
} flash_log_place_t;

typedef struct {
    flash_log_place_t place;
    uint32_t seq, boot, body_crc;
    uint16_t len_bytes;
    uint8_t kind;
    bool marked;
} flash_log_record_t;

typedef struct {
    uint32_t next_seq; /* one behind the newest record of a kind that has its own number */
    uint32_t boot;     /* of the newest record; only if log->used is not 0 */
} flash_log_end_t;

typedef enum { FLASH_LOG_OK, FLASH_LOG_END, FLASH_LOG_DAMAGED, FLASH_LOG_FULL, FLASH_LOG_FAILED } flash_log_status_t;

/* Sequence numbers go round at 2^32: what is less than half of it behind is before (RFC 1982). */
static inline bool flash_log_is_before(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b) < 0;
}

/* `shared_kind`: records of it carry the number of the next one that has its own. False: the area is too small, or
 * nothing of it can be read. */
bool flash_log_mount(flash_log_t *log, const port_flash_t *flash, uint8_t shared_kind, flash_log_end_t *end);

/* Reading. A place moves behind what was read. */
flash_log_place_t flash_log_oldest(const flash_log_t *log);
flash_log_place_t flash_log_sector_of(const flash_log_t *log, uint32_t seq); /* the last one that begins at or before */
/* The first number that `generation` or a later one begins with; false: there is none. */
bool flash_log_first_seq(const flash_log_t *log, uint32_t generation, uint32_t *seq);
/* OK, END; FAILED: the flash can't be read here, the place stays. Passes over what is damaged. */
flash_log_status_t flash_log_next(const flash_log_t *log, flash_log_place_t *place, flash_log_record_t *out);
/* OK, DAMAGED, FAILED. `out` has room for record->len_bytes. */
flash_log_status_t flash_log_body(const flash_log_t *log, const flash_log_record_t *record, uint8_t *out);
void flash_log_skip_sector(flash_log_place_t *place);

/* Writing. `bytes`: room for the header, then the body; rounded up to 4 it stays within its array.
 * OK: it is on the medium, read back. FULL: open a sector first. FAILED: it may be there in part, or whole: its number
 * is used up. */
flash_log_status_t flash_log_append(flash_log_t *log, uint8_t kind, uint32_t seq, uint32_t boot, uint8_t *bytes,
                                    size_t body_len_bytes);
/* The next sector of the ring: what it held is gone. False: it could not be erased or written; the next call goes on
 * behind it. */
bool flash_log_open(flash_log_t *log, uint32_t first_seq, uint32_t boot);
bool flash_log_mark(const flash_log_t *log, const flash_log_record_t *record); /* one byte */
