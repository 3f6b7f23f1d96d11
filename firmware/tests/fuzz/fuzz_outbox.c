/* An outbox mounted on any contents of its flash, then used: it never hangs, never writes over what is programmed, and
 * what it keeps from then on it finds again.
 *
 * Byte 0: how. Then each of the sectors takes a part of the input. With bit 0, checksums are made right first: a fuzzer
 * does not guess a CRC-32, and what is behind it must not break either. Sectors whose checksums are right and whose
 * numbers make no sense together may hide what comes then, as no power cut or rot leaves them; so that it is found
 * again is asked where no sector is whole. */
#include <stdlib.h>
#include <string.h>

#include "core/crc32.h"
#include "core/flash_log_layout.h"
#include "core/le.h"
#include "core/outbox.h"
#include "port/fake/fake_flash.h"

#define SECTORS 4
#define HOW_RIGHT_CHECKSUMS 0x01
#define HOW_ZEROS 0x02
#define HOW_OFFSET 0x04
#define MAX_READS 4000 /* more than 4 sectors hold */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t s_medium[SECTORS * OUTBOX_SECTOR_BYTES];
static fake_flash_t s_flash;
static outbox_t s_box;

static void require(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void make_right(uint8_t *sector)
{
    /* Generations go up to where no flash lives: there it would end. */
    flash_log_sector_t header = {le_get32(sector + 8) & 0x3FFFFFFF, le_get32(sector + 12), le_get32(sector + 16)};
    flash_log_build_sector(&header, sector);
    uint32_t at = FLASH_LOG_SECTOR_HEADER_BYTES;
    while (at + FLASH_LOG_RECORD_HEADER_BYTES <= OUTBOX_SECTOR_BYTES && sector[at] != FLASH_LOG_ERASED) {
        uint8_t *bytes = sector + at;
        uint8_t mark = bytes[FLASH_LOG_MARK_OFFSET];
        flash_log_record_t record = {.kind = bytes[0] % 5, .len_bytes = le_get16(bytes + 2) % 300};
        record.seq = le_get32(bytes + 4);
        record.boot = le_get32(bytes + 8);
        at += FLASH_LOG_RECORD_HEADER_BYTES + flash_log_rounded_up(record.len_bytes);
        if (at > OUTBOX_SECTOR_BYTES) {
            break;
        }
        record.body_crc = crc32_add(0, bytes + FLASH_LOG_RECORD_HEADER_BYTES, record.len_bytes) ^ (bytes[12] == 'x');
        flash_log_build_record(&record, bytes);
        bytes[FLASH_LOG_MARK_OFFSET] = mark;
    }
}

static bool has_sectors(void)
{
    for (size_t sector = 0; sector < SECTORS; sector++) {
        flash_log_sector_t found;
        if (flash_log_parse_sector(s_medium + sector * OUTBOX_SECTOR_BYTES, &found)) {
            return true;
        }
    }
    return false;
}

static uint32_t read_all(uint32_t *last_digits)
{
    sample_t found;
    uint32_t seq = s_box.first_seq, count = 0;
    for (uint32_t reads = 0; reads < MAX_READS; reads++) {
        if (outbox_read(&s_box, &seq, &found) != OUTBOX_FOUND) {
            return count;
        }
        require(found.moment.stamped && found.count > 0);
        *last_digits = (uint32_t)found.readings[0].valor.digits;
        count++;
        seq++;
    }
    abort();
}

static bool put(uint32_t id, bool waiting)
{
    sample_t sample;
    require(sample_init(&sample, "D01") && sample_add(&sample, "id", "", (decimal_t){.digits = id}));
    sample.moment = waiting ? (moment_t){.since_boot_ms = id} : (moment_t){.stamped = true, .unix_s = 1780000000};
    return outbox_put(&s_box, &sample);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    uint8_t how = data[0];
    memset(s_medium, (how & HOW_ZEROS) != 0 ? 0 : FLASH_LOG_ERASED, sizeof(s_medium));
    size_t part = (size - 1) / SECTORS < OUTBOX_SECTOR_BYTES ? (size - 1) / SECTORS : OUTBOX_SECTOR_BYTES;
    for (size_t sector = 0; sector < SECTORS; sector++) {
        uint8_t *bytes = s_medium + sector * OUTBOX_SECTOR_BYTES;
        memcpy(bytes, data + 1 + sector * part, part);
        if ((how & HOW_RIGHT_CHECKSUMS) != 0) {
            make_right(bytes);
        }
    }
    bool strange = has_sectors();
    fake_flash_init(&s_flash, s_medium, sizeof(s_medium), 1);
    require(outbox_mount(&s_box, &s_flash.port, 3));
    uint32_t last = 0;
    if ((how & HOW_OFFSET) != 0) {
        require(outbox_set_offset(&s_box, 1780000000000));
    }
    (void)read_all(&last);
    (void)outbox_discard(&s_box, s_box.first_seq + (size % 7));
    bool kept = put(1000001, false) && put(1000002, true) && outbox_set_offset(&s_box, 1780000000000);
    kept = put(1000003, false) && kept;
    (void)read_all(&last);
    require(outbox_mount(&s_box, &s_flash.port, 4));
    uint32_t count = read_all(&last);
    if (!strange) {
        require(kept && count >= 3 && last == 1000003);
    }
    require(outbox_discard(&s_box, s_box.next_seq) && outbox_depth(&s_box) == 0);
    kept = put(1000004, false);
    require(outbox_mount(&s_box, &s_flash.port, 5));
    count = read_all(&last);
    if (!strange) {
        require(kept && count == 1 && last == 1000004);
    }
    require(s_flash.misuses == 0);
    return 0;
}
