/* One update after the other, call by call: what comes of a request, of flash, settings and hashes that fail, and of a
 * start in each state. Whole stories are test_update_attacks.c's and test_update_power.c's. */
#include "update_bench.h"

#include "core/image.h"
#include "core/update.h"

#define NOW_S INT64_C(1780000000)
#define PIECE 4096u

static bench_t s_bench;
static update_t s_update;
static update_options_t s_options;
static uint8_t s_scratch[4096];
static uint64_t s_now_ms;

static void start(void)
{
    update_init(&s_update, &s_options, s_now_ms, 0x80000000u);
}

static int begin(void **state)
{
    (void)state;
    memset(&s_bench, 0, sizeof(s_bench));
    bench_begin(&s_bench, 5);
    s_now_ms = 1000;
    s_options = (update_options_t){.kv = &s_bench.world.kv.port,
                                   .ota = &s_bench.updates.slots.port,
                                   .crypto = &s_bench.updates.crypto.port,
                                   .chip_id = IMAGE_CHIP_HOST};
    start();
    return 0;
}

static int end(void **state)
{
    (void)state;
    bench_end(&s_bench);
    return 0;
}

static update_job_t job_of(const fake_image_t *image, uint64_t seq)
{
    update_job_t job = {.execution_id = "e-1",
                        .url = FAKE_UPDATES_URL "/a.bin",
                        .families = "dcu-all,dcu-0080",
                        .size_bytes = image->len_bytes,
                        .counter = 7,
                        .seq = seq,
                        .exp_unix_s = NOW_S + 1000,
                        .phase = PHASE_DOWNLOADING};
    memcpy(job.version, image->version, sizeof(job.version));
    memcpy(job.sha256, image->sha256, SHA256_BYTES);
    return job;
}

static void step(void)
{
    update_step(&s_update, s_now_ms, NOW_S, 0x80000000u, s_scratch, sizeof(s_scratch));
}

static bool accept(uint64_t seq)
{
    update_job_t job = job_of(&s_bench.next, seq);
    return update_accept(&s_update, &job, s_now_ms, NOW_S);
}

static void wait(void)
{
    if (s_update.due_ms != UINT64_MAX && s_update.due_ms > s_now_ms) {
        s_now_ms = s_update.due_ms;
    }
    step();
}

static http_request_t request(void)
{
    http_request_t found;
    assert_int_equal(s_update.state, UPDATE_FETCHING);
    assert_true(update_request(&s_update, &found));
    return found;
}

static void fetch(uint64_t seq)
{
    assert_true(accept(seq));
    step();
    (void)request();
}

static void answer(uint16_t status, uint32_t from_bytes)
{
    http_answer_t given = {.status = status, .from_bytes = from_bytes, .whole_bytes = -1, .etag = "\"e\""};
    if (status == 200 || status == 206) {
        given.whole_bytes = s_bench.next.len_bytes;
    }
    update_take_answer(&s_update, &given, s_now_ms, 0x80000000u);
}

/* Of the image from where it is. */
static void feed(uint32_t len_bytes)
{
    for (uint32_t done = 0; done < len_bytes && s_update.state == UPDATE_FETCHING;) {
        const uint32_t part = len_bytes - done < PIECE ? len_bytes - done : PIECE;
        update_take_piece(&s_update, s_bench.next.bytes + s_update.have_bytes, part, s_now_ms, 0x80000000u);
        done += part;
    }
}

static void ends(http_end_t how)
{
    update_take_end(&s_update, how, s_now_ms, 0x80000000u);
}

static void hash(void)
{
    for (int i = 0; i < 100 && s_update.state == UPDATE_HASHING; i++) {
        step();
    }
}

static void assert_failed(update_reason_t reason)
{
    assert_int_equal(s_update.state, UPDATE_IDLE);
    assert_false(s_update.memory.has_job);
    assert_int_equal(s_update.memory.last.status, STATUS_FAILED);
    assert_string_equal(update_reason_name(s_update.memory.last.reason), update_reason_name(reason));
    assert_true(s_update.has_news);
    assert_int_equal(s_bench.updates.crypto.under_way, 0);
}

static void to_leaving(uint64_t seq)
{
    fetch(seq);
    answer(200, 0);
    feed(s_bench.next.len_bytes);
    hash();
    assert_int_equal(s_update.state, UPDATE_LEAVING);
}

/* The boot loader starts the other slot, as pending. */
static void boot_new(image_state_t state)
{
    const port_flash_t *otadata = &s_bench.updates.otadata.port;
    otadata_t found;
    assert_true(otadata_read(otadata, &found));
    const int entry = otadata_entry_of(&found, 1);
    assert_true(entry >= 0);
    assert_true(otadata_set_state(otadata, entry, state));
    s_bench.updates.slots.running = 1;
    start();
}

static void an_update_goes_its_way(void **state)
{
    (void)state;
    to_leaving(1);
    assert_int_equal(s_update.phase, PHASE_REBOOTING);
    assert_false(s_update.to_reboot);
    update_told(&s_update, PHASE_REBOOTING, false, s_now_ms);
    assert_true(s_update.to_reboot);
    boot_new(IMAGE_PENDING_VERIFY);
    assert_int_equal(s_update.state, UPDATE_ON_TRIAL);
    assert_true(update_next_due_ms(&s_update, s_now_ms, NOW_S) == s_now_ms + UPDATE_TRIAL_S * S);
    update_proven(&s_update, s_now_ms);
    assert_int_equal(s_update.state, UPDATE_IDLE);
    assert_int_equal(s_update.memory.floor, 7);
    assert_int_equal(s_update.running.counter, 7);
    assert_int_equal(s_update.memory.last.status, STATUS_SUCCEEDED);
    start();
    assert_int_equal(s_update.running.counter, 7); /* also after the next start */
}

static void whoever_is_not_heard_restarts_all_the_same_after_a_while(void **state)
{
    (void)state;
    to_leaving(1);
    step();
    assert_false(s_update.to_reboot);
    s_now_ms += UPDATE_TELL_MS;
    step();
    assert_true(s_update.to_reboot);
    s_update.to_reboot = false;
    assert_true(s_update.due_ms == UINT64_MAX);
    update_told(&s_update, PHASE_DOWNLOADING, false, s_now_ms); /* of before */
    assert_false(s_update.to_reboot);
}

static void a_confirmation_that_the_boot_loader_does_not_take_is_none_and_is_tried_again(void **state)
{
    (void)state;
    to_leaving(1);
    boot_new(IMAGE_PENDING_VERIFY);
    s_bench.updates.otadata.fail_writes_from = s_bench.updates.otadata.writes + 1;
    s_bench.updates.otadata.fail_erases_from = s_bench.updates.otadata.erases + 1;
    update_proven(&s_update, s_now_ms);
    assert_int_equal(s_update.state, UPDATE_ON_TRIAL);
    assert_int_equal(s_update.memory.floor, 0);
    s_bench.updates.otadata.fail_writes_from = s_bench.updates.otadata.fail_erases_from = 0;
    update_proven(&s_update, s_now_ms);
    assert_int_equal(s_update.state, UPDATE_IDLE);
    assert_int_equal(s_update.memory.floor, 7);
}

static void a_reset_between_confirmation_and_record_is_a_success_all_the_same(void **state)
{
    (void)state;
    to_leaving(1);
    boot_new(IMAGE_VALID);
    assert_int_equal(s_update.state, UPDATE_IDLE);
    assert_int_equal(s_update.memory.last.status, STATUS_SUCCEEDED);
    assert_int_equal(s_update.memory.floor, 7);
}

static void a_trial_whose_time_is_over_goes_back_and_the_former_image_says_why(void **state)
{
    (void)state;
    s_options.trial_s = 20;
    to_leaving(1);
    boot_new(IMAGE_PENDING_VERIFY);
    s_now_ms += 20 * S - 1;
    step();
    assert_false(s_update.to_go_back);
    s_now_ms++;
    step();
    assert_true(s_update.to_go_back);
    assert_int_equal(s_update.state, UPDATE_GOING_BACK);
    update_proven(&s_update, s_now_ms); /* too late */
    s_bench.updates.slots.running = 0;
    start();
    assert_failed(REASON_NOT_CONFIRMED);
    assert_int_equal(s_update.memory.bad[0].failures, 1);
}

static void a_slot_that_can_not_be_set_to_boot_is_not_bootable(void **state)
{
    (void)state;
    fetch(1);
    answer(200, 0);
    s_bench.updates.otadata.fail_writes_from = s_bench.updates.otadata.writes + 1;
    s_bench.updates.otadata.fail_erases_from = s_bench.updates.otadata.erases + 1;
    feed(s_bench.next.len_bytes);
    hash();
    assert_failed(REASON_NOT_BOOTABLE);
    assert_int_equal(s_update.memory.bad[0].failures, 1);
}

static void a_slot_that_was_set_to_boot_and_did_not_is_looked_at_and_set_once_more(void **state)
{
    (void)state;
    to_leaving(1);
    fake_flash_blank(&s_bench.updates.otadata); /* nothing of it came there */
    start();
    assert_int_equal(s_update.state, UPDATE_HASHING);
    hash();
    assert_int_equal(s_update.state, UPDATE_LEAVING);
    fake_flash_blank(&s_bench.updates.otadata);
    start();
    assert_failed(REASON_ROLLED_BACK);
}

static void one_that_rotted_meanwhile_is_fetched_anew_and_not_set_to_boot(void **state)
{
    (void)state;
    to_leaving(1);
    fake_flash_blank(&s_bench.updates.otadata);
    fake_flash_rot(&s_bench.updates.slot_flash[1], 50000, 0x10);
    start();
    hash();
    assert_int_equal(s_update.state, UPDATE_FETCHING);
    assert_int_equal(s_update.have_bytes, 0);
    (void)request();
    answer(200, 0);
    feed(s_bench.next.len_bytes);
    hash();
    assert_int_equal(s_update.state, UPDATE_LEAVING);
}

static void any_hash_that_can_not_be_had_ends_it_or_is_had_again(void **state)
{
    (void)state;
    s_bench.updates.crypto.calls = 0;
    to_leaving(1);
    const uint32_t calls = s_bench.updates.crypto.calls;
    assert_in_range(calls, 20, 198);
    for (uint32_t fail = 1; fail <= calls + 1; fail++) {
        (void)end(state);
        (void)begin(state);
        s_bench.updates.crypto.calls = 0;
        s_bench.updates.crypto.fail_call = fail;
        fetch(1);
        answer(200, 0);
        feed(s_bench.next.len_bytes);
        hash();
        if (s_update.state == UPDATE_IDLE) {
            assert_int_equal(s_bench.updates.crypto.under_way, 0);
            assert_int_equal(s_update.memory.last.status, STATUS_FAILED);
            assert_int_equal(fake_flash_operations(&s_bench.updates.otadata), 0);
        } else {
            assert_int_equal(s_update.state, UPDATE_LEAVING);
        }
        s_bench.updates.crypto.fail_call = 0;
    }
}

static void an_image_that_runs_and_can_not_be_read_or_hashed_is_not_known(void **state)
{
    (void)state;
    s_bench.updates.slot_flash[0].fail_reads = true;
    start();
    assert_false(s_update.running.known);
    s_bench.updates.slot_flash[0].fail_reads = false;
    for (uint32_t fail = 1; fail < 10; fail++) {
        s_bench.updates.crypto.calls = 0;
        s_bench.updates.crypto.fail_call = fail;
        start();
        assert_int_equal(s_bench.updates.crypto.under_way, 0);
    }
    s_bench.updates.crypto.fail_call = 0;
    start();
    assert_true(s_update.running.known);
    assert_string_equal(s_update.running.version, "1.0.0");
    fake_flash_blank(&s_bench.updates.slot_flash[0]);
    start();
    assert_false(s_update.running.known);
}

static void a_slot_that_can_not_be_read_back_ends_it(void **state)
{
    (void)state;
    fetch(1);
    answer(200, 0);
    feed(s_bench.next.len_bytes);
    s_bench.updates.slot_flash[1].fail_reads = true;
    hash();
    assert_failed(REASON_FLASH_FAILED);
    s_bench.updates.slot_flash[1].fail_reads = false;
}

static void settings_that_take_nothing_any_more_end_it_wherever_it_is(void **state)
{
    (void)state;
    for (uint32_t more = 1; more <= 4; more++) {
        (void)end(state);
        (void)begin(state);
        fake_kv_t *kv = &s_bench.world.kv;
        kv->fail_from_write = kv->writes + more;
        if (!accept(1)) {
            assert_int_equal(more, 1);
            assert_false(s_update.memory.has_job);
            assert_true(s_update.memory.seq == 0);
            continue;
        }
        step();
        (void)request();
        answer(200, 0);
        feed(s_bench.next.len_bytes);
        hash();
        assert_failed(REASON_LOCAL_FAULT);
        assert_int_equal(fake_flash_operations(&s_bench.updates.otadata), 0);
    }
}

static void settings_that_take_nothing_end_a_download_that_has_to_begin_anew(void **state)
{
    (void)state;
    fetch(1);
    answer(200, 0);
    feed(80000);
    ends(HTTP_CUT);
    wait();
    assert_int_equal(request().from_bytes, 80000 / PIECE * PIECE + 80000 % PIECE);
    s_bench.world.kv.fail_from_write = s_bench.world.kv.writes + 1;
    answer(200, 0);
    assert_failed(REASON_LOCAL_FAULT);
}

static void without_slots_nothing_is_taken_and_what_was_under_way_is_over(void **state)
{
    (void)state;
    fetch(1);
    s_options.ota = NULL;
    start();
    assert_false(s_update.memory.has_job);
    assert_int_equal(s_update.memory.last.reason, REASON_LOCAL_FAULT);
    assert_false(accept(2));
    start();
    assert_int_equal(s_update.state, UPDATE_IDLE);
}

static void a_memory_that_can_not_be_read_begins_anew_with_the_counter_of_what_runs(void **state)
{
    (void)state;
    fake_image_counter(&s_bench.factory, &s_bench.updates, 6);
    memcpy(s_bench.updates.slot_media[0], s_bench.factory.bytes, s_bench.factory.len_bytes);
    fake_kv_damage(&s_bench.world.kv, "ota_state");
    start();
    assert_true(s_update.has_memory && s_update.lost_memory && s_update.memory.is_anew);
    assert_int_equal(s_update.memory.floor, 6);
    assert_true(accept(1));
    start();
    assert_true(s_update.has_memory && !s_update.lost_memory && s_update.memory.is_anew);
    assert_true(s_update.memory.has_job);
    update_told_anew(&s_update);
    start();
    assert_false(s_update.memory.is_anew);
}

static void a_memory_that_can_not_be_replaced_takes_nothing_and_the_next_start_tries_again(void **state)
{
    (void)state;
    fake_kv_t *kv = &s_bench.world.kv;
    fake_kv_damage(kv, "ota_state");
    kv->fail_from_write = kv->writes + 1;
    start();
    assert_true(!s_update.has_memory && s_update.lost_memory);
    assert_false(accept(1));
    kv->fail_from_write = 0;
    start();
    assert_true(s_update.has_memory);
    assert_true(accept(1));
}

static void a_memory_is_not_replaced_where_it_is_not_known_what_runs(void **state)
{
    (void)state;
    fake_kv_t *kv = &s_bench.world.kv;
    fake_kv_damage(kv, "ota_state");
    const uint32_t writes = kv->writes;
    s_bench.updates.slot_flash[0].fail_reads = true;
    start();
    assert_false(accept(1));
    s_bench.updates.slot_flash[0].fail_reads = false;
    s_options.ota = NULL;
    start();
    assert_false(accept(1));
    assert_int_equal(kv->writes, writes);
}

/* It may be of another layout only for this image: the former one knows by it how the update ended. */
static void an_image_on_trial_that_can_not_read_the_memory_leaves_it_and_goes_back(void **state)
{
    (void)state;
    fake_kv_t *kv = &s_bench.world.kv;
    to_leaving(1);
    boot_new(IMAGE_PENDING_VERIFY);
    const uint32_t writes = kv->writes;
    kv->fail_gets = true;
    start();
    assert_true(s_update.to_go_back);
    assert_false(update_is_on_trial(&s_update));
    assert_false(accept(2));
    assert_int_equal(kv->writes, writes);
    kv->fail_gets = false;
}

static void while_it_installs_nothing_is_taken(void **state)
{
    (void)state;
    to_leaving(1);
    assert_true(update_is_busy(&s_update));
    assert_false(accept(2));
    boot_new(IMAGE_PENDING_VERIFY);
    assert_false(accept(2));
}

/* Answers */

static void what_the_server_can_say_and_what_is_made_of_it(void **state)
{
    static const struct {
        uint16_t status;
        update_state_t wanted;
    } CASES[] = {
        {408, UPDATE_PAUSING}, {425, UPDATE_PAUSING},  {429, UPDATE_PAUSING}, {500, UPDATE_PAUSING},
        {503, UPDATE_PAUSING}, {302, UPDATE_PAUSING},  {403, UPDATE_PAUSING}, {404, UPDATE_PAUSING},
        {410, UPDATE_IDLE},    {416, UPDATE_FETCHING}, {304, UPDATE_PAUSING}, {0, UPDATE_PAUSING},
        {100, UPDATE_PAUSING}, {204, UPDATE_PAUSING},  {999, UPDATE_PAUSING},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        (void)end(state);
        (void)begin(state);
        fetch(1);
        answer(CASES[i].status, 0);
        if (s_update.state != CASES[i].wanted) {
            fail_msg("%u: %s", CASES[i].status, update_state_name(s_update.state));
        }
        assert_true(s_update.to_cancel);
    }
}

static void a_device_that_is_denied_three_times_in_a_row_gives_up_and_an_answer_between_counts(void **state)
{
    (void)state;
    fetch(1);
    for (int i = 0; i < 2; i++) {
        answer(403, 0);
        wait();
        (void)request();
    }
    answer(200, 0);
    feed(10000);
    ends(HTTP_CUT);
    for (int i = 0; i < UPDATE_DENIED_MAX; i++) {
        wait();
        (void)request();
        answer(404, 0);
    }
    assert_failed(REASON_DOWNLOAD_FAILED);
}

static void too_many_requests_that_bring_nothing_end_it_and_a_byte_between_counts(void **state)
{
    (void)state;
    fetch(1);
    for (int i = 0; i < UPDATE_TRIES_MAX - 1; i++) {
        ends(HTTP_TOO_SLOW);
        s_update.memory.job.exp_unix_s = NOW_S + 1000;
        wait();
        (void)request();
    }
    answer(200, 0);
    feed(5000);
    ends(HTTP_WHOLE); /* it is not */
    for (int i = 0; i < UPDATE_TRIES_MAX; i++) {
        assert_int_equal(s_update.state, UPDATE_PAUSING);
        wait();
        (void)request();
        answer(503, 0);
    }
    wait();
    (void)request();
    ends(HTTP_CUT);
    assert_failed(REASON_DOWNLOAD_FAILED);
}

static void a_part_from_elsewhere_than_asked_for_is_not_taken(void **state)
{
    (void)state;
    fetch(1);
    answer(200, 0);
    feed(2 * PIECE);
    ends(HTTP_CUT);
    wait();
    (void)request();
    s_update.to_cancel = false;
    answer(206, PIECE);
    assert_int_equal(s_update.state, UPDATE_FETCHING);
    assert_int_equal(s_update.have_bytes, 0);
    assert_true(s_update.to_cancel);
    update_take_piece(&s_update, s_bench.next.bytes + PIECE, 100, s_now_ms, 1); /* a late word */
    assert_int_equal(s_update.have_bytes, 0);
    assert_int_equal(request().from_bytes, 0);
}

static void a_file_of_another_length_is_not_taken(void **state)
{
    (void)state;
    fetch(1);
    const http_answer_t given = {.status = 200, .whole_bytes = s_bench.next.len_bytes + 1};
    update_take_answer(&s_update, &given, s_now_ms, 1);
    assert_failed(REASON_HASH_MISMATCH);
    assert_int_equal(s_bench.updates.slot_flash[1].erases, 0);
}

static void more_bytes_than_the_manifest_says_are_not_taken(void **state)
{
    (void)state;
    fetch(1);
    answer(200, 0);
    feed(s_bench.next.len_bytes - 100);
    update_take_piece(&s_update, s_bench.next.bytes, 101, s_now_ms, 1);
    assert_failed(REASON_HASH_MISMATCH);
    fetch(2);
    answer(200, 0);
    ends(HTTP_TOO_LONG);
    assert_failed(REASON_HASH_MISMATCH);
}

static void words_of_a_request_that_nobody_made_change_nothing(void **state)
{
    http_request_t found;
    (void)state;
    answer(200, 0);
    feed(100);
    ends(HTTP_WHOLE);
    update_take_piece(&s_update, s_bench.next.bytes, 100, s_now_ms, 1);
    assert_false(update_request(&s_update, &found));
    assert_int_equal(s_update.state, UPDATE_IDLE);
    fetch(1);
    assert_false(update_request(&s_update, &found)); /* it was made */
    update_take_piece(&s_update, s_bench.next.bytes, 0, s_now_ms, 1);
    assert_int_equal(s_update.have_bytes, 0);
    assert_false(s_update.progressed);
    update_told(&s_update, PHASE_REBOOTING, false, s_now_ms);
    update_proven(&s_update, s_now_ms);
    update_self_test_failed(&s_update, s_now_ms, "");
    assert_int_equal(s_update.state, UPDATE_FETCHING);
    assert_int_equal(fake_flash_operations(&s_bench.updates.slot_flash[1]), 0);
}

static void a_head_that_comes_byte_by_byte_is_looked_at_once_it_is_whole(void **state)
{
    (void)state;
    fetch(1);
    answer(200, 0);
    for (uint32_t i = 0; i < IMAGE_HEAD_BYTES - 1; i++) {
        update_take_piece(&s_update, s_bench.next.bytes + i, 1, s_now_ms, 1);
        assert_false(s_update.head_is_good);
    }
    assert_int_equal(s_bench.updates.slot_flash[1].erases, 0);
    update_take_piece(&s_update, s_bench.next.bytes + IMAGE_HEAD_BYTES - 1, 1, s_now_ms, 1);
    assert_true(s_update.head_is_good);
    assert_int_equal(s_bench.updates.slot_flash[1].erases, 1);
    assert_int_equal(s_update.have_bytes, IMAGE_HEAD_BYTES);
    feed(s_bench.next.len_bytes - IMAGE_HEAD_BYTES);
    hash();
    assert_int_equal(s_update.state, UPDATE_LEAVING);
}

static void a_head_that_is_cut_is_fetched_again_from_the_first_byte(void **state)
{
    (void)state;
    fetch(1);
    answer(200, 0);
    feed(100);
    ends(HTTP_CUT);
    assert_int_equal(s_update.have_bytes, 0);
    assert_int_equal(s_bench.updates.crypto.under_way, 0);
    wait();
    assert_int_equal(request().from_bytes, 0);
}

/* What is there */

static void the_same_image_under_a_newer_ticket_goes_on_where_it_was_and_another_from_the_first_byte(void **state)
{
    (void)state;
    fetch(1);
    answer(200, 0);
    feed(80000);
    assert_true(accept(2));
    assert_true(s_update.to_cancel);
    step();
    const uint32_t have_bytes = s_update.have_bytes;
    assert_int_equal(have_bytes, 80000);
    assert_int_equal(request().from_bytes, have_bytes);
    start(); /* and over a restart */
    wait();
    assert_int_equal(request().from_bytes, UPDATE_KEEP_EVERY_BYTES); /* as kept */
    update_job_t other = job_of(&s_bench.factory, 3);
    assert_true(update_accept(&s_update, &other, s_now_ms, NOW_S));
    step();
    assert_int_equal(request().from_bytes, 0);
}

static void progress_that_can_not_be_is_not_believed(void **state)
{
    static const uint32_t BYTES[] = {1, PIECE + 1, UINT32_MAX, UINT32_MAX / PIECE * PIECE, IMAGE_MAX_BYTES};
    (void)state;
    assert_true(accept(1));
    for (size_t i = 0; i < sizeof(BYTES) / sizeof(BYTES[0]); i++) {
        assert_true(update_progress_keep(s_options.kv, 1, BYTES[i], "\"e\""));
        start();
        assert_int_equal(s_update.have_bytes, 0);
        assert_string_equal(s_update.etag, "");
    }
    assert_true(update_progress_keep(s_options.kv, 1, 2 * PIECE, "\"e\""));
    start();
    assert_int_equal(s_update.have_bytes, 2 * PIECE);
    assert_true(update_progress_keep(s_options.kv, 1, s_bench.next.len_bytes, "\"e\""));
    start();
    wait();
    assert_int_equal(s_update.state, UPDATE_HASHING); /* all of it: it is looked at, and is not what it should be */
    hash();
    assert_int_equal(s_update.state, UPDATE_FETCHING);
    assert_int_equal(s_update.have_bytes, 0);
}

static void when_it_is_due_again_follows_from_what_it_waits_for(void **state)
{
    (void)state;
    assert_true(update_next_due_ms(&s_update, s_now_ms, NOW_S) == UINT64_MAX);
    update_job_t job = job_of(&s_bench.next, 1);
    job.not_before_unix_s = NOW_S + 100;
    assert_true(update_accept(&s_update, &job, s_now_ms, NOW_S));
    assert_true(update_next_due_ms(&s_update, s_now_ms, NOW_S) == s_now_ms + 100 * S);
    step();
    assert_int_equal(s_update.state, UPDATE_WAITING);
    assert_true(update_next_due_ms(&s_update, s_now_ms, 0) == s_now_ms); /* nobody knows: at once */
    step();
    s_update.memory.job.exp_unix_s = NOW_S + 50;
    assert_true(update_next_due_ms(&s_update, s_now_ms, NOW_S) == s_now_ms + 50 * S);
    assert_true(update_next_due_ms(&s_update, s_now_ms, NOW_S + 60) == s_now_ms);
}

static void a_manifest_key_that_is_revoked_ends_a_download_and_no_installation(void **state)
{
    (void)state;
    fetch(1);
    update_key_revoked(&s_update, s_now_ms);
    assert_failed(REASON_KEY_REVOKED);
    to_leaving(2);
    update_key_revoked(&s_update, s_now_ms);
    assert_int_equal(s_update.state, UPDATE_LEAVING);
}

static void how_it_ended_is_told_once_and_that_is_kept(void **state)
{
    (void)state;
    fetch(1);
    answer(410, 0);
    assert_failed(REASON_WITHDRAWN);
    assert_false(s_update.memory.last.told);
    update_told(&s_update, PHASE_NONE, true, s_now_ms);
    assert_true(s_update.memory.last.told);
    const uint32_t writes = s_bench.world.kv.writes;
    update_told(&s_update, PHASE_NONE, true, s_now_ms);
    assert_int_equal(s_bench.world.kv.writes, writes);
    start();
    assert_true(s_update.memory.last.told);
}

#define FACT(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FACT(an_update_goes_its_way),
        FACT(whoever_is_not_heard_restarts_all_the_same_after_a_while),
        FACT(a_confirmation_that_the_boot_loader_does_not_take_is_none_and_is_tried_again),
        FACT(a_reset_between_confirmation_and_record_is_a_success_all_the_same),
        FACT(a_trial_whose_time_is_over_goes_back_and_the_former_image_says_why),
        FACT(a_slot_that_can_not_be_set_to_boot_is_not_bootable),
        FACT(a_slot_that_was_set_to_boot_and_did_not_is_looked_at_and_set_once_more),
        FACT(one_that_rotted_meanwhile_is_fetched_anew_and_not_set_to_boot),
        FACT(any_hash_that_can_not_be_had_ends_it_or_is_had_again),
        FACT(an_image_that_runs_and_can_not_be_read_or_hashed_is_not_known),
        FACT(a_slot_that_can_not_be_read_back_ends_it),
        FACT(settings_that_take_nothing_any_more_end_it_wherever_it_is),
        FACT(settings_that_take_nothing_end_a_download_that_has_to_begin_anew),
        FACT(without_slots_nothing_is_taken_and_what_was_under_way_is_over),
        FACT(a_memory_that_can_not_be_read_begins_anew_with_the_counter_of_what_runs),
        FACT(a_memory_that_can_not_be_replaced_takes_nothing_and_the_next_start_tries_again),
        FACT(a_memory_is_not_replaced_where_it_is_not_known_what_runs),
        FACT(an_image_on_trial_that_can_not_read_the_memory_leaves_it_and_goes_back),
        FACT(while_it_installs_nothing_is_taken),
        FACT(what_the_server_can_say_and_what_is_made_of_it),
        FACT(a_device_that_is_denied_three_times_in_a_row_gives_up_and_an_answer_between_counts),
        FACT(too_many_requests_that_bring_nothing_end_it_and_a_byte_between_counts),
        FACT(a_part_from_elsewhere_than_asked_for_is_not_taken),
        FACT(a_file_of_another_length_is_not_taken),
        FACT(more_bytes_than_the_manifest_says_are_not_taken),
        FACT(words_of_a_request_that_nobody_made_change_nothing),
        FACT(a_head_that_comes_byte_by_byte_is_looked_at_once_it_is_whole),
        FACT(a_head_that_is_cut_is_fetched_again_from_the_first_byte),
        FACT(the_same_image_under_a_newer_ticket_goes_on_where_it_was_and_another_from_the_first_byte),
        FACT(progress_that_can_not_be_is_not_believed),
        FACT(when_it_is_due_again_follows_from_what_it_waits_for),
        FACT(a_manifest_key_that_is_revoked_ends_a_download_and_no_installation),
        FACT(how_it_ended_is_told_once_and_that_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
