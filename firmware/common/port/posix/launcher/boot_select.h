/* Which slot the boot loader starts, as ESP-IDF's with app rollback does ("Over The Air Updates", "App Rollback"):
 *
 * - an image that was pending when the device started again never said that it is good: aborted; so is a new one that
 *   is not whole;
 * - of the others the one with the highest sequence number whose image is whole; a new one becomes pending first;
 * - without one, the first slot with a whole image and no entry: the factory's;
 * - and at last any whole image, also one that went back: a device that runs what failed can still be reached, one that
 *   runs nothing can't.
 *
 * Pure: it says what to write, the caller writes it before it starts anything. */
#pragma once

#include "../otadata.h"

typedef struct {
    int slot;                            /* -1: there is none */
    bool rolled_back;                    /* this start left an image that was new or on trial */
    bool last_resort;                    /* nothing better is whole */
    image_state_t mark[OTADATA_ENTRIES]; /* what becomes of an entry; IMAGE_UNDEFINED: nothing */
} boot_choice_t;

boot_choice_t boot_select(const otadata_t *otadata, const bool image_is_good[OTADATA_SLOTS]);
