#include "otadata.h"

#include <string.h>

#include "../../core/bounds.h"
#include "../../core/crc32.h"
#include "../../core/le.h"

#define MAGIC 0x4F534454u /* "TDSO" */
#define ENTRY_BYTES 16u   /* sequence number, magic, CRC-32 of both, marks */
#define CRC_OFFSET 8u
#define MARKS_OFFSET 12u
#define ERASED 0xFFu
/* A mark is a byte that is programmed to 0; one or two bits that rot, or a write that power cut short, are none. */
#define MARK_MIN_BITS 6u

/* Marks in the order in which they win: what failed once is not good for having been good before. */
static const image_state_t s_marks[ENTRY_BYTES - MARKS_OFFSET] = {IMAGE_ABORTED, IMAGE_INVALID, IMAGE_VALID,
                                                                  IMAGE_PENDING_VERIFY};

static bool is_marked(uint8_t mark)
{
    uint32_t programmed = 0;
    for (uint32_t bit = 1; bit <= 0x80; bit <<= 1) {
        if ((mark & bit) == 0) {
            programmed++;
        }
    }
    return programmed >= MARK_MIN_BITS;
}

static otadata_entry_t parse(const uint8_t bytes[ENTRY_BYTES])
{
    otadata_entry_t entry = {.seq = le_get32(bytes), .state = IMAGE_NEW};
    entry.good = entry.seq != 0 && le_get32(bytes + 4) == MAGIC &&
                 le_get32(bytes + CRC_OFFSET) == crc32_add(UINT32_MAX, bytes, CRC_OFFSET);
    for (size_t i = 0; i < sizeof(s_marks) / sizeof(s_marks[0]); i++) {
        if (is_marked(bytes[MARKS_OFFSET + i])) {
            entry.state = s_marks[i];
            break;
        }
    }
    if (!entry.good) {
        entry = (otadata_entry_t){.state = IMAGE_UNDEFINED};
    }
    return entry;
}

bool otadata_read(const port_flash_t *flash, otadata_t *out)
{
    for (uint32_t i = 0; i < OTADATA_ENTRIES; i++) {
        uint8_t bytes[ENTRY_BYTES];
        if (!flash->read(flash->ctx, i * OUTBOX_SECTOR_BYTES, bytes, sizeof(bytes))) {
            return false;
        }
        out->entries[i] = parse(bytes);
    }
    return true;
}

uint8_t otadata_slot(const otadata_entry_t *entry)
{
    return (uint8_t)((entry->seq - 1) % OTADATA_SLOTS);
}

int otadata_entry_of(const otadata_t *otadata, uint8_t slot)
{
    int newest = -1;
    for (int i = 0; i < OTADATA_ENTRIES; i++) {
        const otadata_entry_t *entry = &otadata->entries[i];
        if (entry->good && otadata_slot(entry) == slot && (newest < 0 || entry->seq > otadata->entries[newest].seq)) {
            newest = i;
        }
    }
    return newest;
}

/* Which entry may go: not that of the slot that runs; else the one without use, or the older one. */
static uint32_t entry_to_replace(const otadata_t *otadata, uint8_t running_slot)
{
    int running = otadata_entry_of(otadata, running_slot);
    if (running >= 0) {
        return running == 0 ? 1 : 0;
    }
    const otadata_entry_t *entries = otadata->entries;
    return !entries[0].good || (entries[1].good && entries[0].seq < entries[1].seq) ? 0 : 1;
}

bool otadata_set_boot(const port_flash_t *flash, uint8_t slot, uint8_t running_slot)
{
    otadata_t otadata;
    if (slot >= OTADATA_SLOTS || !otadata_read(flash, &otadata)) {
        return false;
    }
    uint32_t seq = 0;
    for (size_t i = 0; i < OTADATA_ENTRIES; i++) {
        seq = otadata.entries[i].seq > seq ? otadata.entries[i].seq : seq;
    }
    otadata_entry_t next = {.seq = seq + 1};
    next.seq += otadata_slot(&next) != slot ? 1 : 0;
    uint32_t index = entry_to_replace(&otadata, running_slot);
    uint32_t offset_bytes = index * OUTBOX_SECTOR_BYTES;
    uint8_t bytes[CRC_OFFSET + 4] = {0};
    /* What goes is made none first: of an erase that power cuts short its number may be left, and its marks not. */
    if ((otadata.entries[index].good && !flash->write(flash->ctx, offset_bytes, bytes, sizeof(bytes))) ||
        !flash->erase(flash->ctx, offset_bytes, OUTBOX_SECTOR_BYTES)) {
        return false;
    }
    le_put32(bytes, next.seq);
    le_put32(bytes + 4, MAGIC);
    le_put32(bytes + CRC_OFFSET, crc32_add(UINT32_MAX, bytes, CRC_OFFSET));
    if (!flash->write(flash->ctx, offset_bytes, bytes, sizeof(bytes)) || !otadata_read(flash, &otadata)) {
        return false;
    }
    const otadata_entry_t *written = &otadata.entries[index];
    return written->good && written->seq == next.seq && written->state == IMAGE_NEW;
}

bool otadata_set_state(const port_flash_t *flash, int entry, image_state_t state)
{
    otadata_t otadata;
    const uint8_t programmed = 0;
    for (uint32_t i = 0; i < sizeof(s_marks) / sizeof(s_marks[0]); i++) {
        if (s_marks[i] != state) {
            continue;
        }
        uint32_t offset_bytes = (uint32_t)entry * OUTBOX_SECTOR_BYTES + MARKS_OFFSET + i;
        return flash->write(flash->ctx, offset_bytes, &programmed, 1) && otadata_read(flash, &otadata) &&
               otadata.entries[entry].good && otadata.entries[entry].state == state;
    }
    return false;
}
