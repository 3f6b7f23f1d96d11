/* A year at a message a minute: what it wears, and how long a start takes then. */
#include <time.h>

#include "outbox_bench.h"

#define MINUTES_OF_YEAR (365 * 24 * 60)
#define SECTORS 32 /* 128 KiB */
#define WINDOW_MINUTES 2
/* Data sheets of the ESP32's flash chips (Winbond W25Q32JV, 2.2): 100,000 cycles. */
#define ERASE_CYCLES 100000

static double seconds_of(clock_t ticks)
{
    return (double)ticks / CLOCKS_PER_SEC;
}

static void a_year_online_wears_a_sector_by_a_hundredth(void **state)
{
    (void)state;
    new_flash(SECTORS);
    assert_true(outbox_mount(&s_box, &s_flash.port, 1));
    uint32_t seq = s_box.first_seq, sent = 0;
    for (uint32_t minute = 1; minute <= MINUTES_OF_YEAR; minute++) {
        sample_t sample = sample_of(minute, 5), found;
        assert_true(outbox_put(&s_box, &sample));
        assert_int_equal(outbox_read(&s_box, &seq, &found), OUTBOX_FOUND);
        assert_int_equal(id_of(&found), minute);
        seq++;
        sent++;
        if (outbox_depth(&s_box) > WINDOW_MINUTES) {
            assert_true(outbox_discard(&s_box, seq - WINDOW_MINUTES));
        }
    }
    assert_int_equal(sent, MINUTES_OF_YEAR);
    assert_int_equal(s_box.dropped, 0);
    assert_int_equal(s_flash.misuses, 0);
    uint32_t most = 0;
    for (uint32_t sector = 0; sector < SECTORS; sector++) {
        most = s_flash.sector_erases[sector] > most ? s_flash.sector_erases[sector] : most;
    }
    print_message("a year in %u sectors: %u erases of the most worn one, %.0f bytes and %.2f reads a record\n",
                  (unsigned)SECTORS, (unsigned)most, (double)s_flash.written_bytes / MINUTES_OF_YEAR,
                  (double)s_flash.reads / MINUTES_OF_YEAR);
    assert_true(most < ERASE_CYCLES / 100);
}

static void a_start_reads_no_more_than_its_area_twice(void **state)
{
    (void)state;
    new_flash(BENCH_MAX_SECTORS);
    assert_true(outbox_mount(&s_box, &s_flash.port, 1));
    for (uint32_t minute = 1; minute <= 6000; minute++) { /* all offline: no mark ends the search early */
        sample_t sample = sample_of(minute, 5);
        assert_true(outbox_put(&s_box, &sample));
    }
    uint32_t reads = s_flash.reads;
    uint64_t bytes = s_flash.read_bytes;
    clock_t began = clock();
    assert_true(outbox_mount(&s_box, &s_flash.port, 2));
    print_message("a start with %u records in %u sectors: %u reads, %u bytes, %.4f s\n", (unsigned)outbox_depth(&s_box),
                  (unsigned)BENCH_MAX_SECTORS, (unsigned)(s_flash.reads - reads),
                  (unsigned)(s_flash.read_bytes - bytes), seconds_of(clock() - began));
    assert_true(s_flash.read_bytes - bytes < 2 * s_flash.port.size_bytes);
    assert_true(outbox_discard(&s_box, s_box.next_seq));
    reads = s_flash.reads;
    assert_true(outbox_mount(&s_box, &s_flash.port, 3));
    print_message("a start with none to send: %u reads\n", (unsigned)(s_flash.reads - reads));
    assert_true(s_flash.reads - reads < 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_year_online_wears_a_sector_by_a_hundredth),
        cmocka_unit_test(a_start_reads_no_more_than_its_area_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
