/* What must be refused or survived, each attack by its name: nothing is erased before all checks held, the reason that
 * is told is the right one, what runs goes on running, and a good command behind it still works. Signatures as such are
 * test_update_vectors.c's. */
#include "update_bench.h"

#include <stdio.h>

static bench_t s_bench;
static uint32_t s_kv_writes;

static void deliver(const void *payload, size_t len_bytes)
{
    fake_world_message(&s_bench.world, "ota/GW-1/update", payload, len_bytes);
}

static void command(const char *execution_id, const fake_command_t *wrong)
{
    fake_updates_command(&s_bench.updates, execution_id, &s_bench.next, 7, wrong);
}

static void a_while(void)
{
    fake_world_run(&s_bench.world, 20 * S);
}

static uint32_t touched(void)
{
    const fake_flash_t *slots = s_bench.updates.slot_flash;
    return fake_flash_operations(&slots[0]) + fake_flash_operations(&slots[1]) +
           fake_flash_operations(&s_bench.updates.otadata);
}

/* A device that is online and did all that a start has to do. */
static int begin(void **state)
{
    (void)state;
    memset(&s_bench, 0, sizeof(s_bench));
    bench_begin(&s_bench, 11);
    s_bench.world.keeps_log = true;
    fake_world_power_up(&s_bench.world, BOOT_POWER_ON);
    if (!fake_world_run_until(&s_bench.world, 5 * MINUTE, bench_is_online)) {
        return 1;
    }
    fake_world_run(&s_bench.world, MINUTE);
    s_kv_writes = s_bench.world.kv.writes;
    return touched() == 0 ? 0 : 1;
}

static int end(void **state)
{
    (void)state;
    bench_end(&s_bench);
    return 0;
}

static void assert_nothing_was_done(void)
{
    assert_int_equal(touched(), 0);
    assert_int_equal(s_bench.world.kv.writes,
                     s_kv_writes); /* whoever sends forged ones must not wear the settings out */
    assert_int_equal(s_bench.updates.image_requests, 0);
    assert_false(bench_update(&s_bench.world)->memory.has_job);
    assert_true(bench_runs(&s_bench, &s_bench.factory));
    assert_int_equal(s_bench.world.boots, 1);
}

static void assert_told(const char *status, const char *execution_id, const char *reason)
{
    char text[160];
    (void)snprintf(text, sizeof(text), "%s %s %s;", execution_id, status, reason);
    if (strstr(s_bench.updates.ends, text) == NULL) {
        fail_msg("not %s but %s", text, s_bench.updates.ends);
    }
}

static void assert_a_good_command_works(void)
{
    fake_world_t *world = &s_bench.world;
    command("good", NULL);
    fake_updates_push(&s_bench.updates);
    a_while(); /* what was told before is not what is waited for */
    assert_true(fake_world_run_until(world, 2 * HOUR, bench_is_settled));
    assert_told("SUCCEEDED", "good", "");
    assert_true(bench_runs(&s_bench, &s_bench.next));
    assert_true(bench_says(&s_bench, "\"version\":\"1.1.0\""));
    assert_true(bench_says(&s_bench, "\"confirmed\":true"));
    assert_int_equal(bench_update(world)->memory.floor, 7);
    assert_int_equal(s_bench.updates.crypto.under_way, 0);
}

static void assert_refused(const fake_command_t *wrong, const char *reason)
{
    command("forged", wrong);
    fake_updates_push(&s_bench.updates);
    a_while();
    assert_nothing_was_done();
    assert_told("REJECTED", "forged", reason);
    assert_a_good_command_works();
}

/* Bytes */

static void arbitrary_bytes_are_refused(void **state)
{
    (void)state;
    uint8_t bytes[COMMAND_MAX_BYTES + 2];
    for (int i = 0; i < 400; i++) {
        const uint32_t most = i % 8 == 0 ? sizeof(bytes) : 64;
        const size_t len_bytes = fake_world_below(&s_bench.world, most + 1);
        for (size_t at = 0; at < len_bytes; at++) {
            bytes[at] = (uint8_t)fake_world_random(&s_bench.world);
        }
        deliver(bytes, len_bytes);
        fake_world_run(&s_bench.world, 100);
    }
    assert_int_equal(s_bench.world.app.commands_refused, 400);
    assert_nothing_was_done();
    assert_a_good_command_works();
}

static void a_command_that_ends_too_early_is_refused_wherever_it_ends(void **state)
{
    (void)state;
    command("forged", NULL);
    const size_t len_bytes = strlen(s_bench.updates.command);
    for (size_t cut = 0; cut < len_bytes; cut++) {
        deliver(s_bench.updates.command, cut);
        fake_world_run(&s_bench.world, 20);
    }
    assert_int_equal(s_bench.world.app.commands_refused, len_bytes);
    assert_nothing_was_done();
    assert_a_good_command_works();
}

static void arbitrary_bytes_for_an_assignment_are_refused(void **state)
{
    (void)state;
    for (int i = 0; i < 50; i++) {
        const size_t len_bytes = 1 + fake_world_below(&s_bench.world, COMMAND_MAX_BYTES);
        for (size_t at = 0; at < len_bytes; at++) {
            s_bench.updates.command[at] = (char)(1 + fake_world_below(&s_bench.world, 255));
        }
        s_bench.updates.command[len_bytes] = '\0';
        update_poll_hurry(&s_bench.world.app.updates.poll, fake_world_device_ms(&s_bench.world));
        fake_world_run(&s_bench.world, S);
    }
    assert_in_range(s_bench.updates.assignment_requests, 50, 60);
    assert_int_equal(s_bench.world.app.commands_refused, 50);
    assert_nothing_was_done();
    assert_a_good_command_works();
}

/* Signatures and keys */

static void a_signature_that_does_not_hold_is_refused(void **state)
{
    (void)state;
    s_bench.updates.crypto.verify = FAKE_VERIFY_NO;
    command("forged", NULL);
    fake_updates_push(&s_bench.updates);
    a_while();
    assert_nothing_was_done();
    assert_told("REJECTED", "forged", "signature_invalid");
    s_bench.updates.crypto.verify = FAKE_VERIFY_YES;
    assert_a_good_command_works();
}

static void a_flipped_bit_anywhere_in_a_command_is_refused(void **state)
{
    (void)state;
    s_bench.updates.crypto.verify = FAKE_VERIFY_REALLY; /* its own signature is none either: no flip may make it one */
    command("forged", NULL);
    const size_t len_bytes = strlen(s_bench.updates.command);
    for (size_t at = 0; at < len_bytes; at++) {
        uint8_t flipped[COMMAND_MAX_BYTES];
        memcpy(flipped, s_bench.updates.command, len_bytes);
        flipped[at] ^= (uint8_t)(1u << (at % 7));
        s_bench.updates.command[0] = '\0'; /* nor is it there to be asked for */
        deliver(flipped, len_bytes);
        fake_world_run(&s_bench.world, 20);
        flipped[at] ^= (uint8_t)(1u << (at % 7));
        memcpy(s_bench.updates.command, flipped, len_bytes);
    }
    assert_in_range(s_bench.world.app.commands_refused, len_bytes * 9 / 10, len_bytes);
    s_bench.updates.crypto.verify = FAKE_VERIFY_YES;
    assert_nothing_was_done();
    assert_a_good_command_works();
}

static void a_release_key_that_nobody_trusts_is_refused_after_the_trust_set_was_asked_for_once(void **state)
{
    (void)state;
    const uint32_t asked = s_bench.updates.trust_requests;
    assert_refused(&(fake_command_t){.release_kid = FAKE_UNKNOWN_KID}, "key_unknown");
    assert_int_equal(s_bench.updates.trust_requests - asked, 2); /* and at the start of the good image */
}

static void an_assignment_key_that_nobody_trusts_is_refused(void **state)
{
    (void)state;
    assert_refused(&(fake_command_t){.assignment_kid = FAKE_UNKNOWN_KID}, "key_unknown");
}

static void an_assignment_key_can_not_sign_a_manifest_nor_a_release_key_a_ticket(void **state)
{
    (void)state;
    command("forged", &(fake_command_t){.assignment_kid = FAKE_RELEASE_KID});
    fake_updates_push(&s_bench.updates);
    a_while();
    assert_nothing_was_done();
    assert_told("REJECTED", "forged", "key_unknown");
    assert_refused(&(fake_command_t){.release_kid = FAKE_ASSIGNMENT_KID}, "key_unknown");
}

static void a_flood_of_commands_by_unknown_keys_makes_one_question_a_minute(void **state)
{
    (void)state;
    const uint32_t asked = s_bench.updates.requests;
    command("forged", &(fake_command_t){.release_kid = FAKE_UNKNOWN_KID});
    for (int i = 0; i < 600; i++) {
        deliver(s_bench.updates.command, strlen(s_bench.updates.command));
        fake_world_run(&s_bench.world, S);
    }
    assert_in_range(s_bench.updates.requests - asked, 10, 22); /* trust set and assignment, ten minutes */
    assert_nothing_was_done();
    assert_a_good_command_works();
}

static void take_trust(uint32_t version, const char *revoked_kid)
{
    fake_updates_trust(&s_bench.updates, version, revoked_kid, s_bench.updates.trust);
    s_bench.world.app.updates.poll.trust.due_ms = fake_world_device_ms(&s_bench.world);
    fake_world_run(&s_bench.world, 5 * S);
}

static void a_rotated_out_key_is_refused_from_then_on(void **state)
{
    (void)state;
    take_trust(2, FAKE_RELEASE_KID);
    assert_int_equal(s_bench.world.app.updates.trust.version, 2);
    s_kv_writes = s_bench.world.kv.writes;
    command("forged", NULL);
    fake_updates_push(&s_bench.updates);
    a_while();
    assert_nothing_was_done();
    assert_told("REJECTED", "forged", "key_revoked");
    take_trust(3, NULL);
    assert_a_good_command_works();
}

static void a_key_that_is_rotated_out_during_the_download_ends_it(void **state)
{
    (void)state;
    s_bench.updates.cut_percent = 100; /* it stays at it */
    command("e-1", NULL);
    fake_updates_push(&s_bench.updates);
    a_while();
    assert_true(bench_update(&s_bench.world)->memory.has_job);
    take_trust(2, FAKE_RELEASE_KID);
    a_while();
    assert_told("FAILED", "e-1", "key_revoked");
    assert_int_equal(fake_flash_operations(&s_bench.updates.otadata), 0);
    s_bench.updates.cut_percent = 0;
    take_trust(3, NULL);
    assert_a_good_command_works();
}

static void a_trust_set_that_is_rolled_back_is_not_taken_neither_now_nor_after_a_restart(void **state)
{
    (void)state;
    take_trust(2, FAKE_RELEASE_KID);
    take_trust(1, NULL);
    assert_int_equal(s_bench.world.app.updates.trust.version, 2);
    fake_world_cut_power(&s_bench.world);
    fake_world_run(&s_bench.world, 2 * MINUTE);
    assert_int_equal(s_bench.world.app.updates.trust.version, 2);
    assert_true(trust_is_revoked(&s_bench.world.app.updates.trust, FAKE_RELEASE_KID));
    command("forged", NULL);
    fake_updates_push(&s_bench.updates);
    a_while();
    assert_int_equal(touched(), 0);
    assert_told("REJECTED", "forged", "key_revoked");
    take_trust(3, NULL);
    assert_a_good_command_works();
}

static void a_trust_set_of_another_root_and_arbitrary_bytes_for_one_are_not_taken(void **state)
{
    (void)state;
    const char *const sets[] = {"x", "..", "e30.e30.AAAA", "{\"version\":9}"};
    for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
        (void)snprintf(s_bench.updates.trust, sizeof(s_bench.updates.trust), "%s", sets[i]);
        s_bench.world.app.updates.poll.trust.due_ms = fake_world_device_ms(&s_bench.world);
        fake_world_run(&s_bench.world, 5 * S);
        assert_int_equal(s_bench.world.app.updates.trust.version, 1);
    }
    s_bench.updates.crypto.verify = FAKE_VERIFY_NO;
    take_trust(9, NULL);
    assert_int_equal(s_bench.world.app.updates.trust.version, 1);
    s_bench.updates.crypto.verify = FAKE_VERIFY_YES;
    assert_nothing_was_done();
    assert_a_good_command_works();
}

/* Who it is for */

static void a_manifest_of_another_product_is_refused(void **state)
{
    (void)state;
    assert_refused(&(fake_command_t){.product = "relay"}, "wrong_product");
}

static void a_manifest_of_another_family_is_refused(void **state)
{
    (void)state;
    assert_refused(&(fake_command_t){.family = "relay-mfr"}, "wrong_family");
}

static void a_manifest_of_another_chip_is_refused(void **state)
{
    (void)state;
    assert_refused(&(fake_command_t){.chip = "esp32"}, "wrong_chip");
}

static void a_manifest_of_other_hardware_is_refused(void **state)
{
    (void)state;
    assert_refused(&(fake_command_t){.hardware = "Z9"}, "wrong_hardware");
}

static void a_ticket_of_another_gateway_is_refused(void **state)
{
    (void)state;
    assert_refused(&(fake_command_t){.gateway_code = "GW-2"}, "wrong_gateway");
}

static void a_ticket_for_another_manifest_is_refused(void **state)
{
    (void)state;
    assert_refused(&(fake_command_t){.other_manifest = true}, "hash_mismatch");
}

static void a_command_that_says_another_version_than_its_manifest_is_refused(void **state)
{
    (void)state;
    assert_refused(&(fake_command_t){.version = "9.9.9"}, "malformed");
}

static void a_url_on_a_foreign_host_is_refused(void **state)
{
    (void)state;
    assert_refused(&(fake_command_t){.url = "https://evil.example:8070"}, "foreign_url");
}

static void a_url_that_only_looks_like_our_host_is_refused(void **state)
{
    (void)state;
    const char *const urls[] = {
        "http://fw.example:8070",           "https://fw.example",
        "https://fw.example:8071",          "https://fw.example:8070@evil.example:8070",
        "https://fw.example.evil.org:8070", "https://evil.example:8070/fw.example:8070",
        "https://u:p@fw.example:8070",
    };
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        const uint32_t refused = s_bench.world.app.commands_refused;
        command("forged", &(fake_command_t){.url = urls[i]});
        fake_updates_push(&s_bench.updates);
        a_while();
        assert_nothing_was_done();
        assert_int_equal(s_bench.world.app.commands_refused, refused + 1);
    }
    assert_a_good_command_works();
}

/* Order and time */

static void an_older_release_with_a_valid_signature_is_refused(void **state)
{
    (void)state;
    assert_a_good_command_works();
    const uint32_t before = touched();
    fake_updates_command(&s_bench.updates, "downgrade", &s_bench.factory, 6, NULL);
    fake_updates_push(&s_bench.updates);
    a_while();
    assert_told("REJECTED", "downgrade", "downgrade_refused");
    assert_int_equal(touched(), before);
    assert_true(bench_runs(&s_bench, &s_bench.next));
    bench_bad(&s_bench, FAKE_GOOD);
    fake_updates_command(&s_bench.updates, "e-8", &s_bench.bad, 8, NULL);
    fake_updates_push(&s_bench.updates);
    a_while();
    assert_true(fake_world_run_until(&s_bench.world, HOUR, bench_is_settled));
    assert_told("SUCCEEDED", "e-8", "");
    assert_int_equal(bench_update(&s_bench.world)->memory.floor, 8);
}

static bool tells_of_a_new_memory(const fake_world_t *world)
{
    (void)world;
    return bench_says(&s_bench, "\"status\":\"IN_PROGRESS\"") && bench_says(&s_bench, "it began anew");
}

/* The server takes reports of one life in the order of its starts, so all of them would be old ones. */
static void a_device_that_counts_its_starts_anew_begins_another_life(void **state)
{
    (void)state;
    fake_world_t *world = &s_bench.world;
    const uint32_t life = bench_update(world)->memory.life;
    fake_world_cut_power(world);
    a_while();
    assert_int_equal(bench_update(world)->memory.life, life);
    fake_kv_damage(&world->kv, "boots");
    fake_world_cut_power(world);
    a_while();
    const uint32_t another = bench_update(world)->memory.life;
    assert_true(another != life);
    fake_world_cut_power(world);
    a_while();
    assert_int_equal(bench_update(world)->memory.life, another);
}

/* As after a return from an image with another layout. */
static void a_device_with_a_damaged_record_takes_a_good_command_and_no_image_older_than_what_runs(void **state)
{
    (void)state;
    fake_world_t *world = &s_bench.world;
    fake_image_counter(&s_bench.next, &s_bench.updates, 7);
    assert_a_good_command_works();
    const uint32_t life = bench_update(world)->memory.life;
    uint8_t record[UPDATE_RECORD_MAX_BYTES];
    size_t len_bytes = 0;
    assert_int_equal(world->kv.port.get(&world->kv, "ota_state", record, sizeof(record), &len_bytes), KV_OK);
    record[len_bytes / 2] ^= 1;
    fake_kv_put(&world->kv, "ota_state", record, len_bytes);
    fake_world_cut_power(world);
    a_while();
    assert_true(fake_world_run_until(world, 5 * MINUTE, bench_is_online));
    a_while();
    assert_true(bench_runs(&s_bench, &s_bench.next));
    assert_true(bench_update(world)->memory.life != life);
    assert_int_equal(bench_update(world)->memory.floor, 7);
    assert_int_equal(fake_world_logged_times(world, "it begins anew, with the counter of what runs."), 1);
    const uint32_t before = touched();
    fake_updates_command(&s_bench.updates, "downgrade", &s_bench.factory, 6, NULL);
    fake_updates_push(&s_bench.updates);
    a_while();
    assert_told("REJECTED", "downgrade", "downgrade_refused");
    assert_int_equal(touched(), before);
    bench_bad(&s_bench, FAKE_GOOD);
    fake_updates_command(&s_bench.updates, "e-8", &s_bench.bad, 8, NULL);
    fake_updates_push(&s_bench.updates);
    assert_true(fake_world_run_until(world, MINUTE, tells_of_a_new_memory));
    a_while();
    assert_false(bench_update(world)->memory.is_anew);
    assert_true(fake_world_run_until(world, HOUR, bench_is_settled));
    assert_told("SUCCEEDED", "e-8", "");
    assert_false(bench_says(&s_bench, "it began anew"));
    assert_true(bench_runs(&s_bench, &s_bench.bad));
    assert_int_equal(bench_update(world)->memory.floor, 8);
    assert_int_equal(fake_world_logged_times(world, "it begins anew, with the counter of what runs."), 1);
}

static void a_release_that_needs_a_newer_one_before_it_is_refused(void **state)
{
    (void)state;
    assert_refused(&(fake_command_t){.min_source_counter = 5}, "source_too_old");
}

static void a_replayed_ticket_does_nothing_but_say_how_it_ended(void **state)
{
    (void)state;
    char kept[COMMAND_MAX_BYTES + 1];
    assert_a_good_command_works();
    (void)snprintf(kept, sizeof(kept), "%s", s_bench.updates.command);
    const uint32_t before = touched(), boots = s_bench.world.boots, reports = s_bench.updates.reports;
    for (int i = 0; i < 5; i++) {
        deliver(kept, strlen(kept));
        a_while();
    }
    assert_int_equal(touched(), before);
    assert_int_equal(s_bench.world.boots, boots);
    assert_in_range(s_bench.updates.reports - reports, 5, 6);
    assert_told("SUCCEEDED", "good", "");
}

static void a_lower_seq_of_another_execution_is_refused_as_replayed(void **state)
{
    (void)state;
    assert_a_good_command_works();
    const uint32_t before = touched();
    bench_bad(&s_bench, FAKE_GOOD);
    fake_updates_command(&s_bench.updates, "late", &s_bench.bad, 9, &(fake_command_t){.seq = 1});
    fake_updates_push(&s_bench.updates);
    a_while();
    assert_told("REJECTED", "late", "replayed");
    assert_int_equal(touched(), before);
}

static void an_expired_ticket_is_refused(void **state)
{
    (void)state;
    const int64_t now_s = fake_world_unix_ms(&s_bench.world) / 1000;
    assert_refused(&(fake_command_t){.exp_unix_s = now_s - 1}, "expired");
}

static void a_ticket_that_expires_during_the_download_ends_it(void **state)
{
    (void)state;
    const int64_t now_s = fake_world_unix_ms(&s_bench.world) / 1000;
    s_bench.updates.cut_percent = 100;
    command("e-1", &(fake_command_t){.exp_unix_s = now_s + 600});
    fake_updates_push(&s_bench.updates);
    fake_world_run(&s_bench.world, 9 * MINUTE);
    assert_true(bench_update(&s_bench.world)->memory.has_job);
    fake_world_run(&s_bench.world, 2 * MINUTE);
    assert_told("FAILED", "e-1", "expired");
    assert_int_equal(fake_flash_operations(&s_bench.updates.otadata), 0);
    s_bench.updates.cut_percent = 0;
    assert_a_good_command_works();
}

static void a_ticket_whose_moment_is_not_there_yet_waits_for_it_and_erases_nothing_till_then(void **state)
{
    (void)state;
    const int64_t now_s = fake_world_unix_ms(&s_bench.world) / 1000;
    command("slot", &(fake_command_t){.not_before_unix_s = now_s + 3600});
    fake_updates_push(&s_bench.updates);
    fake_world_run(&s_bench.world, 59 * MINUTE);
    assert_int_equal(touched(), 0);
    assert_int_equal(s_bench.updates.image_requests, 0);
    fake_world_run(&s_bench.world, 2 * MINUTE);
    assert_int_equal(s_bench.updates.image_requests, 1);
    assert_true(fake_world_run_until(&s_bench.world, HOUR, bench_is_settled));
    assert_told("SUCCEEDED", "slot", "");
}

static void a_duplicate_of_a_command_that_is_under_way_does_not_begin_it_anew(void **state)
{
    (void)state;
    command("e-1", NULL);
    for (int i = 0; i < 4; i++) {
        fake_updates_push(&s_bench.updates);
        fake_world_run(&s_bench.world, 60);
    }
    assert_true(fake_world_run_until(&s_bench.world, HOUR, bench_is_settled));
    assert_told("SUCCEEDED", "e-1", "");
    assert_int_equal(s_bench.updates.image_requests, 1);
    assert_int_equal(s_bench.updates.image_bytes, s_bench.next.len_bytes);
}

static void of_two_commands_that_come_in_the_wrong_order_the_newer_stands(void **state)
{
    (void)state;
    char older[COMMAND_MAX_BYTES + 1];
    command("older", NULL);
    (void)snprintf(older, sizeof(older), "%s", s_bench.updates.command);
    command("newer", NULL);
    fake_updates_push(&s_bench.updates);
    fake_world_run(&s_bench.world, 100);
    deliver(older, strlen(older));
    fake_world_run(&s_bench.world, 5 * S);
    assert_true(fake_world_run_until(&s_bench.world, HOUR, bench_is_settled));
    assert_told("SUCCEEDED", "newer", "");
    assert_int_equal(s_bench.updates.image_requests, 1);
}

static void a_newer_command_takes_the_place_of_one_that_is_downloading_and_that_one_says_superseded(void **state)
{
    (void)state;
    bench_bad(&s_bench, FAKE_GOOD);
    s_bench.updates.cut_percent = 100;
    fake_updates_command(&s_bench.updates, "older", &s_bench.bad, 6, NULL);
    fake_updates_push(&s_bench.updates);
    a_while();
    s_bench.updates.cut_percent = 0;
    command("newer", NULL);
    fake_updates_push(&s_bench.updates);
    fake_world_run(&s_bench.world, 400);
    assert_told("FAILED", "older", "superseded");
    assert_true(fake_world_run_until(&s_bench.world, HOUR, bench_is_settled));
    assert_told("SUCCEEDED", "newer", "");
    assert_true(bench_runs(&s_bench, &s_bench.next));
}

static bool is_on_trial(const fake_world_t *world)
{
    return update_is_on_trial(bench_update(world));
}

static void a_command_while_an_image_is_on_trial_waits_and_is_asked_for_as_soon_as_that_is_over(void **state)
{
    (void)state;
    fake_world_t *world = &s_bench.world;
    bench_bad(&s_bench, FAKE_GOOD);
    command("e-1", NULL);
    fake_updates_push(&s_bench.updates);
    assert_true(fake_world_run_until(world, HOUR, is_on_trial));
    world->mood = FAKE_BROKER_NEVER_ACKS;
    fake_world_run(world, MINUTE);
    assert_true(is_on_trial(world));
    assert_int_equal(world->app.connection.state, LINK_ONLINE);
    world->app.updates.poll.assignment.due_ms = fake_world_device_ms(world) + DAY; /* of itself it would not ask */
    fake_updates_command(&s_bench.updates, "e-2", &s_bench.bad, 8, NULL);
    fake_updates_push(&s_bench.updates);
    fake_world_run(world, 5 * S);
    assert_true(is_on_trial(world));
    assert_int_equal(s_bench.updates.slot_flash[0].erases, 0);
    world->mood = FAKE_BROKER_GOOD;
    fake_world_run(world, 10 * MINUTE);
    assert_true(fake_world_run_until(world, HOUR, bench_is_settled));
    assert_told("SUCCEEDED", "e-1", "");
    assert_told("SUCCEEDED", "e-2", "");
    assert_true(bench_runs(&s_bench, &s_bench.bad));
}

/* Who knows its name could end it otherwise. */
static void a_forged_command_under_the_name_of_what_is_under_way_or_over_changes_nothing_about_it(void **state)
{
    (void)state;
    s_bench.updates.cut_percent = 100;
    command("e-1", NULL);
    fake_updates_push(&s_bench.updates);
    a_while();
    s_bench.updates.crypto.verify = FAKE_VERIFY_NO;
    fake_updates_push(&s_bench.updates);
    a_while();
    assert_int_equal(s_bench.world.app.commands_refused, 1);
    assert_string_equal(s_bench.updates.ends, "");
    s_bench.updates.crypto.verify = FAKE_VERIFY_YES;
    s_bench.updates.cut_percent = 0;
    assert_true(fake_world_run_until(&s_bench.world, HOUR, bench_is_settled));
    s_bench.updates.crypto.verify = FAKE_VERIFY_NO;
    fake_updates_push(&s_bench.updates);
    a_while();
    assert_string_equal(s_bench.updates.ends, "e-1 SUCCEEDED ;");
    s_bench.updates.crypto.verify = FAKE_VERIFY_YES;
}

/* Without the time nobody can say what is over: a device that lost it is not cut off from its updates by that. */
static void without_the_time_no_ticket_is_expired_and_when_it_comes_one_that_is_over_ends(void **state)
{
    (void)state;
    bench_end(&s_bench);
    memset(&s_bench, 0, sizeof(s_bench));
    bench_begin(&s_bench, 12);
    s_bench.world.sntp = false;
    fake_world_power_up(&s_bench.world, BOOT_POWER_ON);
    fake_world_run(&s_bench.world, 5 * MINUTE);
    assert_false(s_bench.world.app.clock.known);
    s_bench.updates.cut_percent = 100;
    const int64_t now_s = fake_world_unix_ms(&s_bench.world) / 1000;
    command("e-1", &(fake_command_t){.exp_unix_s = now_s - 100});
    fake_updates_push(&s_bench.updates);
    fake_world_run(&s_bench.world, 5 * MINUTE);
    assert_true(bench_says(&s_bench, "\"time\":null"));
    assert_true(bench_says(&s_bench, "\"status\":\"IN_PROGRESS\""));
    s_bench.world.sntp = true;
    fake_world_set_clock(&s_bench.world, 0);
    a_while();
    assert_told("FAILED", "e-1", "expired");
    s_bench.updates.cut_percent = 0;
    assert_a_good_command_works();
}

static void a_device_that_never_learns_the_time_is_updated_all_the_same(void **state)
{
    (void)state;
    bench_end(&s_bench);
    memset(&s_bench, 0, sizeof(s_bench));
    bench_begin(&s_bench, 13);
    s_bench.world.sntp = false;
    fake_world_power_up(&s_bench.world, BOOT_POWER_ON);
    fake_world_run(&s_bench.world, 5 * MINUTE);
    assert_a_good_command_works();
    assert_false(s_bench.world.app.clock.known);
}

/* Images */

static void an_image_larger_than_the_slot_is_refused(void **state)
{
    (void)state;
    assert_refused(&(fake_command_t){.size_bytes = FAKE_IMAGE_MAX_BYTES + 1}, "too_large");
}

static void a_slot_whose_sectors_can_not_be_erased_or_written_ends_the_update(void **state)
{
    (void)state;
    s_bench.updates.slot_flash[1].bad_sector[9] = true;
    command("e-1", NULL);
    fake_updates_push(&s_bench.updates);
    a_while();
    assert_told("FAILED", "e-1", "flash_failed");
    assert_int_equal(fake_flash_operations(&s_bench.updates.otadata), 0);
    assert_true(bench_runs(&s_bench, &s_bench.factory));
    assert_int_equal(s_bench.world.boots, 1);
    s_bench.updates.slot_flash[1].bad_sector[9] = false;
    assert_a_good_command_works();
}

static void assert_download_fails(const char *reason, bool erases)
{
    command("e-1", NULL);
    fake_updates_push(&s_bench.updates);
    assert_true(fake_world_run_until(&s_bench.world, DAY, bench_is_settled));
    assert_told("FAILED", "e-1", reason);
    assert_int_equal(fake_flash_operations(&s_bench.updates.otadata), 0);
    assert_int_equal(s_bench.updates.slot_flash[1].erases > 0, erases);
    assert_int_equal(fake_flash_operations(&s_bench.updates.slot_flash[0]), 0);
    assert_true(bench_runs(&s_bench, &s_bench.factory));
    assert_int_equal(s_bench.world.boots, 1);
}

static void endless_data_is_cut_where_the_manifest_says_that_it_ends(void **state)
{
    (void)state;
    s_bench.updates.endless = true;
    assert_download_fails("hash_mismatch", true);
    assert_int_equal(s_bench.updates.image_requests, 1);
    assert_in_range(s_bench.updates.image_bytes, s_bench.next.len_bytes,
                    s_bench.next.len_bytes + 2 * HTTP_CHUNK_MAX_BYTES);
    s_bench.updates.endless = false;
    assert_a_good_command_works();
}

static void a_file_that_claims_another_length_is_refused_before_a_byte_is_erased(void **state)
{
    (void)state;
    s_bench.updates.whole_bytes = s_bench.next.len_bytes - 1;
    assert_download_fails("hash_mismatch", false);
    s_bench.updates.whole_bytes = 0;
    assert_a_good_command_works();
}

static void a_mix_of_manifest_a_with_image_b_is_refused_by_its_first_bytes_before_a_byte_is_erased(void **state)
{
    (void)state;
    fake_image(&s_bench.bad, &s_bench.updates, "6.6.6", FAKE_GOOD, IMAGE_BYTES + 4096);
    command("e-1", NULL);
    s_bench.updates.image = &s_bench.bad;
    fake_updates_push(&s_bench.updates);
    assert_true(fake_world_run_until(&s_bench.world, DAY, bench_is_settled));
    assert_told("FAILED", "e-1", "hash_mismatch");
    assert_int_equal(touched(), 0);
    assert_a_good_command_works();
}

static void a_mix_of_manifest_a_with_an_image_b_of_the_same_name_is_never_set_to_boot(void **state)
{
    (void)state;
    fake_image(&s_bench.bad, &s_bench.updates, "1.1.0", FAKE_CRASHES, IMAGE_BYTES + 4096);
    command("e-1", NULL);
    s_bench.updates.image = &s_bench.bad;
    fake_updates_push(&s_bench.updates);
    assert_true(fake_world_run_until(&s_bench.world, DAY, bench_is_settled));
    assert_told("FAILED", "e-1", "hash_mismatch");
    assert_int_equal(fake_flash_operations(&s_bench.updates.otadata), 0);
    assert_int_equal(s_bench.world.boots, 1);
    assert_a_good_command_works();
}

static void what_is_no_image_is_refused_by_its_first_bytes_before_a_byte_is_erased(void **state)
{
    (void)state;
    memcpy(&s_bench.bad, &s_bench.next, sizeof(s_bench.bad));
    memset(s_bench.bad.bytes, 0x7F, 300);
    command("e-1", NULL);
    s_bench.updates.image = &s_bench.bad;
    fake_updates_push(&s_bench.updates);
    assert_true(fake_world_run_until(&s_bench.world, DAY, bench_is_settled));
    assert_told("FAILED", "e-1", "hash_mismatch");
    assert_int_equal(touched(), 0);
    assert_a_good_command_works();
}

static void assert_head_is_refused(uint32_t at, uint8_t byte, const char *reason)
{
    memcpy(&s_bench.bad, &s_bench.next, sizeof(s_bench.bad));
    s_bench.bad.bytes[at] = byte;
    command("e-1", NULL);
    s_bench.updates.image = &s_bench.bad;
    fake_updates_push(&s_bench.updates);
    assert_true(fake_world_run_until(&s_bench.world, DAY, bench_is_settled));
    assert_told("FAILED", "e-1", reason);
    assert_int_equal(touched(), 0);
    assert_a_good_command_works();
}

static void an_image_of_another_chip_under_a_manifest_of_this_one_is_refused_before_a_byte_is_erased(void **state)
{
    (void)state;
    assert_head_is_refused(12, 0x00, "wrong_chip");
}

static void an_image_of_another_family_under_a_manifest_of_this_one_is_refused_before_a_byte_is_erased(void **state)
{
    (void)state;
    assert_head_is_refused(24 + 8 + 48, 'x', "wrong_family");
}

static void one_flipped_bit_of_the_image_is_noticed_wherever_it_is(void **state)
{
    (void)state;
    const uint32_t len_bytes = s_bench.next.len_bytes;
    for (uint32_t flip_at = 1; flip_at < len_bytes; flip_at += len_bytes / 16) {
        (void)end(state);
        assert_int_equal(begin(state), 0);
        s_bench.updates.flip_at = flip_at;
        command("e-1", NULL);
        fake_updates_push(&s_bench.updates);
        assert_true(fake_world_run_until(&s_bench.world, DAY, bench_is_settled));
        assert_told("FAILED", "e-1", "hash_mismatch");
        assert_int_equal(fake_flash_operations(&s_bench.updates.otadata), 0);
        assert_int_equal(s_bench.world.boots, 1);
    }
    s_bench.updates.flip_at = 0;
    assert_a_good_command_works();
}

static void a_truncated_image_is_never_set_to_boot_and_is_given_up_after_a_few_times(void **state)
{
    (void)state;
    memcpy(&s_bench.bad, &s_bench.next, sizeof(s_bench.bad));
    s_bench.bad.len_bytes /= 2;
    command("e-1", NULL);
    s_bench.updates.image = &s_bench.bad;
    s_bench.updates.whole_bytes = s_bench.next.len_bytes; /* its head says more than comes */
    fake_updates_push(&s_bench.updates);
    assert_true(fake_world_run_until(&s_bench.world, DAY, bench_is_settled));
    assert_told("FAILED", "e-1", "download_failed");
    assert_int_equal(fake_flash_operations(&s_bench.updates.otadata), 0);
    assert_int_equal(s_bench.world.boots, 1);
    assert_int_equal(s_bench.updates.image_bytes, s_bench.bad.len_bytes * (UPDATE_ANEW_MAX + 1));
    s_bench.updates.whole_bytes = 0;
    assert_a_good_command_works();
}

static void a_slow_drip_is_left_and_asked_for_again_with_growing_pauses_and_in_the_end_given_up(void **state)
{
    (void)state;
    s_bench.updates.drips = true;
    command("e-1", NULL);
    fake_updates_push(&s_bench.updates);
    fake_world_run(&s_bench.world, HOUR);
    assert_true(bench_update(&s_bench.world)->memory.has_job);
    assert_in_range(s_bench.updates.image_requests, 8, 40);
    assert_true(fake_world_run_until(&s_bench.world, 6 * DAY, bench_is_settled));
    assert_told("FAILED", "e-1", "download_failed");
    assert_int_equal(touched(), 0);
    s_bench.updates.drips = false;
    assert_a_good_command_works();
}

static void a_withdrawn_release_ends_at_once(void **state)
{
    (void)state;
    s_bench.updates.status = 410;
    assert_download_fails("withdrawn", false);
    assert_int_equal(s_bench.updates.image_requests, 1);
    s_bench.updates.status = 0;
    assert_a_good_command_works();
}

static void a_redirect_is_followed_by_nobody(void **state)
{
    (void)state;
    s_bench.updates.status = 302;
    assert_download_fails("download_failed", false);
    assert_int_equal(s_bench.updates.image_requests, UPDATE_DENIED_MAX);
    s_bench.updates.status = 0;
    assert_a_good_command_works();
}

static void retry_after_is_obeyed_and_is_no_reason_to_give_up(void **state)
{
    (void)state;
    s_bench.updates.status = 503;
    s_bench.updates.retry_after_s = 600;
    command("e-1", NULL);
    fake_updates_push(&s_bench.updates);
    fake_world_run(&s_bench.world, 2 * HOUR);
    assert_in_range(s_bench.updates.image_requests, 9, 13); /* 600 to 750 s between */
    s_bench.updates.status = 0;
    assert_true(fake_world_run_until(&s_bench.world, HOUR, bench_is_settled));
    assert_told("SUCCEEDED", "e-1", "");
}

static void a_server_that_ignores_ranges_is_taken_from_the_first_byte_a_few_times(void **state)
{
    (void)state;
    s_bench.updates.no_ranges = true;
    s_bench.updates.cut_percent = 20;
    command("e-1", NULL);
    fake_updates_push(&s_bench.updates);
    assert_true(fake_world_run_until(&s_bench.world, DAY, bench_is_settled));
    assert_told("FAILED", "e-1", "download_failed");
    assert_in_range(s_bench.updates.image_requests, UPDATE_ANEW_MAX + 1, 60);
    s_bench.updates.no_ranges = false;
    s_bench.updates.cut_percent = 0;
    assert_a_good_command_works();
}

/* Bad builds */

static void assert_gone_back_from(fake_program_t program, const char *reason)
{
    bench_bad(&s_bench, program);
    for (int i = 1; i <= UPDATE_BAD_FAILURES; i++) {
        char execution_id[24];
        (void)snprintf(execution_id, sizeof(execution_id), "bad-%d", i);
        fake_updates_command(&s_bench.updates, execution_id, &s_bench.bad, 8, NULL);
        fake_updates_push(&s_bench.updates);
        a_while();
        assert_true(fake_world_run_until(&s_bench.world, HOUR, bench_is_settled));
        assert_told("FAILED", execution_id, reason);
        assert_true(bench_runs(&s_bench, &s_bench.factory));
        assert_true(bench_says(&s_bench, "\"confirmed\":true"));
        assert_int_equal(bench_update(&s_bench.world)->memory.floor, 0); /* it rises with what was confirmed alone */
        assert_int_equal(bench_update(&s_bench.world)->running.counter, 0);
    }
    const uint32_t before = touched();
    fake_updates_command(&s_bench.updates, "bad-3", &s_bench.bad, 8, NULL);
    fake_updates_push(&s_bench.updates);
    a_while();
    assert_told("REJECTED", "bad-3", "known_bad");
    assert_int_equal(touched(), before);
    assert_a_good_command_works();
}

static void an_image_that_crashes_is_gone_back_from_and_after_the_second_time_refused(void **state)
{
    (void)state;
    assert_gone_back_from(FAKE_CRASHES, "rolled_back");
}

static void an_image_that_fails_its_self_test_is_gone_back_from_and_after_the_second_time_refused(void **state)
{
    (void)state;
    assert_gone_back_from(FAKE_FAILS_ITSELF, "self_test_failed");
}

static void an_image_that_can_not_connect_is_gone_back_from_and_after_the_second_time_refused(void **state)
{
    (void)state;
    assert_gone_back_from(FAKE_CUT_OFF, "not_confirmed");
}

static void an_image_that_measures_nothing_is_gone_back_from_and_after_the_second_time_refused(void **state)
{
    (void)state;
    assert_gone_back_from(FAKE_BLIND, "not_confirmed");
}

static void an_image_on_trial_is_not_confirmed_before_a_publish_was_acknowledged(void **state)
{
    (void)state;
    command("e-1", NULL);
    fake_updates_push(&s_bench.updates);
    assert_true(fake_world_run_until(&s_bench.world, HOUR, is_on_trial));
    s_bench.world.mood = FAKE_BROKER_NEVER_ACKS;
    fake_world_run(&s_bench.world, 4 * MINUTE);
    assert_true(is_on_trial(&s_bench.world));
    assert_true(s_bench.world.app.updates.measured > 0);
    assert_int_equal(s_bench.updates.slots.port.state(&s_bench.updates.slots, 1), IMAGE_PENDING_VERIFY);
    assert_int_equal(bench_update(&s_bench.world)->memory.floor, 0);
    fake_world_run(&s_bench.world, 2 * MINUTE);
    s_bench.world.mood = FAKE_BROKER_GOOD;
    assert_true(fake_world_run_until(&s_bench.world, HOUR, bench_is_settled));
    assert_told("FAILED", "e-1", "not_confirmed");
    assert_true(bench_runs(&s_bench, &s_bench.factory));
    assert_a_good_command_works();
}

#define ATTACK(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ATTACK(arbitrary_bytes_are_refused),
        ATTACK(a_command_that_ends_too_early_is_refused_wherever_it_ends),
        ATTACK(arbitrary_bytes_for_an_assignment_are_refused),
        ATTACK(a_signature_that_does_not_hold_is_refused),
        ATTACK(a_flipped_bit_anywhere_in_a_command_is_refused),
        ATTACK(a_release_key_that_nobody_trusts_is_refused_after_the_trust_set_was_asked_for_once),
        ATTACK(an_assignment_key_that_nobody_trusts_is_refused),
        ATTACK(an_assignment_key_can_not_sign_a_manifest_nor_a_release_key_a_ticket),
        ATTACK(a_flood_of_commands_by_unknown_keys_makes_one_question_a_minute),
        ATTACK(a_rotated_out_key_is_refused_from_then_on),
        ATTACK(a_key_that_is_rotated_out_during_the_download_ends_it),
        ATTACK(a_trust_set_that_is_rolled_back_is_not_taken_neither_now_nor_after_a_restart),
        ATTACK(a_trust_set_of_another_root_and_arbitrary_bytes_for_one_are_not_taken),
        ATTACK(a_manifest_of_another_product_is_refused),
        ATTACK(a_manifest_of_another_family_is_refused),
        ATTACK(a_manifest_of_another_chip_is_refused),
        ATTACK(a_manifest_of_other_hardware_is_refused),
        ATTACK(a_ticket_of_another_gateway_is_refused),
        ATTACK(a_ticket_for_another_manifest_is_refused),
        ATTACK(a_command_that_says_another_version_than_its_manifest_is_refused),
        ATTACK(a_url_on_a_foreign_host_is_refused),
        ATTACK(a_url_that_only_looks_like_our_host_is_refused),
        ATTACK(an_older_release_with_a_valid_signature_is_refused),
        ATTACK(a_device_that_counts_its_starts_anew_begins_another_life),
        ATTACK(a_device_with_a_damaged_record_takes_a_good_command_and_no_image_older_than_what_runs),
        ATTACK(a_release_that_needs_a_newer_one_before_it_is_refused),
        ATTACK(a_replayed_ticket_does_nothing_but_say_how_it_ended),
        ATTACK(a_lower_seq_of_another_execution_is_refused_as_replayed),
        ATTACK(an_expired_ticket_is_refused),
        ATTACK(a_ticket_that_expires_during_the_download_ends_it),
        ATTACK(a_ticket_whose_moment_is_not_there_yet_waits_for_it_and_erases_nothing_till_then),
        ATTACK(a_duplicate_of_a_command_that_is_under_way_does_not_begin_it_anew),
        ATTACK(of_two_commands_that_come_in_the_wrong_order_the_newer_stands),
        ATTACK(a_newer_command_takes_the_place_of_one_that_is_downloading_and_that_one_says_superseded),
        ATTACK(a_command_while_an_image_is_on_trial_waits_and_is_asked_for_as_soon_as_that_is_over),
        ATTACK(a_forged_command_under_the_name_of_what_is_under_way_or_over_changes_nothing_about_it),
        ATTACK(without_the_time_no_ticket_is_expired_and_when_it_comes_one_that_is_over_ends),
        ATTACK(a_device_that_never_learns_the_time_is_updated_all_the_same),
        ATTACK(an_image_larger_than_the_slot_is_refused),
        ATTACK(a_slot_whose_sectors_can_not_be_erased_or_written_ends_the_update),
        ATTACK(endless_data_is_cut_where_the_manifest_says_that_it_ends),
        ATTACK(a_file_that_claims_another_length_is_refused_before_a_byte_is_erased),
        ATTACK(a_mix_of_manifest_a_with_image_b_is_refused_by_its_first_bytes_before_a_byte_is_erased),
        ATTACK(a_mix_of_manifest_a_with_an_image_b_of_the_same_name_is_never_set_to_boot),
        ATTACK(what_is_no_image_is_refused_by_its_first_bytes_before_a_byte_is_erased),
        ATTACK(an_image_of_another_chip_under_a_manifest_of_this_one_is_refused_before_a_byte_is_erased),
        ATTACK(an_image_of_another_family_under_a_manifest_of_this_one_is_refused_before_a_byte_is_erased),
        ATTACK(one_flipped_bit_of_the_image_is_noticed_wherever_it_is),
        ATTACK(a_truncated_image_is_never_set_to_boot_and_is_given_up_after_a_few_times),
        ATTACK(a_slow_drip_is_left_and_asked_for_again_with_growing_pauses_and_in_the_end_given_up),
        ATTACK(a_withdrawn_release_ends_at_once),
        ATTACK(a_redirect_is_followed_by_nobody),
        ATTACK(retry_after_is_obeyed_and_is_no_reason_to_give_up),
        ATTACK(a_server_that_ignores_ranges_is_taken_from_the_first_byte_a_few_times),
        ATTACK(an_image_that_crashes_is_gone_back_from_and_after_the_second_time_refused),
        ATTACK(an_image_that_fails_its_self_test_is_gone_back_from_and_after_the_second_time_refused),
        ATTACK(an_image_that_can_not_connect_is_gone_back_from_and_after_the_second_time_refused),
        ATTACK(an_image_that_measures_nothing_is_gone_back_from_and_after_the_second_time_refused),
        ATTACK(an_image_on_trial_is_not_confirmed_before_a_publish_was_acknowledged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
