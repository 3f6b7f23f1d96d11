#include "flash_log.h"

#include <string.h>

#include "crc32.h"
#include "flash_log_layout.h"

#define CHUNK_BYTES 64u
#define READ_TRIES 3u

_Static_assert(OUTBOX_SECTOR_BYTES % CHUNK_BYTES == 0, "a sector is read backwards in chunks");

static uint32_t sector_at(const flash_log_t *log, uint32_t generation)
{
    uint32_t distance = (log->generation - generation) % log->sectors;
    return (log->head + log->sectors - distance) % log->sectors;
}

/* A read that fails once must not cost what it would have found: a head that is overlooked is erased next. */
static bool read_at(const flash_log_t *log, uint32_t sector, uint32_t offset_bytes, void *out, size_t len_bytes)
{
    for (uint32_t tries = 0; tries < READ_TRIES; tries++) {
        if (log->flash->read(log->flash->ctx, sector * OUTBOX_SECTOR_BYTES + offset_bytes, out, len_bytes)) {
            return true;
        }
    }
    return false;
}

/* Writes, and believes what the medium says and not what the driver does. */
static bool write_at(const flash_log_t *log, uint32_t sector, uint32_t offset_bytes, const uint8_t *data,
                     size_t len_bytes)
{
    uint8_t found[CHUNK_BYTES];
    uint32_t at = sector * OUTBOX_SECTOR_BYTES + offset_bytes;
    if (!log->flash->write(log->flash->ctx, at, data, len_bytes)) {
        return false;
    }
    for (size_t done = 0; done < len_bytes; done += sizeof(found)) {
        size_t len = len_bytes - done < sizeof(found) ? len_bytes - done : sizeof(found);
        if (!read_at(log, sector, offset_bytes + (uint32_t)done, found, len) || memcmp(found, data + done, len) != 0) {
            return false;
        }
    }
    return true;
}

/* Behind the last byte of a sector that is programmed; 0: it is blank. */
static bool find_blank(const flash_log_t *log, uint32_t sector, uint32_t *offset_bytes)
{
    uint32_t end = OUTBOX_SECTOR_BYTES;
    while (end > 0) {
        uint8_t bytes[CHUNK_BYTES];
        if (!read_at(log, sector, end - CHUNK_BYTES, bytes, sizeof(bytes))) {
            return false;
        }
        for (uint32_t i = CHUNK_BYTES; i > 0; i--) {
            if (bytes[i - 1] != FLASH_LOG_ERASED) {
                *offset_bytes = flash_log_rounded_up(end - CHUNK_BYTES + i);
                return true;
            }
        }
        end -= CHUNK_BYTES;
    }
    *offset_bytes = 0;
    return true;
}

/* OK, DAMAGED: it is no header, FAILED. */
static flash_log_status_t read_sector_header(const flash_log_t *log, uint32_t sector, flash_log_sector_t *out)
{
    uint8_t bytes[FLASH_LOG_SECTOR_HEADER_BYTES];
    if (!read_at(log, sector, 0, bytes, sizeof(bytes))) {
        return FLASH_LOG_FAILED;
    }
    return flash_log_parse_sector(bytes, out) ? FLASH_LOG_OK : FLASH_LOG_DAMAGED;
}

/* The header of the sector that has this generation; DAMAGED also when it is another's. */
static flash_log_status_t read_header_of(const flash_log_t *log, uint32_t generation, flash_log_sector_t *out)
{
    flash_log_status_t status = read_sector_header(log, sector_at(log, generation), out);
    return status == FLASH_LOG_OK && out->generation != generation ? FLASH_LOG_DAMAGED : status;
}

/* OK, DAMAGED, FAILED: without a buffer for all of it. */
static flash_log_status_t check_body(const flash_log_t *log, const flash_log_record_t *record)
{
    uint8_t bytes[CHUNK_BYTES];
    uint32_t sector = sector_at(log, record->place.generation);
    uint32_t offset_bytes = record->place.offset_bytes + FLASH_LOG_RECORD_HEADER_BYTES;
    uint32_t crc = 0;
    for (uint32_t done = 0; done < record->len_bytes; done += CHUNK_BYTES) {
        uint32_t len = record->len_bytes - done < CHUNK_BYTES ? record->len_bytes - done : CHUNK_BYTES;
        if (!read_at(log, sector, offset_bytes + done, bytes, len)) {
            return FLASH_LOG_FAILED;
        }
        crc = crc32_add(crc, bytes, len);
    }
    return crc == record->body_crc ? FLASH_LOG_OK : FLASH_LOG_DAMAGED;
}

/* The record at or behind `place` in its sector, before `limit`. Where no header is, the next one is looked for: then
 * its body must be right too, and no more than a sector's bytes are read on that search. */
static flash_log_status_t next_in_sector(const flash_log_t *log, flash_log_place_t *place, uint32_t limit_bytes,
                                         flash_log_record_t *out)
{
    uint32_t sector = sector_at(log, place->generation);
    uint32_t offset_bytes = place->offset_bytes;
    uint32_t budget_bytes = OUTBOX_SECTOR_BYTES;
    bool searching = false;
    while (offset_bytes + FLASH_LOG_RECORD_HEADER_BYTES <= limit_bytes) {
        uint8_t bytes[FLASH_LOG_RECORD_HEADER_BYTES];
        if (!read_at(log, sector, offset_bytes, bytes, sizeof(bytes))) {
            return FLASH_LOG_FAILED;
        }
        out->place = (flash_log_place_t){.generation = place->generation, .offset_bytes = offset_bytes};
        if (flash_log_is_erased(bytes, sizeof(bytes))) {
            searching = true;
            offset_bytes += FLASH_LOG_RECORD_HEADER_BYTES;
            continue;
        }
        if (flash_log_parse_record(bytes, offset_bytes, out)) {
            flash_log_status_t status = FLASH_LOG_OK;
            if (searching) {
                if (out->len_bytes > budget_bytes) {
                    break;
                }
                budget_bytes -= out->len_bytes;
                status = check_body(log, out);
            }
            if (status == FLASH_LOG_OK) {
                place->offset_bytes =
                    offset_bytes + FLASH_LOG_RECORD_HEADER_BYTES + flash_log_rounded_up(out->len_bytes);
            }
            if (status != FLASH_LOG_DAMAGED) {
                return status;
            }
        }
        searching = true;
        offset_bytes += FLASH_LOG_ALIGNMENT_BYTES;
    }
    return FLASH_LOG_END;
}

void flash_log_skip_sector(flash_log_place_t *place)
{
    place->generation++;
    place->offset_bytes = 0;
}

static bool is_in_log(const flash_log_t *log, uint32_t generation)
{
    return log->generation - generation < log->used;
}

flash_log_place_t flash_log_oldest(const flash_log_t *log)
{
    return (flash_log_place_t){.generation = log->generation - log->used + 1};
}

flash_log_status_t flash_log_next(const flash_log_t *log, flash_log_place_t *place, flash_log_record_t *out)
{
    /* Not the one behind the head: there a reader waits for the next sector. */
    if (!is_in_log(log, place->generation) && place->generation != log->generation + 1) {
        *place = flash_log_oldest(log);
    }
    while (is_in_log(log, place->generation)) {
        uint32_t limit_bytes = place->generation == log->generation ? log->offset_bytes : OUTBOX_SECTOR_BYTES;
        flash_log_status_t status = FLASH_LOG_OK;
        if (place->offset_bytes == 0) {
            flash_log_sector_t header;
            status = read_header_of(log, place->generation, &header);
            if (status == FLASH_LOG_OK) {
                place->offset_bytes = FLASH_LOG_SECTOR_HEADER_BYTES;
            }
        }
        if (status == FLASH_LOG_OK) {
            status = next_in_sector(log, place, limit_bytes, out);
        }
        if (status == FLASH_LOG_OK || status == FLASH_LOG_FAILED) {
            return status;
        }
        if (place->generation == log->generation && log->offset_bytes < OUTBOX_SECTOR_BYTES) {
            place->offset_bytes = log->offset_bytes; /* what comes next comes here */
            return FLASH_LOG_END;
        }
        flash_log_skip_sector(place);
    }
    return FLASH_LOG_END;
}

flash_log_status_t flash_log_body(const flash_log_t *log, const flash_log_record_t *record, uint8_t *out)
{
    if (!read_at(log, sector_at(log, record->place.generation),
                 record->place.offset_bytes + FLASH_LOG_RECORD_HEADER_BYTES, out, record->len_bytes)) {
        return FLASH_LOG_FAILED;
    }
    return crc32_add(0, out, record->len_bytes) == record->body_crc ? FLASH_LOG_OK : FLASH_LOG_DAMAGED;
}

flash_log_place_t flash_log_sector_of(const flash_log_t *log, uint32_t seq)
{
    /* From the newest back: what is sent and done with is mostly new. */
    for (uint32_t distance = 0; distance < log->used; distance++) {
        flash_log_sector_t header;
        uint32_t generation = log->generation - distance;
        if (read_header_of(log, generation, &header) == FLASH_LOG_OK && !flash_log_is_before(seq, header.first_seq)) {
            return (flash_log_place_t){.generation = generation};
        }
    }
    return flash_log_oldest(log);
}

bool flash_log_first_seq(const flash_log_t *log, uint32_t generation, uint32_t *seq)
{
    for (; is_in_log(log, generation); generation++) {
        flash_log_sector_t header;
        if (read_header_of(log, generation, &header) == FLASH_LOG_OK) {
            *seq = header.first_seq;
            return true;
        }
    }
    return false;
}

/* The sector with the highest generation, and how far back others belong to it. */
static bool find_head(flash_log_t *log, flash_log_sector_t *head)
{
    uint32_t readable = 0;
    bool found = false;
    for (uint32_t sector = 0; sector < log->sectors; sector++) {
        flash_log_sector_t header;
        flash_log_status_t status = read_sector_header(log, sector, &header);
        readable += status != FLASH_LOG_FAILED ? 1 : 0;
        if (status == FLASH_LOG_OK && (!found || head->generation < header.generation)) {
            found = true;
            *head = header;
            log->head = sector;
        }
    }
    if (!found) {
        log->head = log->sectors - 1; /* the first sector to be opened is the area's first */
        return readable > 0;
    }
    log->generation = head->generation;
    for (uint32_t distance = 0; distance < log->sectors; distance++) {
        flash_log_sector_t header;
        if (read_header_of(log, log->generation - distance, &header) == FLASH_LOG_OK) {
            log->used = distance + 1;
        }
    }
    return true;
}

/* Where in the head to go on, and with which number. */
static bool find_end(flash_log_t *log, uint8_t shared_kind, flash_log_end_t *end)
{
    flash_log_place_t place = {.generation = log->generation, .offset_bytes = FLASH_LOG_SECTOR_HEADER_BYTES};
    flash_log_record_t record;
    flash_log_status_t status = next_in_sector(log, &place, OUTBOX_SECTOR_BYTES, &record);
    while (status == FLASH_LOG_OK) {
        end->boot = record.boot;
        end->next_seq = record.seq;
        /* Nobody was told that a record whose body is not whole is kept: its number is given once more. Unless it has a
         * mark: then it was whole, and the mark would finish the next one. */
        if (record.kind != shared_kind && (record.marked || check_body(log, &record) != FLASH_LOG_DAMAGED)) {
            end->next_seq++;
        }
        status = next_in_sector(log, &place, OUTBOX_SECTOR_BYTES, &record);
    }
    uint32_t blank_bytes = 0;
    if (status == FLASH_LOG_FAILED || !find_blank(log, log->head, &blank_bytes)) {
        return false;
    }
    /* What a torn write left there is never written over. */
    log->offset_bytes = blank_bytes > place.offset_bytes ? blank_bytes : place.offset_bytes;
    return true;
}

bool flash_log_mount(flash_log_t *log, const port_flash_t *flash, uint8_t shared_kind, flash_log_end_t *end)
{
    *log = (flash_log_t){.flash = flash, .offset_bytes = OUTBOX_SECTOR_BYTES};
    *end = (flash_log_end_t){.next_seq = 1};
    uint32_t sectors = flash->size_bytes / OUTBOX_SECTOR_BYTES;
    log->sectors = sectors < OUTBOX_MAX_SECTORS ? sectors : OUTBOX_MAX_SECTORS;
    flash_log_sector_t head = {0};
    if (log->sectors < 2 || !find_head(log, &head)) {
        return false;
    }
    if (log->used == 0) {
        return true;
    }
    *end = (flash_log_end_t){.next_seq = head.first_seq, .boot = head.boot};
    if (!find_end(log, shared_kind, end)) {
        /* It can't be read: whatever is in it, its numbers are not given again. */
        *end = (flash_log_end_t){.next_seq = head.first_seq + FLASH_LOG_SECTOR_MAX_NUMBERS, .boot = head.boot};
        log->offset_bytes = OUTBOX_SECTOR_BYTES;
    }
    return true;
}

flash_log_status_t flash_log_append(flash_log_t *log, uint8_t kind, uint32_t seq, uint32_t boot, uint8_t *bytes,
                                    size_t body_len_bytes)
{
    uint32_t len_bytes = FLASH_LOG_RECORD_HEADER_BYTES + (uint32_t)body_len_bytes;
    uint32_t whole_bytes = flash_log_rounded_up(len_bytes);
    if (whole_bytes > OUTBOX_SECTOR_BYTES - log->offset_bytes) {
        log->offset_bytes = OUTBOX_SECTOR_BYTES;
        return FLASH_LOG_FULL;
    }
    flash_log_record_t record = {.kind = kind, .seq = seq, .boot = boot, .len_bytes = (uint16_t)body_len_bytes};
    record.body_crc = crc32_add(0, bytes + FLASH_LOG_RECORD_HEADER_BYTES, body_len_bytes);
    flash_log_build_record(&record, bytes);
    memset(bytes + len_bytes, FLASH_LOG_ERASED, whole_bytes - len_bytes);
    if (write_at(log, log->head, log->offset_bytes, bytes, whole_bytes)) {
        log->offset_bytes += whole_bytes;
        return FLASH_LOG_OK;
    }
    log->bad++;
    log->offset_bytes = log->head_failed ? OUTBOX_SECTOR_BYTES : log->offset_bytes + whole_bytes;
    log->head_failed = true;
    return FLASH_LOG_FAILED;
}

bool flash_log_open(flash_log_t *log, uint32_t first_seq, uint32_t boot)
{
    log->head = (log->head + 1) % log->sectors;
    log->generation++;
    log->used += log->used < log->sectors ? 1 : 0;
    log->offset_bytes = OUTBOX_SECTOR_BYTES;
    log->head_failed = false;
    uint8_t bytes[FLASH_LOG_SECTOR_HEADER_BYTES];
    flash_log_sector_t sector = {.generation = log->generation, .first_seq = first_seq, .boot = boot};
    flash_log_build_sector(&sector, bytes);
    uint32_t blank_bytes = 0;
    if (!log->flash->erase(log->flash->ctx, log->head * OUTBOX_SECTOR_BYTES, OUTBOX_SECTOR_BYTES) ||
        !find_blank(log, log->head, &blank_bytes) || blank_bytes != 0 ||
        !write_at(log, log->head, 0, bytes, sizeof(bytes))) {
        log->bad++;
        return false;
    }
    log->offset_bytes = FLASH_LOG_SECTOR_HEADER_BYTES;
    return true;
}

bool flash_log_mark(const flash_log_t *log, const flash_log_record_t *record)
{
    uint32_t sector = sector_at(log, record->place.generation);
    uint32_t offset_bytes = record->place.offset_bytes + FLASH_LOG_MARK_OFFSET;
    const uint8_t programmed = 0;
    uint8_t mark = FLASH_LOG_ERASED;
    return log->flash->write(log->flash->ctx, sector * OUTBOX_SECTOR_BYTES + offset_bytes, &programmed, 1) &&
           read_at(log, sector, offset_bytes, &mark, 1) && flash_log_is_marked(mark);
}
