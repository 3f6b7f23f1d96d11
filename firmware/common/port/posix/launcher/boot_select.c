#include "boot_select.h"

static bool may_boot(image_state_t state)
{
    switch (state) {
    case IMAGE_NEW:
    case IMAGE_VALID:
    case IMAGE_UNDEFINED:
        return true;
    case IMAGE_PENDING_VERIFY:
    case IMAGE_INVALID:
    case IMAGE_ABORTED:
        break;
    }
    return false;
}

/* The entry with the highest number that may boot and whose image is whole; -1: none. */
static int best_entry(const otadata_t *otadata, const bool image_is_good[OTADATA_SLOTS])
{
    int best = -1;
    for (int i = 0; i < OTADATA_ENTRIES; i++) {
        const otadata_entry_t *entry = &otadata->entries[i];
        if (entry->good && may_boot(entry->state) && image_is_good[otadata_slot(entry)] &&
            (best < 0 || entry->seq > otadata->entries[best].seq)) {
            best = i;
        }
    }
    return best;
}

boot_choice_t boot_select(const otadata_t *otadata, const bool image_is_good[OTADATA_SLOTS])
{
    boot_choice_t choice = {.slot = -1, .mark = {IMAGE_UNDEFINED, IMAGE_UNDEFINED}};
    otadata_t now = *otadata;
    for (int i = 0; i < OTADATA_ENTRIES; i++) {
        if (now.entries[i].good && now.entries[i].state == IMAGE_PENDING_VERIFY) {
            now.entries[i].state = choice.mark[i] = IMAGE_ABORTED;
            choice.rolled_back = true;
        }
        if (now.entries[i].good && now.entries[i].state == IMAGE_NEW && !image_is_good[otadata_slot(&now.entries[i])]) {
            now.entries[i].state = choice.mark[i] = IMAGE_ABORTED;
            choice.rolled_back = true;
        }
    }
    int entry = best_entry(&now, image_is_good);
    if (entry >= 0) {
        choice.slot = otadata_slot(&now.entries[entry]);
        if (now.entries[entry].state == IMAGE_NEW) {
            choice.mark[entry] = IMAGE_PENDING_VERIFY;
        }
        return choice;
    }
    for (int slot = 0; slot < OTADATA_SLOTS && choice.slot < 0; slot++) {
        if (image_is_good[slot] && otadata_entry_of(&now, (uint8_t)slot) < 0) {
            choice.slot = slot;
        }
    }
    for (int slot = 0; slot < OTADATA_SLOTS && choice.slot < 0; slot++) {
        if (image_is_good[slot]) {
            choice.slot = slot;
            choice.last_resort = true;
        }
    }
    return choice;
}
