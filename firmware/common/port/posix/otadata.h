/* Which slot boots: two entries in two sectors of flash, as ESP-IDF's partition `otadata` (esp_ota_select_entry_t) has
 * them, each with a sequence number; slot = (number - 1) % 2, the highest good one counts.
 *
 * Otherwise than there a state is a byte that is programmed and not an entry that is erased and written anew: a reset
 * in between would lose an image that was just confirmed (esp-idf issue 7859). So each change is one write of one
 * sector, and all before it stays. Pure: storage by the port that it is given.
 */
#pragma once

#include "../port_flash.h"
#include "../port_ota.h"

#define OTADATA_BYTES 8192u
#define OTADATA_ENTRIES 2
#define OTADATA_SLOTS 2

typedef struct {
    bool good;
    uint32_t seq;
    image_state_t state;
} otadata_entry_t;

typedef struct {
    otadata_entry_t entries[OTADATA_ENTRIES];
} otadata_t;

/* False: the flash can't be read. */
bool otadata_read(const port_flash_t *flash, otadata_t *out);
uint8_t otadata_slot(const otadata_entry_t *entry);
/* The newest one of a slot; -1: it has none. */
int otadata_entry_of(const otadata_t *otadata, uint8_t slot);
/* `slot` boots next, as IMAGE_NEW. The entry of the slot that runs is kept: it is what is gone back to. */
bool otadata_set_boot(const port_flash_t *flash, uint8_t slot, uint8_t running_slot);
/* IMAGE_PENDING_VERIFY, IMAGE_VALID, IMAGE_INVALID or IMAGE_ABORTED; read back. */
bool otadata_set_state(const port_flash_t *flash, int entry, image_state_t state);
