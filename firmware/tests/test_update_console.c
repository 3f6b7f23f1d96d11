/* What somebody at the console is told of updates, and asks for. */
#include "update_bench.h"

static bench_t s_bench;

static int begin(void **state)
{
    (void)state;
    memset(&s_bench, 0, sizeof(s_bench));
    bench_begin(&s_bench, 5);
    fake_world_power_up(&s_bench.world, BOOT_POWER_ON);
    if (!fake_world_run_until(&s_bench.world, 5 * MINUTE, bench_is_online)) {
        return 1;
    }
    fake_world_run(&s_bench.world, 10 * MINUTE); /* it asked for trust set and assignment by then */
    return 0;
}

static int end(void **state)
{
    (void)state;
    bench_end(&s_bench);
    return 0;
}

static void type(const char *line)
{
    s_bench.world.said[0] = '\0';
    s_bench.world.said_bytes = 0;
    fake_world_type(&s_bench.world, line);
    fake_world_run(&s_bench.world, S);
}

static void assert_said(const char *text)
{
    if (!fake_world_was_said(&s_bench.world, text)) {
        fail_msg("not said: %s, but %s", text, s_bench.world.said);
    }
}

static void status_says_what_runs_and_whose_word_it_takes(void **state)
{
    (void)state;
    type("status");
    assert_said("image: 1.0.0, slot 0, counter ");
    assert_said(", confirmed; trust set 1");
    assert_said("update: there was none");
}

static void update_asks_at_once_for_keys_and_assignment_and_what_there_is_is_installed(void **state)
{
    (void)state;
    const uint32_t trust_requests = s_bench.updates.trust_requests, asked = s_bench.updates.assignment_requests;
    fake_updates_command(&s_bench.updates, "e-1", &s_bench.next, 7, NULL);
    type("update");
    assert_said("Asking the firmware server");
    assert_int_equal(s_bench.updates.trust_requests, trust_requests + 1);
    assert_int_equal(s_bench.updates.assignment_requests, asked + 1);
    assert_true(fake_world_run_until(&s_bench.world, HOUR, bench_is_settled));
    type("status");
    assert_said("image: 1.1.0, slot 1, counter 7, confirmed");
    assert_said("last update: e-1 SUCCEEDED");
}

static void while_it_goes_on_status_says_how_far_it_is(void **state)
{
    (void)state;
    s_bench.updates.drips = true;
    fake_updates_command(&s_bench.updates, "e-1", &s_bench.next, 7, NULL);
    fake_updates_push(&s_bench.updates);
    fake_world_run(&s_bench.world, 5 * S);
    type("status");
    assert_said("update: fetching to 1.1.0, downloading, ");
    assert_said(" of ");
}

static void an_update_that_failed_says_why_it_ended(void **state)
{
    (void)state;
    bench_bad(&s_bench, FAKE_FAILS_ITSELF);
    fake_updates_command(&s_bench.updates, "e-2", &s_bench.bad, 8, NULL);
    fake_updates_push(&s_bench.updates);
    assert_true(fake_world_run_until(&s_bench.world, HOUR, bench_is_settled));
    type("status");
    assert_said("image: 1.0.0, slot 0");
    assert_said("last update: e-2 FAILED, self_test_failed");
}

static void a_command_that_was_refused_says_why(void **state)
{
    (void)state;
    const fake_command_t wrong = {.gateway_code = "GW-2"};
    fake_updates_command(&s_bench.updates, "e-3", &s_bench.next, 7, &wrong);
    fake_updates_push(&s_bench.updates);
    fake_world_run(&s_bench.world, MINUTE);
    type("status");
    assert_said("last command: refused. ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(status_says_what_runs_and_whose_word_it_takes, begin, end),
        cmocka_unit_test_setup_teardown(update_asks_at_once_for_keys_and_assignment_and_what_there_is_is_installed,
                                        begin, end),
        cmocka_unit_test_setup_teardown(while_it_goes_on_status_says_how_far_it_is, begin, end),
        cmocka_unit_test_setup_teardown(an_update_that_failed_says_why_it_ended, begin, end),
        cmocka_unit_test_setup_teardown(a_command_that_was_refused_says_why, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
