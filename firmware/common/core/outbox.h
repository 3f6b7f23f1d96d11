/* What was measured and is not known to be stored yet. On flash, first in, first out, bounded: at the end the oldest
 * sector goes, and what was in it is counted.
 *
 * A log in a ring of sectors (flash_log.h). A sector is erased only when the ring comes round to it: with 32 of them
 * and a record of 135 bytes a minute that is 554 times in a year, so 100,000 erase cycles (data sheets of the ESP32's
 * flash chips, as Winbond's W25Q32JV) last for 180 years. What is done with is a mark on the last such record: one byte
 * that is programmed once more, and nothing is erased for it. A record that power cut short fails its CRC and is passed
 * over; nothing that outbox_put() said `true` to is lost by a power cut. A record that could not be read back is
 * written again, and may be there twice.
 *
 * It also keeps by which offset the moments of a boot become times, so that one reading is stamped the same for ever:
 * its time is part of its identity.
 */
#pragma once

#include "flash_log.h"
#include "record.h"

#define OUTBOX_READ_TRIES 3 /* what fails so often is passed over, and counted: it would hold up all behind it */

typedef struct {
    /* For health and the sender. */
    uint32_t first_seq; /* the oldest that is not done; equal to next_seq when empty */
    uint32_t next_seq;
    uint32_t dropped; /* records that went without being done, since mount: too old, damaged, or never to get a time */
    uint32_t
        acknowledged_seq; /* the sender's word: those before it may go when the ring is full, and are not dropped */
    uint32_t boot;        /* this one's number, as what is put is kept under */
    flash_log_t log;      /* .bad: sectors that failed since mount */

    /* Private. */
    bool offset_known; /* of this boot */
    bool offset_due;   /* and records wait on the medium for it, which does not have it yet */
    int64_t offset_ms; /* unix ms - ms since boot */
    uint32_t failed_puts;
    flash_log_place_t read_place; /* where read_seq or the next one behind it is looked for */
    uint32_t read_seq;
    bool read_place_known;
    uint8_t read_failures;
    uint32_t gaps_counted_to;
    bool former_looked_up; /* the former boot whose offset was asked for last */
    bool former_known;
    uint32_t former_boot;
    int64_t former_offset_ms;
    uint8_t bytes[FLASH_LOG_RECORD_HEADER_BYTES + RECORD_MAX_BYTES + 4];
} outbox_t;

/* Reads the area, at most twice; writes nothing. `boot`: this boot's number. If the area has records of this number or
 * a later one already (the counter was lost), it gives itself the next: moments of two boots are never mixed up. What
 * has another format, or is no outbox, is written over. False: the flash can't be read, or has less than two sectors;
 * nothing can be kept then. */
bool outbox_mount(outbox_t *box, const port_flash_t *flash, uint32_t boot);

/* Keep a sample of this boot; true: it is on the medium, read back. A sector that can't be erased or written is passed
 * over and counted. While the flash takes nothing at all it is tried ever more seldom, for each try can cost a sector
 * of what it still holds. */
bool outbox_put(outbox_t *box, const sample_t *sample);

/* The clock of this boot is known: moments of this boot are stamped with this offset from now on, also after a reboot.
 * The first call of a boot counts. False: after a reboot those that wait now will have no time; call again. */
bool outbox_set_offset(outbox_t *box, int64_t offset_ms);

typedef enum { OUTBOX_FOUND, OUTBOX_END, OUTBOX_WAITS_FOR_CLOCK, OUTBOX_UNREADABLE } outbox_read_t;

/* The record `*seq` or the next after it that is there; *seq becomes its number. One after the other is cheap; to go
 * elsewhere costs a look at each sector. A moment whose boot's offset is known comes stamped. A moment of a former boot
 * that never knew the time can't be: such records are skipped and counted as dropped. OUTBOX_WAITS_FOR_CLOCK: the next
 * one is of this boot and its clock is not set. OUTBOX_UNREADABLE: the flash can't be read; try again later. */
outbox_read_t outbox_read(outbox_t *box, uint32_t *seq, sample_t *out);

/* All before `seq` are done with. Persisted; after a power cut at worst an older call counts. */
bool outbox_discard(outbox_t *box, uint32_t seq);

uint32_t outbox_depth(const outbox_t *box);
