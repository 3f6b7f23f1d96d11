#include "fake_flash.h"

#include <string.h>

/* SplitMix64 (Steele, Lea, Flood: "Fast Splittable Pseudorandom Number Generators", 2014). */
uint32_t fake_flash_random(fake_flash_t *flash)
{
    flash->random += 0x9E3779B97F4A7C15U;
    uint64_t z = flash->random;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
    return (uint32_t)((z ^ (z >> 31)) >> 32);
}

static bool is_inside(const fake_flash_t *flash, uint32_t offset_bytes, size_t len_bytes)
{
    return offset_bytes <= flash->port.size_bytes && len_bytes <= flash->port.size_bytes - offset_bytes;
}

static uint8_t random_byte(fake_flash_t *flash)
{
    return (uint8_t)fake_flash_random(flash);
}

/* How many of the bytes a torn operation did whole. */
static size_t torn_at(fake_flash_t *flash, size_t len_bytes)
{
    return (size_t)fake_flash_random(flash) % (len_bytes + 1);
}

static void tear_write(fake_flash_t *flash, uint8_t *at, const uint8_t *data, size_t len_bytes)
{
    switch (flash->tear) {
    case FAKE_FLASH_TEAR_PREFIX: {
        size_t whole = torn_at(flash, len_bytes);
        for (size_t i = 0; i < whole; i++) {
            at[i] &= data[i];
        }
        if (whole < len_bytes) {
            at[whole] &= data[whole] | random_byte(flash);
        }
        break;
    }
    case FAKE_FLASH_TEAR_BITS:
        for (size_t i = 0; i < len_bytes; i++) {
            at[i] &= data[i] | random_byte(flash);
        }
        break;
    case FAKE_FLASH_TEAR_WHOLE:
        for (size_t i = 0; i < len_bytes; i++) {
            at[i] &= data[i];
        }
        break;
    case FAKE_FLASH_TEAR_NONE:
    case FAKE_FLASH_TEARS:
        break;
    }
}

static void tear_erase(fake_flash_t *flash, uint8_t *at, size_t len_bytes)
{
    switch (flash->tear) {
    case FAKE_FLASH_TEAR_PREFIX: {
        size_t whole = torn_at(flash, len_bytes);
        memset(at, 0xFF, whole);
        if (whole < len_bytes) {
            at[whole] |= random_byte(flash);
        }
        break;
    }
    case FAKE_FLASH_TEAR_BITS:
        for (size_t i = 0; i < len_bytes; i++) {
            at[i] |= random_byte(flash);
        }
        break;
    case FAKE_FLASH_TEAR_WHOLE:
        memset(at, 0xFF, len_bytes);
        break;
    case FAKE_FLASH_TEAR_NONE:
    case FAKE_FLASH_TEARS:
        break;
    }
}

static bool fails(uint32_t number, uint32_t from, uint32_t to)
{
    return from != 0 && number >= from && (to == 0 || number <= to);
}

static bool power_goes(fake_flash_t *flash)
{
    const bool of_all = fake_power_goes(flash->power);
    flash->power_is_off = of_all || (flash->cut_at != 0 && fake_flash_operations(flash) == flash->cut_at);
    return flash->power_is_off;
}

static bool is_off(const fake_flash_t *flash)
{
    return flash->power_is_off || fake_power_is_off(flash->power);
}

static bool read_flash(void *ctx, uint32_t offset_bytes, void *out, size_t len_bytes)
{
    fake_flash_t *flash = ctx;
    if (!is_inside(flash, offset_bytes, len_bytes)) {
        flash->misuses++;
        return false;
    }
    flash->reads++;
    flash->read_bytes += len_bytes;
    if (is_off(flash) || flash->fail_reads || fails(flash->reads, flash->fail_reads_from, flash->fail_reads_to) ||
        flash->bad_read_sector[offset_bytes / OUTBOX_SECTOR_BYTES]) {
        return false;
    }
    memcpy(out, flash->medium + offset_bytes, len_bytes);
    return true;
}

static bool write_flash(void *ctx, uint32_t offset_bytes, const void *data, size_t len_bytes)
{
    fake_flash_t *flash = ctx;
    const uint8_t *bytes = data;
    if (!is_inside(flash, offset_bytes, len_bytes) || len_bytes == 0) {
        flash->misuses++;
        return false;
    }
    if (is_off(flash)) {
        return false;
    }
    uint8_t *at = flash->medium + offset_bytes;
    for (size_t i = 0; i < len_bytes; i++) {
        if ((bytes[i] & ~at[i]) != 0) { /* a bit that is 0 stays 0 without an erase */
            flash->misuses++;
            return false;
        }
    }
    uint32_t sector = offset_bytes / OUTBOX_SECTOR_BYTES;
    flash->writes++;
    flash->written_bytes += len_bytes;
    flash->sector_writes[sector]++;
    if (power_goes(flash)) {
        tear_write(flash, at, bytes, len_bytes);
        return false;
    }
    if (flash->bad_sector[sector] || fails(flash->writes, flash->fail_writes_from, flash->fail_writes_to)) {
        tear_write(flash, at, bytes, len_bytes);
        return flash->fail_silently;
    }
    for (size_t i = 0; i < len_bytes; i++) {
        at[i] &= bytes[i];
    }
    return true;
}

static bool erase_flash(void *ctx, uint32_t offset_bytes, size_t len_bytes)
{
    fake_flash_t *flash = ctx;
    if (!is_inside(flash, offset_bytes, len_bytes) || offset_bytes % OUTBOX_SECTOR_BYTES != 0 ||
        len_bytes != OUTBOX_SECTOR_BYTES) { /* one at a time, so that a cut falls between any two */
        flash->misuses++;
        return false;
    }
    if (is_off(flash)) {
        return false;
    }
    uint32_t sector = offset_bytes / OUTBOX_SECTOR_BYTES;
    flash->erases++;
    flash->sector_erases[sector]++;
    if (power_goes(flash)) {
        tear_erase(flash, flash->medium + offset_bytes, len_bytes);
        return false;
    }
    if (flash->bad_sector[sector] || fails(flash->erases, flash->fail_erases_from, flash->fail_erases_to)) {
        tear_erase(flash, flash->medium + offset_bytes, len_bytes);
        return flash->fail_silently;
    }
    memset(flash->medium + offset_bytes, 0xFF, len_bytes);
    return true;
}

void fake_flash_init(fake_flash_t *flash, uint8_t *medium, uint32_t size_bytes, uint64_t seed)
{
    memset(flash, 0, sizeof(*flash));
    flash->port = (port_flash_t){
        .ctx = flash, .size_bytes = size_bytes, .read = read_flash, .write = write_flash, .erase = erase_flash};
    flash->medium = medium;
    flash->random = seed;
}

void fake_flash_blank(fake_flash_t *flash)
{
    memset(flash->medium, 0xFF, flash->port.size_bytes);
}

void fake_flash_power_on(fake_flash_t *flash)
{
    flash->power_is_off = false;
    flash->cut_at = 0;
}

uint32_t fake_flash_operations(const fake_flash_t *flash)
{
    return flash->writes + flash->erases;
}

void fake_flash_rot(fake_flash_t *flash, uint32_t offset_bytes, uint8_t bits)
{
    flash->medium[offset_bytes] ^= bits;
}
