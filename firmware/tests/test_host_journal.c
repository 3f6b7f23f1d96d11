#include "port/posix/host_journal.h"

#include <stdlib.h>
#include <unistd.h>

#include "outbox_bench.h"
#include "port/posix/posix_file.h"

#define SECTORS 4

static host_journal_t s_journal;
static char s_path[64];

static int begin(void **state)
{
    (void)state;
    new_flash(SECTORS);
    assert_true(outbox_mount(&s_box, &s_flash.port, 1));
    (void)snprintf(s_path, sizeof(s_path), "/tmp/tds-journal-%d", (int)getpid());
    assert_true(host_journal_open(&s_journal, s_path, &s_box));
    return 0;
}

static int end(void **state)
{
    (void)state;
    host_journal_close(&s_journal);
    unlink(s_path);
    return 0;
}

static void assert_written(const char *wanted)
{
    size_t len = 0;
    char *text = posix_file_read(s_path, &len);
    assert_non_null(text);
    assert_string_equal(text, wanted);
    free(text);
}

static void put_waiting(uint32_t id, uint64_t since_boot_ms)
{
    sample_t sample = sample_of(id, 1);
    sample.moment = (moment_t){.boot = 1, .since_boot_ms = since_boot_ms};
    assert_true(outbox_put(&s_box, &sample));
}

static void it_says_what_the_outbox_took_and_for_which_time(void **state)
{
    (void)state;
    sample_t sample;
    assert_true(sample_init(&sample, "D01"));
    assert_true(sample_add(&sample, "uma \"aspa\"", "°C", (decimal_t){.digits = -215, .places = 1}));
    assert_true(sample_add(&sample, "energia", "kWh", (decimal_t){.digits = 123456, .places = 3}));
    sample.moment = (moment_t){.stamped = true, .unix_s = FIRST_UNIX_S};
    assert_true(outbox_put(&s_box, &sample));
    host_journal_step(&s_journal, &s_box);
    host_journal_step(&s_journal, &s_box);
    assert_written("{\"seq\":1,\"device\":\"D01\",\"time\":1780000000,\"readings\":"
                   "[[\"uma \\\"aspa\\\"\",\"°C\",-215,1],[\"energia\",\"kWh\",123456,3]]}\n");
}

static void what_waits_for_the_clock_is_written_when_it_has_a_time(void **state)
{
    (void)state;
    put_waiting(2, 5000);
    host_journal_step(&s_journal, &s_box);
    assert_written("");
    assert_true(outbox_set_offset(&s_box, (int64_t)FIRST_UNIX_S * 1000));
    host_journal_step(&s_journal, &s_box);
    assert_written("{\"seq\":1,\"device\":\"D01\",\"time\":1780000005,\"readings\":[[\"id\",\"\",2,0]]}\n");
}

static void after_a_restart_what_is_still_kept_is_written_again_and_the_same(void **state)
{
    (void)state;
    sample_t sample = sample_of(1, 1);
    assert_true(outbox_put(&s_box, &sample));
    host_journal_step(&s_journal, &s_box);
    host_journal_close(&s_journal);
    assert_true(outbox_mount(&s_box, &s_flash.port, 2));
    assert_true(host_journal_open(&s_journal, s_path, &s_box));
    host_journal_step(&s_journal, &s_box);
    assert_written("{\"seq\":1,\"device\":\"SYS\",\"time\":1780000060,\"readings\":[[\"id\",\"\",1,0]]}\n"
                   "{\"seq\":1,\"device\":\"SYS\",\"time\":1780000060,\"readings\":[[\"id\",\"\",1,0]]}\n");
}

static void the_devices_own_place_in_its_outbox_stays(void **state)
{
    (void)state;
    for (uint32_t id = 1; id <= 3; id++) {
        sample_t sample = sample_of(id, 1);
        assert_true(outbox_put(&s_box, &sample));
    }
    uint32_t seq = s_box.first_seq;
    sample_t read;
    assert_int_equal(outbox_read(&s_box, &seq, &read), OUTBOX_FOUND);
    outbox_t before = s_box;
    host_journal_step(&s_journal, &s_box);
    assert_memory_equal(&before, &s_box, sizeof(before));
    assert_int_equal(s_flash.misuses, 0);
}

static void a_file_that_can_not_be_written_is_told(void **state)
{
    (void)state;
    host_journal_t other;
    assert_false(host_journal_open(&other, "/proc/none/journal", &s_box));
    assert_true(host_journal_open(&other, NULL, &s_box));
    host_journal_step(&other, &s_box);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(it_says_what_the_outbox_took_and_for_which_time, begin, end),
        cmocka_unit_test_setup_teardown(what_waits_for_the_clock_is_written_when_it_has_a_time, begin, end),
        cmocka_unit_test_setup_teardown(after_a_restart_what_is_still_kept_is_written_again_and_the_same, begin, end),
        cmocka_unit_test_setup_teardown(the_devices_own_place_in_its_outbox_stays, begin, end),
        cmocka_unit_test_setup_teardown(a_file_that_can_not_be_written_is_told, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
