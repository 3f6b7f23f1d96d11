#include "slots.h"

#include "../../core/bounds.h"

static uint8_t running_slot(void *ctx)
{
    const slots_t *slots = ctx;
    return slots->running;
}

static image_state_t state(void *ctx, uint8_t slot)
{
    const slots_t *slots = ctx;
    otadata_t otadata;
    if (!otadata_read(slots->otadata, &otadata)) {
        return IMAGE_UNDEFINED;
    }
    int entry = otadata_entry_of(&otadata, slot);
    return entry < 0 ? IMAGE_UNDEFINED : otadata.entries[entry].state;
}

static uint32_t slot_bytes(void *ctx)
{
    const slots_t *slots = ctx;
    return slots->slots[0]->size_bytes;
}

/* The image that runs is never written to. */
static bool is_writable(const slots_t *slots, uint8_t slot)
{
    return slot < OTADATA_SLOTS && slot != slots->running;
}

static bool is_inside(const port_flash_t *slot, uint32_t offset_bytes, size_t len_bytes)
{
    return offset_bytes <= slot->size_bytes && len_bytes <= slot->size_bytes - offset_bytes;
}

static bool erase(void *ctx, uint8_t slot, uint32_t offset_bytes, uint32_t len_bytes)
{
    const slots_t *slots = ctx;
    if (!is_writable(slots, slot) || !is_inside(slots->slots[slot], offset_bytes, len_bytes) ||
        offset_bytes % OUTBOX_SECTOR_BYTES != 0 || len_bytes % OUTBOX_SECTOR_BYTES != 0) {
        return false;
    }
    const port_flash_t *flash = slots->slots[slot];
    for (uint32_t done = 0; done < len_bytes; done += OUTBOX_SECTOR_BYTES) {
        if (!flash->erase(flash->ctx, offset_bytes + done, OUTBOX_SECTOR_BYTES)) {
            return false;
        }
    }
    return true;
}

static bool write(void *ctx, uint8_t slot, uint32_t offset_bytes, const void *data, size_t len_bytes)
{
    const slots_t *slots = ctx;
    if (!is_writable(slots, slot) || !is_inside(slots->slots[slot], offset_bytes, len_bytes)) {
        return false;
    }
    const port_flash_t *flash = slots->slots[slot];
    return len_bytes == 0 || flash->write(flash->ctx, offset_bytes, data, len_bytes);
}

static bool read(void *ctx, uint8_t slot, uint32_t offset_bytes, void *out, size_t len_bytes)
{
    const slots_t *slots = ctx;
    if (slot >= OTADATA_SLOTS || !is_inside(slots->slots[slot], offset_bytes, len_bytes)) {
        return false;
    }
    const port_flash_t *flash = slots->slots[slot];
    return flash->read(flash->ctx, offset_bytes, out, len_bytes);
}

static bool set_boot(void *ctx, uint8_t slot)
{
    const slots_t *slots = ctx;
    return otadata_set_boot(slots->otadata, slot, slots->running);
}

static bool confirm(void *ctx)
{
    const slots_t *slots = ctx;
    otadata_t otadata;
    if (!otadata_read(slots->otadata, &otadata)) {
        return false;
    }
    int entry = otadata_entry_of(&otadata, slots->running);
    /* Without an entry it is the factory's image, which is good by definition. */
    return entry < 0 || otadata.entries[entry].state == IMAGE_VALID ||
           otadata_set_state(slots->otadata, entry, IMAGE_VALID);
}

static void roll_back(void *ctx)
{
    const slots_t *slots = ctx;
    otadata_t otadata;
    int entry = otadata_read(slots->otadata, &otadata) ? otadata_entry_of(&otadata, slots->running) : -1;
    if (entry >= 0) {
        /* Where that fails, an image on trial goes back all the same: the reboot comes before it was confirmed. */
        (void)otadata_set_state(slots->otadata, entry, IMAGE_INVALID);
    }
    slots->reboot->reboot(slots->reboot->ctx, REBOOT_UPDATE);
}

void slots_init(slots_t *slots, const port_flash_t *otadata, const port_flash_t *slot_0, const port_flash_t *slot_1,
                uint8_t running, const port_reboot_t *reboot)
{
    *slots = (slots_t){.otadata = otadata, .slots = {slot_0, slot_1}, .running = running, .reboot = reboot};
    slots->port = (port_ota_t){.ctx = slots,
                               .running_slot = running_slot,
                               .state = state,
                               .slot_bytes = slot_bytes,
                               .erase = erase,
                               .write = write,
                               .read = read,
                               .set_boot = set_boot,
                               .confirm = confirm,
                               .roll_back = roll_back};
}
