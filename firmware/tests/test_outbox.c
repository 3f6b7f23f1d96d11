#include "core/le.h"
#include "outbox_bench.h"

static void put(uint32_t id)
{
    sample_t sample = sample_of(id, 3);
    assert_true(outbox_put(&s_box, &sample));
}

static void put_until(uint32_t first_id, uint32_t end_id)
{
    for (uint32_t id = first_id; id < end_id; id++) {
        put(id);
    }
}

static void put_waiting(uint32_t id)
{
    sample_t sample = waiting_sample_of(id, 3, s_box.boot);
    assert_true(outbox_put(&s_box, &sample));
}

static void mount(uint32_t boot)
{
    assert_true(outbox_mount(&s_box, &s_flash.port, boot));
}

/* The next one, which must be of this id. */
static void assert_next(uint32_t *seq, uint32_t id)
{
    sample_t found, expected = sample_of(id, 3);
    assert_int_equal(outbox_read(&s_box, seq, &found), OUTBOX_FOUND);
    assert_int_equal(id_of(&found), id);
    assert_same_readings(&found, &expected);
    assert_true(found.moment.stamped);
    (*seq)++;
}

static void assert_end(uint32_t *seq)
{
    sample_t found;
    assert_int_equal(outbox_read(&s_box, seq, &found), OUTBOX_END);
}

static void assert_holds(uint32_t first_id, uint32_t end_id)
{
    uint32_t seq = s_box.first_seq;
    for (uint32_t id = first_id; id < end_id; id++) {
        assert_next(&seq, id);
    }
    assert_end(&seq);
}

static int begin(void **state)
{
    (void)state;
    new_flash(4);
    mount(1);
    return 0;
}

static int end(void **state)
{
    (void)state;
    assert_int_equal(s_flash.misuses, 0);
    return 0;
}

static void a_blank_area_is_an_empty_outbox_and_mounting_writes_nothing(void **state)
{
    (void)state;
    assert_int_equal(outbox_depth(&s_box), 0);
    assert_int_equal(fake_flash_operations(&s_flash), 0);
    uint32_t seq = 0;
    assert_end(&seq);
    put(1);
    uint32_t before = fake_flash_operations(&s_flash);
    mount(2);
    assert_int_equal(fake_flash_operations(&s_flash), before);
}

static void what_is_put_is_read_in_order(void **state)
{
    (void)state;
    put_until(10, 90);
    assert_int_equal(outbox_depth(&s_box), 80);
    assert_holds(10, 90);
    assert_int_equal(s_box.dropped, 0);
}

static void what_comes_after_the_end_was_read_is_found_too(void **state)
{
    (void)state;
    uint32_t seq = s_box.first_seq;
    assert_end(&seq);
    for (uint32_t id = 1; id < 100; id++) { /* also over the ends of sectors */
        put(id);
        assert_next(&seq, id);
        assert_end(&seq);
    }
}

static void what_was_put_is_there_after_a_reboot(void **state)
{
    (void)state;
    put_until(1, 50);
    mount(2);
    assert_int_equal(outbox_depth(&s_box), 49);
    put_until(50, 60);
    assert_holds(1, 60);
    mount(3);
    assert_holds(1, 60);
}

static void what_is_discarded_is_gone_also_after_a_reboot(void **state)
{
    (void)state;
    put_until(1, 60);
    uint32_t first_seq = s_box.first_seq;
    assert_true(outbox_discard(&s_box, first_seq + 10));
    assert_holds(11, 60);
    assert_true(outbox_discard(&s_box, first_seq + 47));
    assert_holds(48, 60);
    mount(2);
    assert_int_equal(outbox_depth(&s_box), 12);
    assert_holds(48, 60);
    assert_true(outbox_discard(&s_box, s_box.next_seq));
    assert_int_equal(outbox_depth(&s_box), 0);
    mount(3);
    assert_int_equal(outbox_depth(&s_box), 0);
    put(60);
    assert_holds(60, 61);
}

static void a_discard_programs_one_byte_and_erases_nothing(void **state)
{
    (void)state;
    put_until(1, 60);
    uint32_t writes = s_flash.writes, erases = s_flash.erases;
    uint64_t bytes = s_flash.written_bytes;
    assert_true(outbox_discard(&s_box, s_box.first_seq + 55));
    assert_int_equal(s_flash.writes, writes + 1);
    assert_int_equal(s_flash.written_bytes, bytes + 1);
    assert_int_equal(s_flash.erases, erases);
    assert_true(outbox_discard(&s_box, s_box.first_seq)); /* it is so already */
    assert_true(outbox_discard(&s_box, s_box.first_seq - 20));
    assert_int_equal(s_flash.writes, writes + 1);
}

static void a_discard_of_more_than_there_is_discards_what_there_is(void **state)
{
    (void)state;
    put_until(1, 4);
    assert_true(outbox_discard(&s_box, s_box.next_seq + 1000));
    assert_int_equal(outbox_depth(&s_box), 0);
    put(4);
    assert_holds(4, 5);
}

static void a_discard_that_the_flash_refuses_is_none(void **state)
{
    (void)state;
    put_until(1, 10);
    s_flash.fail_writes_from = s_flash.writes + 1;
    s_flash.tear = FAKE_FLASH_TEAR_NONE;
    assert_false(outbox_discard(&s_box, s_box.first_seq + 3));
    assert_holds(1, 10);
    s_flash.fail_silently = true;
    assert_false(outbox_discard(&s_box, s_box.first_seq + 3));
    s_flash.fail_writes_from = 0;
    assert_true(outbox_discard(&s_box, s_box.first_seq + 3));
    assert_holds(4, 10);
}

static void reading_one_after_the_other_reads_each_byte_about_once(void **state)
{
    (void)state;
    put_until(1, 120);
    uint32_t seq = s_box.first_seq;
    assert_next(&seq, 1);
    uint32_t reads = s_flash.reads;
    uint32_t per_sector_end = OUTBOX_SECTOR_BYTES / 8 / FLASH_LOG_RECORD_HEADER_BYTES;
    for (uint32_t id = 2; id < 120; id++) {
        assert_next(&seq, id);
    }
    assert_true(s_flash.reads - reads <= 2 * 118 + 4 * (1 + per_sector_end));
}

static void at_the_end_the_oldest_sector_goes_and_is_counted(void **state)
{
    (void)state;
    put_until(1, 1000);
    uint32_t depth = outbox_depth(&s_box);
    assert_true(depth < 999);
    assert_int_equal(s_box.dropped, 999 - depth);
    assert_holds(1000 - depth, 1000);
    mount(2);
    assert_holds(1000 - depth, 1000);
    assert_int_equal(s_box.dropped, 0);
}

static void what_is_done_with_is_not_counted_when_it_goes(void **state)
{
    (void)state;
    for (uint32_t id = 1; id < 1000; id++) {
        put(id);
        assert_true(outbox_discard(&s_box, s_box.next_seq - 1));
    }
    assert_int_equal(s_box.dropped, 0);
    assert_holds(999, 1000);
    mount(2);
    assert_holds(999, 1000);
}

static void a_reader_in_a_sector_that_went_goes_on_with_the_oldest(void **state)
{
    (void)state;
    put_until(1, 40);
    uint32_t seq = s_box.first_seq;
    assert_next(&seq, 1);
    put_until(40, 400);
    sample_t found;
    assert_int_equal(outbox_read(&s_box, &seq, &found), OUTBOX_FOUND);
    assert_int_equal(id_of(&found), 400 - outbox_depth(&s_box));
    assert_int_equal(seq, s_box.first_seq);
}

static void two_sectors_are_enough_and_one_is_not(void **state)
{
    (void)state;
    new_flash(2);
    mount(1);
    put_until(1, 500);
    uint32_t depth = outbox_depth(&s_box);
    assert_true(depth > 20);
    mount(2);
    assert_holds(500 - depth, 500);
    new_flash(1);
    assert_false(outbox_mount(&s_box, &s_flash.port, 1));
    sample_t sample = sample_of(1, 3);
    uint32_t seq = 0;
    assert_false(outbox_put(&s_box, &sample));
    assert_true(outbox_set_offset(&s_box, 5));
    assert_true(outbox_discard(&s_box, 0));
    assert_int_equal(outbox_depth(&s_box), 0);
    assert_end(&seq);
}

static void of_a_larger_area_only_so_many_sectors_are_used(void **state)
{
    (void)state;
    /* Its upper part is not even there: it would be found out. */
    new_flash(BENCH_MAX_SECTORS);
    port_flash_t large = s_flash.port;
    large.size_bytes = (OUTBOX_MAX_SECTORS + 7) * OUTBOX_SECTOR_BYTES + 100;
    uint32_t reads = s_flash.reads;
    outbox_mount(&s_box, &large, 1);
    assert_int_equal(s_box.log.sectors, OUTBOX_MAX_SECTORS);
    assert_true(s_flash.reads - reads <= OUTBOX_MAX_SECTORS);
    s_flash.misuses = 0;
}

static void the_longest_record_fits(void **state)
{
    (void)state;
    sample_t sample;
    sample_init(&sample, "D01");
    sample.moment = (moment_t){.stamped = true, .unix_s = FIRST_UNIX_S};
    for (uint32_t i = 0; i < 10; i++) {
        char tipo[TIPO_MAX_BYTES + 1];
        memset(tipo, 'a' + (char)i, TIPO_MAX_BYTES);
        tipo[TIPO_MAX_BYTES] = '\0';
        assert_true(sample_add(&sample, tipo, "123456789012345", (decimal_t){.digits = INT64_MAX, .places = 9}));
    }
    assert_true(sample_add(&sample, "z", "123456789012345", (decimal_t){.digits = INT64_MAX}));
    uint32_t kept = 0;
    for (uint32_t len = 1; len <= TIPO_MAX_BYTES; len++) { /* up to where it no longer fits */
        memset(sample.readings[10].tipo, 'z', len);
        sample.readings[10].tipo[len] = '\0';
        uint8_t bytes[RECORD_MAX_BYTES];
        bool fits = record_encode(&sample, bytes, sizeof(bytes)) > 0;
        assert_int_equal(outbox_put(&s_box, &sample), fits);
        kept += fits ? 1 : 0;
    }
    assert_true(kept > 50 && kept < TIPO_MAX_BYTES);
    uint32_t depth = outbox_depth(&s_box);
    assert_true(depth > 3);
    mount(2);
    uint32_t seq = s_box.first_seq;
    sample_t found;
    for (uint32_t i = 0; i < depth; i++, seq++) {
        assert_int_equal(outbox_read(&s_box, &seq, &found), OUTBOX_FOUND);
        assert_int_equal(found.count, 11);
    }
    assert_end(&seq);
}

static void what_is_no_sample_is_not_kept(void **state)
{
    (void)state;
    sample_t sample;
    sample_init(&sample, "D01");
    assert_false(outbox_put(&s_box, &sample)); /* no reading */
    assert_int_equal(fake_flash_operations(&s_flash), 0);
}

static void sequence_numbers_go_round(void **state)
{
    (void)state;
    flash_log_t log;
    flash_log_end_t log_end;
    assert_true(flash_log_mount(&log, &s_flash.port, 3, &log_end));
    assert_true(flash_log_open(&log, UINT32_MAX - 60, 1));
    mount(2);
    assert_int_equal(s_box.next_seq, UINT32_MAX - 60);
    put_until(1, 100);
    assert_int_equal(s_box.next_seq, 38);
    assert_holds(1, 100);
    assert_true(outbox_discard(&s_box, UINT32_MAX - 20));
    assert_holds(41, 100);
    mount(3);
    assert_holds(41, 100);
    assert_true(outbox_discard(&s_box, 5));
    mount(4);
    assert_holds(67, 100);
    put_until(100, 500);
    mount(5);
    assert_holds(500 - outbox_depth(&s_box), 500);
}

static void an_area_of_other_contents_is_begun_anew(void **state)
{
    (void)state;
    for (size_t i = 0; i < s_flash.port.size_bytes; i++) {
        s_medium[i] = (uint8_t)fake_flash_random(&s_flash);
    }
    mount(9);
    assert_int_equal(outbox_depth(&s_box), 0);
    put_until(1, 60);
    assert_holds(1, 60);
    memset(s_medium, 0, s_flash.port.size_bytes);
    mount(10);
    put_until(1, 60);
    mount(11);
    assert_holds(1, 60);
}

static void an_area_of_a_former_format_is_begun_anew(void **state)
{
    (void)state;
    put_until(1, 20);
    s_medium[4] ^= 2;
    mount(2);
    assert_int_equal(outbox_depth(&s_box), 0);
    put(1);
    assert_holds(1, 2);
}

static void an_area_that_can_not_be_read_is_said_so(void **state)
{
    (void)state;
    put(1);
    s_flash.fail_reads = true;
    assert_false(outbox_mount(&s_box, &s_flash.port, 2));
}

/* Damage. */

static void a_record_with_a_bit_that_rotted_is_passed_over_and_counted_once(void **state)
{
    (void)state;
    put_until(1, 10);
    fake_flash_rot(&s_flash, FLASH_LOG_SECTOR_HEADER_BYTES + FLASH_LOG_RECORD_HEADER_BYTES + 9, 0x10);
    assert_holds(2, 10);
    assert_int_equal(s_box.dropped, 1);
    assert_holds(2, 10);
    assert_int_equal(s_box.dropped, 1);
    mount(2);
    assert_holds(2, 10);
    assert_true(outbox_discard(&s_box, s_box.first_seq + 4));
    assert_holds(5, 10);
}

static void any_one_bit_that_rots_costs_a_record_or_at_most_its_sector(void **state)
{
    (void)state;
    new_flash(3);
    mount(1);
    uint32_t end_id = 1;
    while (s_box.log.used < 3) { /* two sectors, and one record in the third */
        put(end_id++);
    }
    uint32_t count_before = end_id - 1 - 2;
    assert_true(outbox_discard(&s_box, s_box.first_seq + 2)); /* 1 and 2 */
    static uint8_t before[3 * OUTBOX_SECTOR_BYTES];
    memcpy(before, s_medium, sizeof(before));
    for (uint32_t offset = 0; offset < sizeof(before); offset++) {
        bool all_bits = offset % OUTBOX_SECTOR_BYTES < 150;
        for (uint32_t bit = all_bits ? 0 : offset % 8; bit < 8; bit += all_bits ? 1 : 8) {
            memcpy(s_medium, before, sizeof(before));
            fake_flash_rot(&s_flash, offset, (uint8_t)(1u << bit));
            mount(2);
            uint32_t seq = s_box.first_seq, last_id = 0, count = 0;
            sample_t found;
            while (outbox_read(&s_box, &seq, &found) == OUTBOX_FOUND) {
                sample_t expected = sample_of(id_of(&found), 3);
                assert_same_readings(&found, &expected);
                assert_int_equal(found.moment.unix_s, expected.moment.unix_s);
                assert_true(id_of(&found) > last_id); /* in order, none twice */
                last_id = id_of(&found);
                count++;
                seq++;
            }
            bool in_sector_header = offset % OUTBOX_SECTOR_BYTES < FLASH_LOG_SECTOR_HEADER_BYTES;
            assert_true(count >= (in_sector_header ? count_before / 2 - 2 : count_before - 1) &&
                        count <= count_before + 2);
            put(200);
            seq = s_box.next_seq - 1;
            assert_next(&seq, 200);
        }
    }
}

static void some_bits_of_a_mark_do_not_finish_what_nobody_sent(void **state)
{
    (void)state;
    put_until(1, 10);
    uint32_t mark = FLASH_LOG_SECTOR_HEADER_BYTES + 1;
    fake_flash_rot(&s_flash, mark, 0x1F);
    mount(2);
    assert_holds(1, 10);
    fake_flash_rot(&s_flash, mark, 0x20);
    mount(3);
    assert_holds(2, 10);
}

static void a_mark_on_an_offset_finishes_nothing(void **state)
{
    (void)state;
    put(1);
    sample_t sample = waiting_sample_of(2, 3, s_box.boot);
    assert_true(outbox_put(&s_box, &sample));
    uint32_t at = s_box.log.offset_bytes;
    assert_true(outbox_set_offset(&s_box, 0));
    put(3);
    fake_flash_rot(&s_flash, at + 1, 0xFF);
    mount(2);
    assert_int_equal(outbox_depth(&s_box), 3);
}

static void the_last_record_may_rot_after_it_was_done_with(void **state)
{
    (void)state;
    put_until(1, 4);
    uint32_t end_bytes = s_box.log.offset_bytes;
    assert_true(outbox_discard(&s_box, s_box.next_seq));
    fake_flash_rot(&s_flash, end_bytes - 5, 1);
    mount(2);
    assert_int_equal(outbox_depth(&s_box), 0);
    put(4);
    assert_holds(4, 5);
    mount(3);
    assert_holds(4, 5);
}

static void what_is_lost_needs_no_mark_to_be_done_with(void **state)
{
    (void)state;
    put_until(1, 3);
    uint32_t at = s_box.log.offset_bytes;
    put_until(3, 6);
    assert_true(outbox_discard(&s_box, s_box.first_seq + 2));
    memset(s_medium + at, 0, FLASH_LOG_RECORD_HEADER_BYTES);
    uint32_t writes = s_flash.writes;
    assert_true(outbox_discard(&s_box, s_box.first_seq + 1));
    assert_int_equal(s_flash.writes, writes);
    assert_holds(4, 6);
}

/* A firmware that wrote other things under the same format: what it means can't be told, but it holds nothing up. */
static void records_whose_contents_make_no_sense_are_passed_over(void **state)
{
    (void)state;
    uint8_t bytes[FLASH_LOG_RECORD_HEADER_BYTES + RECORD_MAX_BYTES + 4];
    uint8_t *body = bytes + FLASH_LOG_RECORD_HEADER_BYTES;
    sample_t waiting = waiting_sample_of(2, 3, 1), stamped = sample_of(3, 3);
    put(1);
    memset(body, 0x55, 40);
    assert_int_equal(flash_log_append(&s_box.log, 1, s_box.next_seq++, 1, bytes, 40), FLASH_LOG_OK);
    size_t len_bytes = record_encode(&waiting, body, RECORD_MAX_BYTES);
    assert_int_equal(flash_log_append(&s_box.log, 1, s_box.next_seq++, 1, bytes, len_bytes), FLASH_LOG_OK);
    assert_int_equal(flash_log_append(&s_box.log, 2, s_box.next_seq++, 1, bytes, len_bytes), FLASH_LOG_OK);
    assert_int_equal(flash_log_append(&s_box.log, 3, s_box.next_seq, 1, bytes, 7), FLASH_LOG_OK); /* an offset */
    len_bytes = record_encode(&stamped, body, RECORD_MAX_BYTES);
    assert_int_equal(flash_log_append(&s_box.log, 2, s_box.next_seq++, 1, bytes, len_bytes), FLASH_LOG_OK);
    put(6);
    mount(2);
    uint32_t seq = s_box.first_seq;
    assert_next(&seq, 1);
    assert_next(&seq, 6);
    assert_end(&seq);
    assert_int_equal(s_box.dropped, 4);
}

static void what_is_behind_a_record_that_lost_its_header_is_found(void **state)
{
    (void)state;
    put_until(1, 30);
    memset(s_medium + FLASH_LOG_SECTOR_HEADER_BYTES, 0, 3 * FLASH_LOG_RECORD_HEADER_BYTES);
    mount(2);
    assert_holds(2, 30);
    assert_true(outbox_discard(&s_box, s_box.first_seq + 1)); /* of the one that is lost: nothing to mark */
    assert_holds(2, 30);
    assert_true(outbox_discard(&s_box, s_box.first_seq + 1));
    assert_holds(3, 30);
}

static void a_sector_full_of_headers_without_records_does_not_hold_up_for_long(void **state)
{
    (void)state;
    put(1);
    for (uint32_t at = 500; at + 44 < OUTBOX_SECTOR_BYTES; at += 44) { /* each claims to be long, and is not right */
        memcpy(s_medium + at, s_medium + FLASH_LOG_SECTOR_HEADER_BYTES, 44);
    }
    mount(2);
    uint64_t bytes = s_flash.read_bytes;
    uint32_t seq = s_box.first_seq;
    assert_next(&seq, 1);
    assert_end(&seq);
    assert_true(s_flash.read_bytes - bytes < 8 * OUTBOX_SECTOR_BYTES);
    put(2);
    put(3);
    mount(3);
    seq = s_box.next_seq - 1;
    assert_next(&seq, 3);
}

/* Sectors that fail. */

static void a_sector_that_can_not_be_erased_is_passed_over_and_counted(void **state)
{
    (void)state;
    s_flash.bad_sector[1] = true;
    put_until(1, 1000);
    assert_true(s_box.log.bad > 3);
    uint32_t depth = outbox_depth(&s_box);
    assert_true(depth > 60);
    assert_holds(1000 - depth, 1000);
    mount(2);
    assert_int_equal(outbox_depth(&s_box), depth);
    assert_holds(1000 - depth, 1000);
}

static void what_a_sector_that_fails_now_still_says_of_a_former_round_is_not_believed(void **state)
{
    (void)state;
    put_until(1, 200);
    s_flash.tear = FAKE_FLASH_TEAR_NONE;
    s_flash.bad_sector[2] = true;
    put_until(200, 1000);
    uint32_t depth = outbox_depth(&s_box);
    mount(2);
    assert_int_equal(outbox_depth(&s_box), depth);
    assert_holds(1000 - depth, 1000);
}

static void a_write_that_fails_is_done_again_elsewhere(void **state)
{
    (void)state;
    for (int tear = 0; tear < FAKE_FLASH_TEARS; tear++) {
        for (int silent = 0; silent < 2; silent++) {
            for (uint32_t after = 1; after < 5; after++) {
                new_flash(4);
                mount(1);
                put_until(1, 40);
                s_flash.tear = (fake_flash_tear_t)tear;
                s_flash.fail_silently = silent == 1;
                s_flash.fail_writes_from = s_flash.writes + 1;
                s_flash.fail_writes_to = s_flash.writes + after;
                put_until(40, 60);
                uint32_t seq = s_box.first_seq, expected = 1;
                for (int round = 0; round < 2; round++) {
                    sample_t found;
                    while (outbox_read(&s_box, &seq, &found) == OUTBOX_FOUND) {
                        /* A write that failed may be there all the same: then it is there twice, at worst. */
                        assert_true(id_of(&found) == expected || id_of(&found) == expected - 1);
                        expected = id_of(&found) + 1;
                        seq++;
                    }
                    assert_int_equal(expected, 60);
                    mount(2);
                    seq = s_box.first_seq;
                    expected = 1;
                }
            }
        }
    }
}

static void a_sector_that_only_says_that_it_is_erased_is_passed_over(void **state)
{
    (void)state;
    put_until(1, 300);
    s_flash.fail_silently = true;
    s_flash.tear = FAKE_FLASH_TEAR_BITS;
    s_flash.fail_erases_from = s_flash.fail_erases_to = s_flash.erases + 1;
    uint32_t bad = s_box.log.bad;
    put_until(300, 350);
    assert_int_equal(s_box.log.bad, bad + 1);
    assert_holds(350 - outbox_depth(&s_box), 350);
}

static void a_reader_at_the_end_goes_on_when_the_flash_works_again(void **state)
{
    (void)state;
    put_until(1, 10);
    uint32_t seq = s_box.first_seq;
    for (uint32_t id = 1; id < 10; id++) {
        assert_next(&seq, id);
    }
    s_flash.fail_writes_from = s_flash.writes + 1;
    s_flash.fail_erases_from = 1;
    sample_t sample = sample_of(10, 3);
    assert_false(outbox_put(&s_box, &sample));
    assert_end(&seq);
    assert_end(&seq);
    s_flash.fail_writes_from = s_flash.fail_erases_from = 0;
    put(10);
    assert_next(&seq, 10);
    assert_end(&seq);
}

static void a_head_whose_records_can_not_be_read_is_left(void **state)
{
    (void)state;
    put_until(1, 20);
    uint32_t next_seq = s_box.next_seq;
    s_flash.fail_reads_from = s_flash.reads + 2 * s_box.log.sectors + 1; /* behind all headers */
    s_flash.fail_reads_to = s_flash.fail_reads_from + 2;
    mount(2);
    assert_true(s_box.next_seq > next_seq);
    put(20);
    uint32_t seq = s_box.first_seq;
    for (uint32_t id = 1; id <= 20; id++) {
        assert_next(&seq, id);
    }
}

static void a_flash_that_takes_nothing_is_tried_ever_more_seldom(void **state)
{
    (void)state;
    new_flash(BENCH_MAX_SECTORS);
    mount(1);
    put_until(1, 1500);
    uint32_t depth = outbox_depth(&s_box);
    s_flash.fail_writes_from = s_flash.writes + 1; /* erases go well: each try costs a sector */
    sample_t sample = sample_of(5000, 3);
    for (uint32_t i = 0; i < 1440; i++) {
        assert_false(outbox_put(&s_box, &sample));
    }
    assert_true(outbox_depth(&s_box) > depth / 3);
    assert_true(s_flash.writes < 1600 + 200);
    s_flash.fail_writes_from = 0;
    bool taken = false;
    for (uint32_t i = 0; i < 64 && !taken; i++) {
        taken = outbox_put(&s_box, &sample);
    }
    assert_true(taken);
    assert_true(outbox_put(&s_box, &sample));
}

static void what_can_not_be_read_is_tried_again_and_then_passed_over(void **state)
{
    (void)state;
    put_until(1, 151);
    assert_int_equal(s_box.log.used, 4);
    uint32_t seq = s_box.first_seq, id = 1;
    s_flash.bad_read_sector[1] = true;
    s_flash.bad_read_sector[2] = true;
    sample_t found;
    outbox_read_t result;
    uint32_t unreadable = 0, last = 0;
    while ((result = outbox_read(&s_box, &seq, &found)) != OUTBOX_END) {
        if (result == OUTBOX_UNREADABLE) {
            unreadable++;
            continue;
        }
        last = id_of(&found);
        id++;
        seq++;
    }
    assert_int_equal(unreadable, 2 * (OUTBOX_READ_TRIES - 1));
    assert_int_equal(last, 150);
    assert_int_equal(s_box.dropped, 150 - (id - 1));
    s_flash.bad_read_sector[1] = s_flash.bad_read_sector[2] = false;
    assert_holds(1, 151); /* it is not lost for all that */
}

static void a_body_that_can_not_be_read_is_tried_again_and_then_passed_over(void **state)
{
    (void)state;
    put_until(1, 4);
    uint32_t seq = s_box.first_seq;
    assert_next(&seq, 1);
    s_flash.fail_reads = true;
    sample_t found;
    for (uint32_t i = 0; i + 1 < OUTBOX_READ_TRIES; i++) {
        assert_int_equal(outbox_read(&s_box, &seq, &found), OUTBOX_UNREADABLE);
    }
    s_flash.fail_reads = false;
    assert_next(&seq, 2);
}

static void each_read_of_a_record_may_fail_for_a_while(void **state)
{
    (void)state;
    put_until(1, 4);
    for (uint32_t failing = 1; failing <= 5; failing++) {
        uint32_t seq = s_box.first_seq;
        sample_t found;
        s_flash.fail_reads_from = s_flash.reads + failing;
        s_flash.fail_reads_to = s_flash.fail_reads_from + 2; /* as often as one is tried */
        outbox_read_t result = outbox_read(&s_box, &seq, &found);
        assert_true(result == OUTBOX_UNREADABLE || result == OUTBOX_FOUND);
        s_flash.fail_reads_from = 0;
        assert_next(&seq, result == OUTBOX_FOUND ? id_of(&found) : 1);
    }
}

/* The last record's body is looked at too: whether it is whole can't be told then. */
static void a_start_that_can_not_read_everything_goes_on_with_what_it_reads(void **state)
{
    (void)state;
    put_until(1, 40);
    mount(2);
    uint32_t before = s_flash.reads;
    mount(3);
    uint32_t reads = s_flash.reads - before;
    for (uint32_t failing = 1; failing <= reads; failing++) {
        s_flash.fail_reads_from = s_flash.reads + failing;
        s_flash.fail_reads_to = s_flash.fail_reads_from + 2;
        (void)outbox_mount(&s_box, &s_flash.port, 4);
    }
    s_flash.fail_reads_from = 0;
    mount(5);
    assert_holds(1, 40);
}

static void a_place_in_a_sector_that_is_gone_becomes_the_oldest(void **state)
{
    (void)state;
    flash_log_place_t place = flash_log_oldest(&s_box.log);
    flash_log_record_t record;
    put_until(1, 20);
    assert_int_equal(flash_log_next(&s_box.log, &place, &record), FLASH_LOG_OK);
    put_until(20, 500);
    assert_int_equal(flash_log_next(&s_box.log, &place, &record), FLASH_LOG_OK);
    assert_int_equal(record.seq, s_box.first_seq);
}

/* No life writes this; a flash that lies might. */
static void numbers_that_go_back_leave_an_outbox_that_works(void **state)
{
    (void)state;
    uint8_t bytes[FLASH_LOG_RECORD_HEADER_BYTES + RECORD_MAX_BYTES + 4];
    sample_t sample = sample_of(3, 3);
    put(1);
    size_t len_bytes = record_encode(&sample, bytes + FLASH_LOG_RECORD_HEADER_BYTES, RECORD_MAX_BYTES);
    uint32_t at = s_box.log.offset_bytes;
    assert_int_equal(flash_log_append(&s_box.log, 1, 500, 1, bytes, len_bytes), FLASH_LOG_OK);
    s_medium[at + 1] = 0;
    assert_int_equal(flash_log_append(&s_box.log, 1, 5, 1, bytes, len_bytes), FLASH_LOG_OK);
    mount(2);
    assert_int_equal(outbox_depth(&s_box), 0);
    put(7);
    uint32_t seq = s_box.next_seq - 1;
    sample_t found;
    assert_true(outbox_read(&s_box, &seq, &found) != OUTBOX_UNREADABLE);
}

static void a_number_that_was_not_given_yet_leads_no_reader_away(void **state)
{
    (void)state;
    uint8_t bytes[FLASH_LOG_RECORD_HEADER_BYTES + RECORD_MAX_BYTES + 4];
    put(1);
    for (uint32_t id = 2; id <= 3; id++) {
        sample_t sample = sample_of(id, 3);
        size_t len_bytes = record_encode(&sample, bytes + FLASH_LOG_RECORD_HEADER_BYTES, RECORD_MAX_BYTES);
        uint32_t seq = id == 2 ? 500 : 2;
        assert_int_equal(flash_log_append(&s_box.log, 1, seq, 1, bytes, len_bytes), FLASH_LOG_OK);
    }
    mount(2);
    uint32_t seq = s_box.first_seq;
    assert_next(&seq, 1);
    assert_next(&seq, 3);
    assert_end(&seq);
    put(4);
    assert_next(&seq, 4);
    assert_end(&seq);
}

/* Beyond half of all numbers the last one would count as before the first, and a reader begin anew for ever. */
static void numbers_that_are_too_far_apart_are_none(void **state)
{
    (void)state;
    flash_log_t log;
    flash_log_end_t log_end;
    assert_true(flash_log_mount(&log, &s_flash.port, 3, &log_end));
    assert_true(flash_log_open(&log, 0x80000002, 1));
    assert_true(flash_log_open(&log, 0, 1));
    mount(2);
    assert_true(outbox_depth(&s_box) < 1000);
    put_until(1, 20);
    uint32_t seq = s_box.first_seq;
    for (uint32_t id = 1; id < 20; id++) {
        assert_next(&seq, id);
    }
    assert_end(&seq);
    assert_true(outbox_discard(&s_box, seq));
    mount(3);
    assert_int_equal(outbox_depth(&s_box), 0);
}

static void a_head_that_can_not_be_read_is_left_and_its_numbers_are_not_given_again(void **state)
{
    (void)state;
    put_until(1, 40);
    uint32_t next_seq = s_box.next_seq;
    s_flash.bad_read_sector[1] = true;
    mount(2);
    s_flash.bad_read_sector[1] = false;
    put(40);
    assert_true(s_box.next_seq > next_seq);
    uint32_t seq = s_box.next_seq - 1;
    assert_next(&seq, 40);
}

static void sectors_wear_alike(void **state)
{
    (void)state;
    new_flash(7);
    mount(1);
    put_until(1, 5000);
    uint32_t least = UINT32_MAX, most = 0;
    for (uint32_t sector = 0; sector < 7; sector++) {
        least = s_flash.sector_erases[sector] < least ? s_flash.sector_erases[sector] : least;
        most = s_flash.sector_erases[sector] > most ? s_flash.sector_erases[sector] : most;
    }
    assert_true(most - least <= 1 && least > 10);
}

/* Time. */

static void assert_next_at(uint32_t *seq, uint32_t id, int64_t unix_s)
{
    sample_t found, expected = sample_of(id, 3);
    assert_int_equal(outbox_read(&s_box, seq, &found), OUTBOX_FOUND);
    assert_same_readings(&found, &expected);
    assert_true(found.moment.stamped);
    assert_int_equal(found.moment.unix_s, unix_s);
    (*seq)++;
}

static void what_was_measured_before_the_clock_was_set_waits_and_is_stamped_then(void **state)
{
    (void)state;
    sample_t found;
    uint32_t seq = s_box.first_seq;
    put_waiting(3); /* 3,007 ms */
    assert_int_equal(outbox_read(&s_box, &seq, &found), OUTBOX_WAITS_FOR_CLOCK);
    assert_int_equal(outbox_read(&s_box, &seq, &found), OUTBOX_WAITS_FOR_CLOCK);
    put_waiting(4);
    assert_true(outbox_set_offset(&s_box, (int64_t)FIRST_UNIX_S * 1000 + 992));
    assert_next_at(&seq, 3, FIRST_UNIX_S + 3);
    assert_next_at(&seq, 4, FIRST_UNIX_S + 4);
    assert_end(&seq);
}

static void a_reading_is_stamped_the_same_after_a_reboot(void **state)
{
    (void)state;
    put_waiting(3);
    put_waiting(4);
    assert_true(outbox_set_offset(&s_box, (int64_t)FIRST_UNIX_S * 1000));
    assert_true(outbox_set_offset(&s_box, 77)); /* the first one counts */
    put(500);
    for (uint32_t boot = 2; boot < 4; boot++) {
        mount(boot);
        assert_true(outbox_set_offset(&s_box, 99)); /* of this boot, which has nothing that waits */
        uint32_t seq = s_box.first_seq;
        assert_next_at(&seq, 3, FIRST_UNIX_S + 3);
        assert_next_at(&seq, 4, FIRST_UNIX_S + 4);
        assert_next(&seq, 500);
        assert_end(&seq);
    }
    assert_int_equal(s_box.dropped, 0);
}

static void an_offset_is_kept_only_when_something_waits_for_it(void **state)
{
    (void)state;
    put(1);
    uint32_t writes = s_flash.writes;
    assert_true(outbox_set_offset(&s_box, 5));
    assert_int_equal(s_flash.writes, writes);
    put(2);
    assert_int_equal(s_flash.writes, writes + 1);
}

static void what_waits_although_the_offset_is_known_is_stamped_after_a_reboot_too(void **state)
{
    (void)state;
    assert_true(outbox_set_offset(&s_box, (int64_t)FIRST_UNIX_S * 1000));
    put_waiting(3);
    put_waiting(4);
    mount(2);
    uint32_t seq = s_box.first_seq;
    assert_next_at(&seq, 3, FIRST_UNIX_S + 3);
    assert_next_at(&seq, 4, FIRST_UNIX_S + 4);
}

static void a_boot_that_never_knew_the_time_is_passed_over_and_counted(void **state)
{
    (void)state;
    put(1);
    put_waiting(2);
    put_waiting(3);
    mount(2);
    put_waiting(4);
    put_waiting(5);
    mount(3);
    put(6);
    assert_true(outbox_set_offset(&s_box, (int64_t)FIRST_UNIX_S * 1000));
    uint32_t seq = s_box.first_seq;
    assert_next(&seq, 1);
    assert_next(&seq, 6);
    assert_int_equal(s_box.dropped, 4);
    seq = s_box.first_seq;
    assert_next(&seq, 1);
    assert_next(&seq, 6);
    assert_int_equal(s_box.dropped, 4);
}

static void many_boots_that_never_knew_the_time_are_passed_over_quickly(void **state)
{
    (void)state;
    new_flash(BENCH_MAX_SECTORS);
    for (uint32_t boot = 1; boot <= 1000; boot++) {
        mount(boot);
        put_waiting(boot);
        put_waiting(boot);
    }
    mount(1001);
    put(5);
    uint32_t reads = s_flash.reads, seq = s_box.first_seq;
    assert_next(&seq, 5);
    assert_int_equal(s_box.dropped, outbox_depth(&s_box) - 1);
    assert_true(s_flash.reads - reads < 4 * 2000);
}

static void a_boot_number_that_was_there_before_is_not_given_twice(void **state)
{
    (void)state;
    mount(7);
    put_waiting(3);
    assert_true(outbox_set_offset(&s_box, (int64_t)FIRST_UNIX_S * 1000));
    mount(7); /* the counter was not kept */
    assert_int_equal(s_box.boot, 8);
    put_waiting(4);
    sample_t found;
    uint32_t seq = s_box.first_seq;
    assert_next_at(&seq, 3, FIRST_UNIX_S + 3);
    assert_int_equal(outbox_read(&s_box, &seq, &found), OUTBOX_WAITS_FOR_CLOCK);
    mount(1); /* it was lost */
    assert_int_equal(s_box.boot, 9);
}

static void an_offset_that_could_not_be_written_is_written_with_the_next_record(void **state)
{
    (void)state;
    new_flash(8);
    mount(1);
    put_waiting(3);
    s_flash.fail_writes_from = s_flash.writes + 1;
    assert_false(outbox_set_offset(&s_box, (int64_t)FIRST_UNIX_S * 1000));
    uint32_t seq = s_box.first_seq;
    assert_next_at(&seq, 3, FIRST_UNIX_S + 3); /* it is known all the same */
    s_flash.fail_writes_from = 0;
    assert_true(outbox_set_offset(&s_box, 0));
    mount(2);
    seq = s_box.first_seq;
    assert_next_at(&seq, 3, FIRST_UNIX_S + 3);
}

static void an_offset_that_rotted_is_none(void **state)
{
    (void)state;
    put_waiting(3);
    uint32_t at = s_box.log.offset_bytes;
    assert_true(outbox_set_offset(&s_box, (int64_t)FIRST_UNIX_S * 1000));
    put(4);
    fake_flash_rot(&s_flash, at + FLASH_LOG_RECORD_HEADER_BYTES, 1);
    mount(2);
    assert_holds(4, 5);
    assert_int_equal(s_box.dropped, 1);
}

static void an_offset_that_can_not_be_read_now_is_asked_for_again(void **state)
{
    (void)state;
    sample_t found;
    put_waiting(3);
    uint32_t seq = s_box.first_seq;
    put_until(100, 150); /* the offset is in the next sector */
    assert_int_equal(s_box.log.generation, 2);
    assert_true(outbox_set_offset(&s_box, (int64_t)FIRST_UNIX_S * 1000));
    mount(2);
    s_flash.bad_read_sector[1] = true;
    assert_int_equal(outbox_read(&s_box, &seq, &found), OUTBOX_UNREADABLE);
    s_flash.bad_read_sector[1] = false;
    assert_next_at(&seq, 3, FIRST_UNIX_S + 3);
}

static void a_moment_from_which_no_time_comes_is_passed_over(void **state)
{
    (void)state;
    put_waiting(3);
    put(4);
    assert_true(outbox_set_offset(&s_box, -100000));
    assert_holds(4, 5);
    mount(2);
    put_waiting(5);
    assert_true(outbox_set_offset(&s_box, INT64_MAX - 10000));
    assert_holds(4, 5);
}

#define FACT(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FACT(a_blank_area_is_an_empty_outbox_and_mounting_writes_nothing),
        FACT(what_is_put_is_read_in_order),
        FACT(what_comes_after_the_end_was_read_is_found_too),
        FACT(what_was_put_is_there_after_a_reboot),
        FACT(what_is_discarded_is_gone_also_after_a_reboot),
        FACT(a_discard_programs_one_byte_and_erases_nothing),
        FACT(a_discard_of_more_than_there_is_discards_what_there_is),
        FACT(a_discard_that_the_flash_refuses_is_none),
        FACT(reading_one_after_the_other_reads_each_byte_about_once),
        FACT(at_the_end_the_oldest_sector_goes_and_is_counted),
        FACT(what_is_done_with_is_not_counted_when_it_goes),
        FACT(a_reader_in_a_sector_that_went_goes_on_with_the_oldest),
        FACT(two_sectors_are_enough_and_one_is_not),
        FACT(of_a_larger_area_only_so_many_sectors_are_used),
        FACT(the_longest_record_fits),
        FACT(what_is_no_sample_is_not_kept),
        FACT(sequence_numbers_go_round),
        FACT(an_area_of_other_contents_is_begun_anew),
        FACT(an_area_of_a_former_format_is_begun_anew),
        FACT(an_area_that_can_not_be_read_is_said_so),
        FACT(a_record_with_a_bit_that_rotted_is_passed_over_and_counted_once),
        FACT(any_one_bit_that_rots_costs_a_record_or_at_most_its_sector),
        FACT(some_bits_of_a_mark_do_not_finish_what_nobody_sent),
        FACT(a_mark_on_an_offset_finishes_nothing),
        FACT(the_last_record_may_rot_after_it_was_done_with),
        FACT(what_is_lost_needs_no_mark_to_be_done_with),
        FACT(records_whose_contents_make_no_sense_are_passed_over),
        FACT(what_is_behind_a_record_that_lost_its_header_is_found),
        FACT(a_sector_full_of_headers_without_records_does_not_hold_up_for_long),
        FACT(a_sector_that_can_not_be_erased_is_passed_over_and_counted),
        FACT(what_a_sector_that_fails_now_still_says_of_a_former_round_is_not_believed),
        FACT(a_write_that_fails_is_done_again_elsewhere),
        FACT(a_sector_that_only_says_that_it_is_erased_is_passed_over),
        FACT(a_reader_at_the_end_goes_on_when_the_flash_works_again),
        FACT(a_head_whose_records_can_not_be_read_is_left),
        FACT(a_flash_that_takes_nothing_is_tried_ever_more_seldom),
        FACT(what_can_not_be_read_is_tried_again_and_then_passed_over),
        FACT(a_body_that_can_not_be_read_is_tried_again_and_then_passed_over),
        FACT(each_read_of_a_record_may_fail_for_a_while),
        FACT(a_start_that_can_not_read_everything_goes_on_with_what_it_reads),
        FACT(a_place_in_a_sector_that_is_gone_becomes_the_oldest),
        FACT(numbers_that_go_back_leave_an_outbox_that_works),
        FACT(a_number_that_was_not_given_yet_leads_no_reader_away),
        FACT(numbers_that_are_too_far_apart_are_none),
        FACT(a_head_that_can_not_be_read_is_left_and_its_numbers_are_not_given_again),
        FACT(sectors_wear_alike),
        FACT(what_was_measured_before_the_clock_was_set_waits_and_is_stamped_then),
        FACT(a_reading_is_stamped_the_same_after_a_reboot),
        FACT(an_offset_is_kept_only_when_something_waits_for_it),
        FACT(what_waits_although_the_offset_is_known_is_stamped_after_a_reboot_too),
        FACT(a_boot_that_never_knew_the_time_is_passed_over_and_counted),
        FACT(many_boots_that_never_knew_the_time_are_passed_over_quickly),
        FACT(a_boot_number_that_was_there_before_is_not_given_twice),
        FACT(an_offset_that_could_not_be_written_is_written_with_the_next_record),
        FACT(an_offset_that_rotted_is_none),
        FACT(an_offset_that_can_not_be_read_now_is_asked_for_again),
        FACT(a_moment_from_which_no_time_comes_is_passed_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
