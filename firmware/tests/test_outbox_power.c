/* Power goes at every write and erase of an outbox's life, torn in each way that flash tears, and it goes on. A model
 * beside it knows what was promised. */
#include "outbox_bench.h"

#define MAX_IDS 4000
#define SECTORS 3

typedef enum { NEVER_PUT, PUT_TRIED, PUT_KEPT } put_t;

typedef struct {
    put_t put;
    uint32_t seq;        /* when kept */
    uint32_t waits_boot; /* 0: came stamped */
    bool offset_kept;    /* set_offset() of its boot said true while it was there */
} known_t;

static known_t s_known[MAX_IDS];
static uint32_t s_next_id;
static uint32_t s_discarded_seq; /* the last discard that said true */
static uint32_t s_tried_discard_seq;
static bool s_discarded, s_tried_discard;
static uint32_t s_gone_seq; /* what the ring let go */

static int64_t offset_of(uint32_t boot)
{
    return ((int64_t)FIRST_UNIX_S + boot * 100000) * 1000;
}

static void begin_life(uint32_t sectors, uint64_t seed)
{
    new_flash(sectors);
    s_flash.random = seed;
    memset(s_known, 0, sizeof(s_known));
    s_next_id = 1;
    s_discarded = s_tried_discard = false;
    assert_true(outbox_mount(&s_box, &s_flash.port, 1));
    s_gone_seq = s_box.first_seq;
}

static sample_t sample_as_put(uint32_t id)
{
    uint32_t readings = 1 + id % 17;
    return s_known[id].waits_boot != 0 ? waiting_sample_of(id, readings, s_known[id].waits_boot)
                                       : sample_of(id, readings);
}

static void try_put(bool waiting)
{
    uint32_t id = s_next_id++;
    assert_true(id < MAX_IDS);
    s_known[id] = (known_t){.put = PUT_TRIED, .waits_boot = waiting ? s_box.boot : 0};
    sample_t sample = sample_as_put(id);
    bool had_offset = s_box.offset_known;
    if (outbox_put(&s_box, &sample)) {
        s_known[id].put = PUT_KEPT;
        s_known[id].seq = s_box.next_seq - 1;
        s_known[id].offset_kept = waiting && had_offset && !s_box.offset_due;
    }
}

static void try_set_offset(void)
{
    if (!outbox_set_offset(&s_box, offset_of(s_box.boot))) {
        return;
    }
    for (uint32_t id = 1; id < s_next_id; id++) {
        s_known[id].offset_kept = s_known[id].offset_kept || s_known[id].waits_boot == s_box.boot;
    }
}

static void try_discard(uint32_t count)
{
    uint32_t seq = s_box.first_seq + count;
    s_tried_discard = true;
    s_tried_discard_seq = flash_log_is_before(s_box.next_seq, seq) ? s_box.next_seq : seq;
    if (outbox_discard(&s_box, seq)) {
        s_discarded = true;
        s_discarded_seq = s_tried_discard_seq;
    }
}

/* What the ring let go is seen here while the power is still off: the outbox counted it before it heard of the cut. */
static void note_what_went(void)
{
    if (flash_log_is_before(s_gone_seq, s_box.first_seq)) {
        s_gone_seq = s_box.first_seq;
    }
}

static void read_all(bool rebooted)
{
    static bool found_ids[MAX_IDS];
    memset(found_ids, 0, sizeof(found_ids));
    uint32_t seq = s_box.first_seq, last_id = 0;
    sample_t found;
    outbox_read_t result;
    while ((result = outbox_read(&s_box, &seq, &found)) == OUTBOX_FOUND) {
        uint32_t id = id_of(&found);
        assert_true(id > 0 && id < s_next_id && s_known[id].put != NEVER_PUT); /* nothing is made up */
        /* In order, and none twice: but a write that could not be read back is done again. */
        assert_true(id > last_id || (id == last_id && s_flash.fail_reads_from != 0));
        last_id = id;
        found_ids[id] = true;
        sample_t expected = sample_as_put(id);
        assert_same_readings(&found, &expected);
        assert_true(found.moment.stamped);
        int64_t unix_s = s_known[id].waits_boot == 0
                             ? expected.moment.unix_s
                             : (offset_of(s_known[id].waits_boot) + (int64_t)expected.moment.since_boot_ms) / 1000;
        assert_int_equal(found.moment.unix_s, unix_s);
        if (s_known[id].put == PUT_KEPT && s_discarded) {
            assert_false(flash_log_is_before(s_known[id].seq, s_discarded_seq));
        }
        seq++;
    }
    assert_true(result == OUTBOX_END || (!rebooted && result == OUTBOX_WAITS_FOR_CLOCK));
    for (uint32_t id = 1; rebooted && id < s_next_id; id++) {
        bool promised = s_known[id].put == PUT_KEPT && !flash_log_is_before(s_known[id].seq, s_gone_seq) &&
                        (s_known[id].waits_boot == 0 || s_known[id].offset_kept) &&
                        !(s_tried_discard && flash_log_is_before(s_known[id].seq, s_tried_discard_seq));
        assert_true(!promised || found_ids[id]);
        /* What a torn discard finished stays so: no older one comes back later. */
        if (s_known[id].put != NEVER_PUT && !found_ids[id]) {
            s_known[id].put = NEVER_PUT;
        }
    }
}

static void reboot_and_check(void)
{
    note_what_went();
    fake_flash_power_on(&s_flash);
    assert_true(outbox_mount(&s_box, &s_flash.port, s_box.boot + 1));
    read_all(true);
    assert_int_equal(s_flash.misuses, 0);
}

/* The scripted life: each step, or nothing more once the power is off. */
static void live(bool reboots)
{
    for (uint32_t step = 0; step < 200 && !s_flash.power_is_off; step++) {
        if (step % 40 == 7) {
            try_set_offset();
        } else if (reboots && step % 40 == 25) { /* a reboot that nothing forced */
            note_what_went();
            assert_true(outbox_mount(&s_box, &s_flash.port, s_box.boot + 1));
        } else if (step % 11 == 5) {
            try_discard(step % 9);
        } else {
            try_put(step % 40 > 25 || step % 40 < 7);
        }
        note_what_went();
    }
}

static void power_that_goes_at_any_write_or_erase_loses_nothing_that_was_kept(void **state)
{
    (void)state;
    begin_life(SECTORS, 1);
    live(true);
    reboot_and_check();
    uint32_t operations = fake_flash_operations(&s_flash);
    assert_true(operations > 150 && s_flash.erases > 2 * SECTORS); /* the ring came round */
    for (int tear = 0; tear < FAKE_FLASH_TEARS; tear++) {
        for (uint32_t cut = 1; cut <= operations; cut++) {
            begin_life(SECTORS, cut * 31 + (uint32_t)tear);
            s_flash.cut_at = cut;
            s_flash.tear = (fake_flash_tear_t)tear;
            live(true);
            reboot_and_check();
            live(true); /* it goes on */
            reboot_and_check();
        }
    }
}

static void a_read_that_fails_once_loses_nothing(void **state)
{
    (void)state;
    begin_life(SECTORS, 1);
    uint32_t reads_before = s_flash.reads;
    live(true);
    uint32_t reads = s_flash.reads;
    assert_true(reads > 1000);
    for (uint32_t failing = reads_before + 1; failing <= reads; failing += 3) {
        begin_life(SECTORS, failing);
        s_flash.fail_reads_from = s_flash.fail_reads_to = failing;
        live(true);
        read_all(false);
        reboot_and_check();
    }
}

/* So often that it is given up: a put may say no then, but what was kept stays. */
static void reads_that_fail_for_a_while_lose_nothing_that_was_kept(void **state)
{
    (void)state;
    begin_life(SECTORS, 1);
    uint32_t reads_before = s_flash.reads;
    live(false);
    uint32_t reads = s_flash.reads;
    for (uint32_t failing = reads_before + 1; failing <= reads; failing += 3) {
        begin_life(SECTORS, failing);
        s_flash.fail_reads_from = failing;
        s_flash.fail_reads_to = failing + 2 + failing % 7;
        live(false);
        reboot_and_check();
    }
}

static void power_that_goes_again_and_again_loses_nothing_that_was_kept(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        begin_life(2 + (uint32_t)(seed % 5), seed);
        while (s_next_id < 900) {
            /* Mostly soon: in the middle of what the former cut left. */
            s_flash.cut_at =
                fake_flash_operations(&s_flash) + 1 + fake_flash_random(&s_flash) % (seed % 2 == 0 ? 8 : 80);
            s_flash.tear = (fake_flash_tear_t)(fake_flash_random(&s_flash) % FAKE_FLASH_TEARS);
            while (!s_flash.power_is_off && s_next_id < 900) {
                uint32_t what = fake_flash_random(&s_flash) % 16;
                if (what == 0) {
                    try_set_offset();
                } else if (what <= 3) {
                    try_discard(fake_flash_random(&s_flash) % 12);
                } else {
                    try_put(fake_flash_random(&s_flash) % 3 == 0);
                }
                note_what_went();
            }
            reboot_and_check();
        }
    }
}

/* A brown-out that comes back at each write must not use up the ring: the queue is what the device has to tell. */
static void a_device_that_dies_at_each_write_keeps_its_queue(void **state)
{
    (void)state;
    new_flash(8);
    assert_true(outbox_mount(&s_box, &s_flash.port, 1));
    for (uint32_t id = 1; id <= 200; id++) {
        sample_t sample = sample_of(id, 3);
        assert_true(outbox_put(&s_box, &sample));
    }
    for (uint32_t boot = 2; boot < 200; boot++) {
        s_flash.cut_at = fake_flash_operations(&s_flash) + 1;
        s_flash.tear = (fake_flash_tear_t)(boot % FAKE_FLASH_TEARS);
        sample_t sample = sample_of(boot + 1000, 3);
        assert_false(outbox_put(&s_box, &sample));
        fake_flash_power_on(&s_flash);
        assert_true(outbox_mount(&s_box, &s_flash.port, boot));
    }
    uint32_t seq = s_box.first_seq;
    for (uint32_t id = 1; id <= 200; id++, seq++) {
        sample_t found;
        assert_int_equal(outbox_read(&s_box, &seq, &found), OUTBOX_FOUND);
        assert_int_equal(id_of(&found), id);
    }
    assert_int_equal(s_flash.misuses, 0);
}

/* `descartadas` is what an operator looks at: it must not count what nobody was told is kept. */
static void a_put_that_power_cut_short_is_not_counted_as_dropped(void **state)
{
    (void)state;
    for (int tear = 0; tear < FAKE_FLASH_TEARS; tear++) {
        new_flash(8);
        assert_true(outbox_mount(&s_box, &s_flash.port, 1));
        for (uint32_t id = 1; id <= 60; id++) {
            sample_t sample = sample_of(id, 3), found;
            if (id % 3 == 0) {
                s_flash.cut_at = fake_flash_operations(&s_flash) + 1;
                s_flash.tear = (fake_flash_tear_t)tear;
            }
            if (!outbox_put(&s_box, &sample)) {
                fake_flash_power_on(&s_flash);
                assert_true(outbox_mount(&s_box, &s_flash.port, id));
            }
            uint32_t seq = s_box.first_seq;
            while (outbox_read(&s_box, &seq, &found) == OUTBOX_FOUND) {
                seq++;
            }
            assert_int_equal(s_box.dropped, 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(power_that_goes_at_any_write_or_erase_loses_nothing_that_was_kept),
        cmocka_unit_test(a_read_that_fails_once_loses_nothing),
        cmocka_unit_test(reads_that_fail_for_a_while_lose_nothing_that_was_kept),
        cmocka_unit_test(power_that_goes_again_and_again_loses_nothing_that_was_kept),
        cmocka_unit_test(a_put_that_power_cut_short_is_not_counted_as_dropped),
        cmocka_unit_test(a_device_that_dies_at_each_write_keeps_its_queue),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
