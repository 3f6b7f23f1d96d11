#include "outbox.h"

#include <string.h>

#include "le.h"
#include "outbox_kinds.h"

#define OPENS_MAX 3        /* sectors that one put may spend */
#define TRY_EVERY_PUTS 64u /* when the flash takes nothing: at the 1st, 2nd, 4th, 8th, … and then at each so many */

/* The newest mark tells: all up to it is done with. */
static uint32_t find_first_seq(const outbox_t *box)
{
    uint32_t first_seq = box->next_seq;
    (void)flash_log_first_seq(&box->log, flash_log_oldest(&box->log).generation, &first_seq);
    for (uint32_t distance = 0; distance < box->log.used; distance++) {
        uint32_t generation = box->log.generation - distance;
        flash_log_place_t place = {.generation = generation};
        flash_log_record_t record;
        bool found = false;
        while (flash_log_next(&box->log, &place, &record) == FLASH_LOG_OK && record.place.generation == generation) {
            if (record.marked && record.kind != OUTBOX_KIND_OFFSET) {
                found = true;
                first_seq = record.seq + 1;
            }
        }
        if (found) {
            break;
        }
    }
    if (flash_log_is_before(box->next_seq, first_seq)) {
        return box->next_seq;
    }
    /* More than the sectors can hold is rot: half the numbers apart, the last would count as before the first. */
    const uint32_t most = box->log.used * FLASH_LOG_SECTOR_MAX_NUMBERS;
    return box->next_seq - first_seq > most ? box->next_seq - most : first_seq;
}

bool outbox_mount(outbox_t *box, const port_flash_t *flash, uint32_t boot)
{
    flash_log_end_t end;
    memset(box, 0, sizeof(*box)); /* a literal would stand on the stack too */
    box->boot = boot;
    if (!flash_log_mount(&box->log, flash, OUTBOX_KIND_OFFSET, &end)) {
        box->log.flash = NULL; /* then put() says no, and there is nothing to read */
        return false;
    }
    if (box->log.used > 0 && !flash_log_is_before(end.boot, boot)) {
        box->boot = end.boot + 1;
    }
    box->next_seq = end.next_seq;
    box->first_seq = find_first_seq(box);
    box->gaps_counted_to = box->acknowledged_seq = box->first_seq;
    return true;
}

/* The oldest sector goes, once the ring is full. */
static void open_sector(outbox_t *box)
{
    bool full = box->log.used == box->log.sectors;
    uint32_t from_generation = flash_log_oldest(&box->log).generation + 1;
    (void)flash_log_open(&box->log, box->next_seq, box->boot); /* a failure shows at the next append */
    uint32_t first_seq = box->next_seq;
    if (full && (!flash_log_first_seq(&box->log, from_generation, &first_seq) ||
                 flash_log_is_before(box->first_seq, first_seq))) {
        const uint32_t undone_seq =
            flash_log_is_before(box->first_seq, box->acknowledged_seq) ? box->acknowledged_seq : box->first_seq;
        box->dropped += flash_log_is_before(undone_seq, first_seq) ? first_seq - undone_seq : 0;
        box->first_seq = first_seq;
    }
}

static bool append(outbox_t *box, uint8_t kind, size_t len_bytes)
{
    uint32_t opens_max = box->failed_puts == 0 ? OPENS_MAX : 1;
    for (uint32_t opens = 0;; opens++) {
        flash_log_status_t status;
        /* At most twice: then the sector takes no more. */
        while ((status = flash_log_append(&box->log, kind, box->next_seq, box->boot, box->bytes, len_bytes)) ==
               FLASH_LOG_FAILED) {
            /* It may be on the medium all the same. With its number given to another, one of the two would be lost. */
            if (kind != OUTBOX_KIND_OFFSET) {
                box->first_seq += outbox_depth(box) == 0 ? 1 : 0;
                box->next_seq++;
            }
        }
        if (status == FLASH_LOG_OK) {
            return true;
        }
        if (opens == opens_max) {
            return false;
        }
        open_sector(box);
    }
}

static bool keep_offset(outbox_t *box)
{
    if (!box->offset_due || !box->offset_known) {
        return true;
    }
    le_put64(box->bytes + FLASH_LOG_RECORD_HEADER_BYTES, (uint64_t)box->offset_ms);
    box->offset_due = !append(box, OUTBOX_KIND_OFFSET, OUTBOX_OFFSET_BYTES);
    return !box->offset_due;
}

static bool is_power_of_two(uint32_t number)
{
    return (number & (number - 1)) == 0;
}

bool outbox_put(outbox_t *box, const sample_t *sample)
{
    size_t len_bytes = record_encode(sample, box->bytes + FLASH_LOG_RECORD_HEADER_BYTES, RECORD_MAX_BYTES);
    if (box->log.flash == NULL || len_bytes == 0) {
        return false;
    }
    if (!is_power_of_two(box->failed_puts) && box->failed_puts % TRY_EVERY_PUTS != 0) {
        box->failed_puts++;
        return false;
    }
    uint8_t kind = sample->moment.stamped ? OUTBOX_KIND_STAMPED : OUTBOX_KIND_WAITING;
    if (!append(box, kind, len_bytes)) {
        box->failed_puts++;
        return false;
    }
    box->failed_puts = 0;
    box->next_seq++;
    box->offset_due = box->offset_due || kind == OUTBOX_KIND_WAITING;
    (void)keep_offset(box); /* what fails now is tried again with the next */
    return true;
}

bool outbox_set_offset(outbox_t *box, int64_t offset_ms)
{
    if (!box->offset_known) {
        box->offset_known = true;
        box->offset_ms = offset_ms;
    }
    return keep_offset(box);
}

/* The last record before `seq` that is there, in the sectors from that of `seq` back to where the first one is. */
static bool find_last_before(const outbox_t *box, uint32_t seq, flash_log_record_t *out)
{
    uint32_t newest = flash_log_sector_of(&box->log, seq - 1).generation;
    uint32_t oldest = flash_log_oldest(&box->log).generation;
    bool found = false;
    for (uint32_t generation = newest; !found && !flash_log_is_before(generation, oldest); generation--) {
        flash_log_place_t place = {.generation = generation};
        flash_log_record_t record;
        while (flash_log_next(&box->log, &place, &record) == FLASH_LOG_OK && record.place.generation == generation &&
               flash_log_is_before(record.seq, seq)) {
            if (record.kind != OUTBOX_KIND_OFFSET) {
                found = true;
                *out = record;
            }
        }
    }
    return found;
}

bool outbox_discard(outbox_t *box, uint32_t seq)
{
    flash_log_record_t record;
    if (flash_log_is_before(box->next_seq, seq)) {
        seq = box->next_seq;
    }
    if (!flash_log_is_before(box->first_seq, seq)) {
        return true;
    }
    if (find_last_before(box, seq, &record) && !flash_log_is_before(record.seq, box->first_seq) &&
        !flash_log_mark(&box->log, &record)) {
        return false;
    }
    box->first_seq = seq;
    return true;
}

uint32_t outbox_depth(const outbox_t *box)
{
    return box->next_seq - box->first_seq;
}
