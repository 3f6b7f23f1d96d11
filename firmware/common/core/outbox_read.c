#include "le.h"
#include "outbox.h"
#include "outbox_kinds.h"
#include "wall_time.h"

#define MS_PER_S 1000

typedef enum { RECORD_IS_GOOD, RECORD_IS_NONE, RECORD_WAITS, RECORD_FAILED } verdict_t;

/* The offset of a boot stands behind its records, which are one after the other. Asked once for each former boot: what
 * did not get to know the time then never will. */
static verdict_t look_up_former(outbox_t *box, uint32_t boot, flash_log_place_t place)
{
    if (!box->former_looked_up || box->former_boot != boot) {
        flash_log_record_t record;
        flash_log_status_t status = FLASH_LOG_OK;
        box->former_looked_up = box->former_known = false;
        while (!box->former_known && (status = flash_log_next(&box->log, &place, &record)) == FLASH_LOG_OK &&
               record.boot == boot) {
            uint8_t bytes[OUTBOX_OFFSET_BYTES];
            if (record.kind == OUTBOX_KIND_OFFSET && record.len_bytes == sizeof(bytes)) {
                status = flash_log_body(&box->log, &record, bytes);
                box->former_known = status == FLASH_LOG_OK;
                box->former_offset_ms = (int64_t)le_get64(bytes);
            }
        }
        if (status == FLASH_LOG_FAILED) {
            return RECORD_FAILED;
        }
        box->former_looked_up = true;
        box->former_boot = boot;
    }
    return box->former_known ? RECORD_IS_GOOD : RECORD_IS_NONE;
}

/* False: no time that a message can tell comes of it. */
static bool stamp(moment_t *moment, int64_t offset_ms)
{
    char time[WALL_TIME_CHARS + 1];
    int64_t unix_ms = (int64_t)(moment->since_boot_ms + (uint64_t)offset_ms);
    *moment = (moment_t){.stamped = true, .unix_s = unix_ms / MS_PER_S};
    return unix_ms >= 0 && wall_time_print(moment->unix_s, time) > 0;
}

static verdict_t judge_body(outbox_t *box, const flash_log_record_t *record, int64_t offset_ms, sample_t *out)
{
    bool waiting = record->kind == OUTBOX_KIND_WAITING;
    flash_log_status_t status = flash_log_body(&box->log, record, box->bytes);
    if (status == FLASH_LOG_FAILED) {
        return RECORD_FAILED;
    }
    bool good = status == FLASH_LOG_OK && record_decode(box->bytes, record->len_bytes, out) &&
                out->moment.stamped != waiting && (!waiting || stamp(&out->moment, offset_ms));
    return good ? RECORD_IS_GOOD : RECORD_IS_NONE;
}

static verdict_t judge(outbox_t *box, const flash_log_record_t *record, flash_log_place_t behind, sample_t *out)
{
    if (record->kind == OUTBOX_KIND_OFFSET) {
        return RECORD_IS_NONE;
    }
    if (record->kind == OUTBOX_KIND_STAMPED) {
        return judge_body(box, record, 0, out);
    }
    if (record->boot == box->boot) {
        return box->offset_known ? judge_body(box, record, box->offset_ms, out) : RECORD_WAITS;
    }
    verdict_t former = look_up_former(box, record->boot, behind);
    return former == RECORD_IS_GOOD ? judge_body(box, record, box->former_offset_ms, out) : former;
}

/* Numbers that were passed over: damaged, or without a time for ever. Once, however often they are passed. */
static void count_gap(outbox_t *box, uint32_t from_seq, uint32_t to_seq)
{
    if (flash_log_is_before(from_seq, box->gaps_counted_to)) {
        from_seq = box->gaps_counted_to;
    }
    if (flash_log_is_before(from_seq, to_seq)) {
        box->dropped += to_seq - from_seq;
        box->gaps_counted_to = to_seq;
    }
}

static void remember(outbox_t *box, uint32_t seq, flash_log_place_t place)
{
    box->read_place_known = true;
    box->read_seq = seq;
    box->read_place = place;
}

outbox_read_t outbox_read(outbox_t *box, uint32_t *seq, sample_t *out)
{
    if (box->log.flash == NULL) {
        return OUTBOX_END;
    }
    uint32_t wanted = flash_log_is_before(*seq, box->first_seq) ? box->first_seq : *seq;
    flash_log_place_t place = box->read_place;
    if (!box->read_place_known || box->read_seq != wanted) {
        place = flash_log_sector_of(&box->log, wanted);
        box->read_failures = 0;
    }
    for (;;) {
        flash_log_record_t record;
        flash_log_place_t before = place;
        flash_log_status_t status = flash_log_next(&box->log, &place, &record);
        if (status == FLASH_LOG_END) {
            count_gap(box, wanted, box->next_seq);
            remember(box, wanted, place);
            return OUTBOX_END;
        }
        /* From next_seq on nothing was put: such a number is rot, and to go on behind it would begin anew for ever. */
        if (status == FLASH_LOG_OK &&
            (flash_log_is_before(record.seq, wanted) || !flash_log_is_before(record.seq, box->next_seq))) {
            continue;
        }
        switch (status == FLASH_LOG_OK ? judge(box, &record, place, out) : RECORD_FAILED) {
        case RECORD_IS_NONE:
            break;
        case RECORD_IS_GOOD:
            count_gap(box, wanted, record.seq);
            remember(box, record.seq + 1, place);
            *seq = record.seq;
            return OUTBOX_FOUND;
        case RECORD_WAITS:
            count_gap(box, wanted, record.seq);
            remember(box, record.seq, before);
            *seq = record.seq;
            return OUTBOX_WAITS_FOR_CLOCK;
        case RECORD_FAILED:
            box->read_failures++;
            if (box->read_failures < OUTBOX_READ_TRIES) {
                remember(box, wanted, before);
                return OUTBOX_UNREADABLE;
            }
            box->read_failures = 0;
            if (status != FLASH_LOG_OK) {
                flash_log_skip_sector(&place);
            }
            break;
        }
    }
}
