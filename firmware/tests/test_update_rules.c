/* Whether a command may be followed, and what a start finds: a case a line. */
#include "core/update_rules.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/image.h"

#define NOW_S INT64_C(1780000000)

static update_memory_t s_memory;
static update_self_t s_self;
static command_t s_command;
static manifest_t s_manifest;
static ticket_t s_ticket;
static uint8_t s_manifest_sha256[SHA256_BYTES];

static int begin(void **state)
{
    (void)state;
    memset(&s_memory, 0, sizeof(s_memory));
    s_memory.floor = 5;
    s_memory.seq = 100;
    s_self = (update_self_t){.gateway_code = "GW-1",
                             .product = "dcu",
                             .family = "dcu-0080",
                             .hardware = "C",
                             .chip_id = IMAGE_CHIP_HOST,
                             .running_counter = 5,
                             .slot_bytes = 1000000,
                             .server_url = "https://fw.example:8070",
                             .now_unix_s = NOW_S,
                             .memory = &s_memory};
    memset(s_self.running_sha256, 0x11, SHA256_BYTES);
    s_command = (command_t){.type = COMMAND_UPDATE,
                            .execution_id = "e-1",
                            .version = "1.1.0",
                            .url = "https://fw.example:8070/ota/v1/artifacts/x.bin"};
    s_manifest = (manifest_t){.product = "dcu",
                              .chip = "host",
                              .version = "1.1.0",
                              .family_count = 2,
                              .families = {"dcu-all", "dcu-0080"},
                              .revision_count = 2,
                              .hardware = {"B", "C"},
                              .counter = 6,
                              .size_bytes = 500000};
    memset(s_manifest.sha256, 0x22, SHA256_BYTES);
    s_ticket = (ticket_t){
        .execution_id = "e-1", .gateway_code = "GW-1", .seq = 101, .iat_unix_s = NOW_S, .exp_unix_s = NOW_S + 1};
    memset(s_manifest_sha256, 0x33, SHA256_BYTES);
    memset(s_ticket.manifest_sha256, 0x33, SHA256_BYTES);
    return 0;
}

static update_verdict_t judge(void)
{
    return update_judge(&s_self, &s_command, &s_manifest, &s_ticket, s_manifest_sha256);
}

static void assert_judged(update_judgement_t judgement, update_reason_t reason)
{
    const update_verdict_t verdict = judge();
    assert_int_equal(verdict.judgement, judgement);
    assert_string_equal(update_reason_name(verdict.reason), update_reason_name(reason));
    assert_non_null(verdict.sentence);
    if (judgement != JUDGED_GOOD) {
        assert_int_equal(verdict.sentence[strlen(verdict.sentence) - 1], '.');
    }
}

static void assert_good(void)
{
    assert_judged(JUDGED_GOOD, REASON_NONE);
}

static void assert_refused(update_reason_t reason)
{
    assert_judged(JUDGED_REFUSED, reason);
}

static void a_command_in_which_all_agrees_is_good(void **state)
{
    (void)state;
    assert_good();
}

static void a_ticket_of_another_gateway_is_refused_also_when_its_code_only_begins_like_ours(void **state)
{
    (void)state;
    strcpy(s_ticket.gateway_code, "GW-10");
    assert_refused(REASON_WRONG_GATEWAY);
    strcpy(s_ticket.gateway_code, "GW-");
    assert_refused(REASON_WRONG_GATEWAY);
    strcpy(s_ticket.gateway_code, "gw-1");
    assert_refused(REASON_WRONG_GATEWAY);
}

static void command_and_ticket_must_be_of_one_execution(void **state)
{
    (void)state;
    strcpy(s_command.execution_id, "e-2");
    assert_refused(REASON_MALFORMED);
}

static void command_and_manifest_must_be_of_one_version(void **state)
{
    (void)state;
    strcpy(s_command.version, "1.1.1");
    assert_refused(REASON_MALFORMED);
}

static void the_ticket_must_be_for_this_manifest(void **state)
{
    (void)state;
    s_manifest_sha256[31] ^= 1;
    assert_refused(REASON_HASH_MISMATCH);
}

static void a_seq_that_is_not_greater_than_the_last_one_is_replayed(void **state)
{
    (void)state;
    s_ticket.seq = 100;
    assert_refused(REASON_REPLAYED);
    s_ticket.seq = 1;
    assert_refused(REASON_REPLAYED);
    s_ticket.seq = SEQ_MAX;
    assert_good();
}

static void a_command_that_is_under_way_or_over_is_known_and_no_refusal_ends_it(void **state)
{
    (void)state;
    s_ticket.seq = 100;
    s_memory.has_job = true;
    strcpy(s_memory.job.execution_id, "e-1");
    assert_judged(JUDGED_KNOWN, REASON_NONE);
    assert_false(update_may_be_refused(&s_memory, "e-1"));
    assert_true(update_may_be_refused(&s_memory, "e-2"));
    s_memory.has_job = false; /* what a record has of a job that is over counts for nothing */
    assert_refused(REASON_REPLAYED);
    strcpy(s_memory.last.execution_id, "e-1");
    assert_judged(JUDGED_KNOWN, REASON_NONE);
    assert_false(update_may_be_refused(&s_memory, "e-1"));
}

static void an_execution_that_comes_again_with_a_newer_ticket_is_judged_anew(void **state)
{
    (void)state;
    strcpy(s_memory.last.execution_id, "e-1");
    assert_good();
}

static void a_ticket_is_expired_from_its_last_second_on_and_never_while_the_time_is_not_known(void **state)
{
    (void)state;
    s_self.now_unix_s = s_ticket.exp_unix_s - 1;
    assert_good();
    s_self.now_unix_s = s_ticket.exp_unix_s;
    assert_refused(REASON_EXPIRED);
    s_self.now_unix_s = 0;
    assert_good();
}

static void a_release_of_another_product_is_refused_where_the_own_one_is_known(void **state)
{
    (void)state;
    strcpy(s_manifest.product, "relay");
    assert_refused(REASON_WRONG_PRODUCT);
    s_self.product = NULL;
    assert_good();
}

static void a_release_for_another_family_is_refused(void **state)
{
    (void)state;
    s_self.family = "relay-mfr";
    assert_refused(REASON_WRONG_FAMILY);
}

static void a_release_for_another_chip_or_one_that_nobody_knows_is_refused(void **state)
{
    (void)state;
    strcpy(s_manifest.chip, "esp32");
    assert_refused(REASON_WRONG_CHIP);
    strcpy(s_manifest.chip, "z80");
    assert_refused(REASON_WRONG_CHIP);
    strcpy(s_manifest.chip, "esp32");
    s_self.chip_id = 0;
    assert_good();
}

static void a_release_for_another_revision_is_refused_and_an_asterisk_is_any(void **state)
{
    (void)state;
    s_self.hardware = "D";
    assert_refused(REASON_WRONG_HARDWARE);
    strcpy(s_manifest.hardware[1], "*");
    assert_good();
}

static void the_image_that_runs_is_not_installed_again(void **state)
{
    (void)state;
    memset(s_self.running_sha256, 0x22, SHA256_BYTES);
    assert_refused(REASON_ALREADY_RUNNING);
}

static void a_lower_counter_than_what_was_confirmed_or_runs_is_a_downgrade_and_the_same_is_none(void **state)
{
    (void)state;
    s_manifest.counter = 5;
    assert_good();
    s_manifest.counter = 4;
    assert_refused(REASON_DOWNGRADE_REFUSED);
    s_memory.floor = 0;
    assert_refused(REASON_DOWNGRADE_REFUSED);
    s_memory.floor = 5;
    s_self.running_counter = 0;
    assert_refused(REASON_DOWNGRADE_REFUSED);
}

static void a_release_that_needs_a_newer_one_before_it_is_refused(void **state)
{
    (void)state;
    s_manifest.min_source_counter = 5;
    assert_good();
    s_manifest.min_source_counter = 6;
    assert_refused(REASON_SOURCE_TOO_OLD);
}

static void an_image_that_a_slot_does_not_hold_is_refused_and_any_without_slots(void **state)
{
    (void)state;
    s_manifest.size_bytes = s_self.slot_bytes;
    assert_good();
    s_manifest.size_bytes++;
    assert_refused(REASON_TOO_LARGE);
    s_manifest.size_bytes = 1;
    s_self.slot_bytes = 0;
    assert_refused(REASON_TOO_LARGE);
}

static void an_image_that_failed_twice_is_known_bad_and_once_is_not(void **state)
{
    (void)state;
    update_memory_note_bad(&s_memory, s_manifest.sha256);
    assert_good();
    update_memory_note_bad(&s_memory, s_manifest.sha256);
    assert_refused(REASON_KNOWN_BAD);
}

static void while_another_is_installed_a_good_command_waits_and_a_bad_one_is_refused_all_the_same(void **state)
{
    (void)state;
    s_self.is_busy = true;
    assert_judged(JUDGED_LATER, REASON_NONE);
    s_manifest.counter = 1;
    assert_refused(REASON_DOWNGRADE_REFUSED);
}

static void whose_word_it_is_comes_before_what_it_says(void **state)
{
    (void)state;
    strcpy(s_ticket.gateway_code, "GW-2");
    s_ticket.seq = 1;
    s_manifest_sha256[0] ^= 1;
    s_ticket.exp_unix_s = 1;
    strcpy(s_manifest.product, "relay");
    s_manifest.counter = 1;
    strcpy(s_command.url, "https://evil.example/");
    assert_refused(REASON_WRONG_GATEWAY);
    strcpy(s_ticket.gateway_code, "GW-1");
    assert_refused(REASON_REPLAYED);
    s_ticket.seq = 101;
    assert_refused(REASON_HASH_MISMATCH);
    s_manifest_sha256[0] ^= 1;
    assert_refused(REASON_EXPIRED);
    s_ticket.exp_unix_s = NOW_S + 1;
    assert_refused(REASON_WRONG_PRODUCT);
    strcpy(s_manifest.product, "dcu");
    assert_refused(REASON_DOWNGRADE_REFUSED);
    s_manifest.counter = 6;
    assert_refused(REASON_FOREIGN_URL);
}

static void only_host_and_port_of_the_firmware_server_are_its(void **state)
{
    static const struct {
        const char *server, *url;
        bool own;
    } CASES[] = {
        {"https://fw.example:8070", "https://fw.example:8070/a.bin", true},
        {"https://fw.example:8070", "https://FW.Example:8070/a.bin", true},
        {"https://fw.example:8070", "https://fw.example:8070", true},
        {"https://fw.example:8070", "https://fw.example:8070?x", false},
        {"https://fw.example:8070", "https://fw.example:8070#x", false},
        {"https://fw.example:8070/", "https://fw.example:8070/a.bin", true},
        {"https://fw.example:8070", "https://fw.example:8071/a.bin", false},
        {"https://fw.example:8070", "https://fw.exampl:8070/a.bin", false},
        {"https://fw.example:8070", "https://fw.example.org:8070/a.bin", false},
        {"https://fw.example:8070", "https://evil.org:8070/fw.example:8070", false},
        {"https://fw.example:8070", "https://fw.example:8070@evil.org:8070/", false},
        {"https://fw.example:8070", "https://evil.org#@fw.example:8070/", false},
        {"https://fw.example:8070", "https://evil.org?@fw.example:8070/", false},
        {"https://fw.example:8070", "https://fw.example:8070\\@evil.org/", false},
        {"https://fw.example:8070", "http://fw.example:8070/a.bin", false},
        {"https://fw.example:8070", "HTTPS://fw.example:8070/a.bin", false},
        {"https://fw.example:8070", "https:///a.bin", false},
        {"https://fw.example:8070", "https://fw.example:0/a.bin", false},
        {"https://fw.example:8070", "https://fw.example:99999/a.bin", false},
        {"https://fw.example:8070", "", false},
        {"", "https://fw.example:8070/a.bin", false},
        {"", "", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        if (update_is_own_server(CASES[i].server, CASES[i].url) != CASES[i].own) {
            fail_msg("%s of %s", CASES[i].url, CASES[i].server);
        }
    }
    char longest[600] = "https://";
    memset(longest + 8, 'a', 590);
    assert_false(update_is_own_server("https://fw.example:8070", longest));
    assert_false(update_is_own_server(longest, longest));
}

/* phase, installs, was_given_up, why, runs_it, running, other, came_back */
#define FOUND(...) ((update_found_t){true, __VA_ARGS__})

static void what_a_start_finds_says_how_the_update_stands(void **state)
{
    const struct {
        update_found_t found;
        update_start_t wanted;
    } CASES[] = {
        {{.has_job = false, .phase = PHASE_INSTALLING, .runs_it = true}, START_PLAIN},
        {FOUND(PHASE_DOWNLOADING, 0, false, REASON_NONE, false, IMAGE_VALID, IMAGE_VALID, false), START_RESUMES},
        {FOUND(PHASE_DOWNLOADING, 0, false, REASON_NONE, false, IMAGE_UNDEFINED, IMAGE_ABORTED, true), START_RESUMES},
        /* Power went between the record and otadata. */
        {FOUND(PHASE_INSTALLING, 1, false, REASON_NONE, false, IMAGE_VALID, IMAGE_UNDEFINED, false), START_INSTALLS},
        {FOUND(PHASE_INSTALLING, 1, true, REASON_NONE, false, IMAGE_VALID, IMAGE_ABORTED, false), START_INSTALLS},
        {FOUND(PHASE_INSTALLING, 1, true, REASON_NONE, false, IMAGE_VALID, IMAGE_INVALID, false), START_INSTALLS},
        {FOUND(PHASE_INSTALLING, 2, false, REASON_NONE, false, IMAGE_VALID, IMAGE_UNDEFINED, false), START_WENT_BACK},
        /* It was started, and this is the former one. */
        {FOUND(PHASE_INSTALLING, 1, false, REASON_NONE, false, IMAGE_VALID, IMAGE_ABORTED, false), START_WENT_BACK},
        {FOUND(PHASE_INSTALLING, 1, false, REASON_NONE, false, IMAGE_VALID, IMAGE_INVALID, false), START_WENT_BACK},
        {FOUND(PHASE_INSTALLING, 1, true, REASON_NONE, false, IMAGE_VALID, IMAGE_ABORTED, true), START_WENT_BACK},
        {FOUND(PHASE_CONFIRMING, 1, false, REASON_NONE, false, IMAGE_VALID, IMAGE_UNDEFINED, false), START_WENT_BACK},
        {FOUND(PHASE_INSTALLING, 1, false, REASON_SELF_TEST_FAILED, false, IMAGE_VALID, IMAGE_NEW, false),
         START_WENT_BACK},
        /* This is the new one. */
        {FOUND(PHASE_INSTALLING, 1, false, REASON_NONE, true, IMAGE_PENDING_VERIFY, IMAGE_VALID, false),
         START_ON_TRIAL},
        {FOUND(PHASE_CONFIRMING, 1, false, REASON_NONE, true, IMAGE_NEW, IMAGE_VALID, false), START_ON_TRIAL},
        {FOUND(PHASE_CONFIRMING, 1, false, REASON_NONE, true, IMAGE_VALID, IMAGE_VALID, false), START_CONFIRMED},
        {FOUND(PHASE_CONFIRMING, 1, false, REASON_NONE, true, IMAGE_UNDEFINED, IMAGE_VALID, false), START_CONFIRMED},
        /* It was given up, and nothing else can be started. */
        {FOUND(PHASE_CONFIRMING, 1, false, REASON_NONE, true, IMAGE_ABORTED, IMAGE_VALID, false), START_WENT_BACK},
        {FOUND(PHASE_CONFIRMING, 1, false, REASON_NOT_CONFIRMED, true, IMAGE_INVALID, IMAGE_VALID, false),
         START_WENT_BACK},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        const update_start_t found = update_start(&CASES[i].found);
        if (found != CASES[i].wanted) {
            fail_msg("case %zu: %d and not %d", i, (int)found, (int)CASES[i].wanted);
        }
    }
}

#define RULE(name) cmocka_unit_test_setup(name, begin)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE(a_command_in_which_all_agrees_is_good),
        RULE(a_ticket_of_another_gateway_is_refused_also_when_its_code_only_begins_like_ours),
        RULE(command_and_ticket_must_be_of_one_execution),
        RULE(command_and_manifest_must_be_of_one_version),
        RULE(the_ticket_must_be_for_this_manifest),
        RULE(a_seq_that_is_not_greater_than_the_last_one_is_replayed),
        RULE(a_command_that_is_under_way_or_over_is_known_and_no_refusal_ends_it),
        RULE(an_execution_that_comes_again_with_a_newer_ticket_is_judged_anew),
        RULE(a_ticket_is_expired_from_its_last_second_on_and_never_while_the_time_is_not_known),
        RULE(a_release_of_another_product_is_refused_where_the_own_one_is_known),
        RULE(a_release_for_another_family_is_refused),
        RULE(a_release_for_another_chip_or_one_that_nobody_knows_is_refused),
        RULE(a_release_for_another_revision_is_refused_and_an_asterisk_is_any),
        RULE(the_image_that_runs_is_not_installed_again),
        RULE(a_lower_counter_than_what_was_confirmed_or_runs_is_a_downgrade_and_the_same_is_none),
        RULE(a_release_that_needs_a_newer_one_before_it_is_refused),
        RULE(an_image_that_a_slot_does_not_hold_is_refused_and_any_without_slots),
        RULE(an_image_that_failed_twice_is_known_bad_and_once_is_not),
        RULE(while_another_is_installed_a_good_command_waits_and_a_bad_one_is_refused_all_the_same),
        RULE(whose_word_it_is_comes_before_what_it_says),
        RULE(only_host_and_port_of_the_firmware_server_are_its),
        RULE(what_a_start_finds_says_how_the_update_stands),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
