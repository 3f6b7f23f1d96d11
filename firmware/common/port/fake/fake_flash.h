/* NOR flash in memory for tests, as unkind as the real one: a write only clears bits, an erase takes a whole sector,
 * power goes in the middle of either, bits rot, sectors wear out.
 *
 * A write that would have to set a bit, or leaves the area, is a bug of the code under test: it is refused and counted
 * in `misuses`, which every test asserts to be 0 at its end. After a cut all calls fail until fake_flash_power_on().
 */
#pragma once

#include "../../core/bounds.h"
#include "../port_flash.h"
#include "fake_power.h"

typedef enum {
    FAKE_FLASH_TEAR_NONE,   /* power went before anything happened */
    FAKE_FLASH_TEAR_PREFIX, /* the first bytes, and some bits of the next; of an erase: the first part of the sector */
    FAKE_FLASH_TEAR_BITS,   /* any of its bits, everywhere; of an erase: the same */
    FAKE_FLASH_TEAR_WHOLE,  /* all of it, but the caller never heard */
    FAKE_FLASH_TEARS
} fake_flash_tear_t;

typedef struct {
    port_flash_t port; /* hand out &flash.port */
    uint8_t *medium;   /* the caller's, size_bytes of it; begins as it is */
    uint64_t random;   /* state; of it comes what is torn */
    uint32_t reads, writes, erases;
    uint64_t read_bytes, written_bytes;
    uint32_t sector_writes[OUTBOX_MAX_SECTORS];
    uint32_t sector_erases[OUTBOX_MAX_SECTORS];
    uint32_t misuses;
    uint32_t cut_at; /* power goes at this write or erase, counted together from init on: 1 is the first. 0: never */
    fake_flash_tear_t tear;
    uint32_t fail_writes_from, fail_writes_to; /* these writes (counted as `writes`) fail; 0: none; to 0: for ever */
    uint32_t fail_erases_from, fail_erases_to;
    bool fail_silently;                  /* such a write says true, and is torn: only reading it back tells */
    bool bad_sector[OUTBOX_MAX_SECTORS]; /* writes and erases of it fail */
    bool fail_reads;
    uint32_t fail_reads_from, fail_reads_to; /* counted as `reads` */
    bool bad_read_sector[OUTBOX_MAX_SECTORS];
    bool power_is_off;
    fake_power_t *power; /* with other media; NULL: its own */
} fake_flash_t;

/* `medium` may hold what an earlier life left; fake_flash_blank() makes it new. */
void fake_flash_init(fake_flash_t *flash, uint8_t *medium, uint32_t size_bytes, uint64_t seed);
void fake_flash_blank(fake_flash_t *flash);
void fake_flash_power_on(fake_flash_t *flash); /* what is stored stays; the cut is over and none is planned */
uint32_t fake_flash_operations(const fake_flash_t *flash); /* writes and erases so far, as cut_at counts them */
void fake_flash_rot(fake_flash_t *flash, uint32_t offset_bytes, uint8_t bits); /* flips them */
uint32_t fake_flash_random(fake_flash_t *flash); /* for the test too, so that one seed says all */
