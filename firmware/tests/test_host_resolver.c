#include "port/posix/posix_clock.h"
#include "port/posix/posix_resolver.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static posix_resolver_t s_resolver;

static int end(void **state)
{
    (void)state;
    posix_resolver_cancel(&s_resolver);
    return 0;
}

static resolver_state_t wait_for_it(void)
{
    resolver_state_t found = RESOLVER_WAITS;
    while (found == RESOLVER_WAITS) {
        struct pollfd news = {.fd = posix_resolver_fd(&s_resolver), .events = POLLIN};
        (void)poll(&news, 1, 1000);
        found = posix_resolver_step(&s_resolver, posix_now_ms());
    }
    return found;
}

static void an_address_is_found_at_once(void **state)
{
    (void)state;
    assert_int_equal(posix_resolver_begin(&s_resolver, "192.0.2.7", 0), RESOLVER_FOUND);
    assert_string_equal(s_resolver.addresses[0], "192.0.2.7");
    assert_int_equal(posix_resolver_begin(&s_resolver, "2001:db8::7", 0), RESOLVER_FOUND);
    assert_string_equal(s_resolver.addresses[0], "2001:db8::7");
    assert_int_equal(posix_resolver_fd(&s_resolver), -1);
}

static void a_name_is_found_without_waiting_for_it(void **state)
{
    (void)state;
    assert_int_equal(posix_resolver_begin(&s_resolver, "localhost", posix_now_ms()), RESOLVER_WAITS);
    assert_int_equal(wait_for_it(), RESOLVER_FOUND);
    assert_true(s_resolver.count >= 1);
    assert_int_equal(posix_resolver_fd(&s_resolver), -1);
}

static void a_name_that_leads_nowhere_fails_with_a_word_on_why(void **state)
{
    (void)state;
    assert_int_equal(posix_resolver_begin(&s_resolver, "nowhere.invalid", posix_now_ms()), RESOLVER_WAITS);
    assert_int_equal(wait_for_it(), RESOLVER_FAILED);
    assert_true(strlen(s_resolver.why) > 0);
}

static void garbage_is_no_name(void **state)
{
    (void)state;
    char name[POSIX_NAME_MAX_CHARS + 2];
    memset(name, 'a', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    assert_int_equal(posix_resolver_begin(&s_resolver, name, 0), RESOLVER_FAILED);
    assert_int_equal(posix_resolver_begin(&s_resolver, "a..b", posix_now_ms()), RESOLVER_WAITS);
    assert_int_equal(wait_for_it(), RESOLVER_FAILED);
}

static void an_answer_that_is_late_is_given_up_and_does_no_harm(void **state)
{
    (void)state;
    const uint64_t now_ms = posix_now_ms();
    assert_int_equal(posix_resolver_begin(&s_resolver, "localhost", now_ms), RESOLVER_WAITS);
    /* Whether it has answered by now or not: one of both. */
    const resolver_state_t late = posix_resolver_step(&s_resolver, now_ms + POSIX_DNS_TIMEOUT_MS);
    assert_true(late == RESOLVER_FAILED || late == RESOLVER_FOUND);
    assert_int_equal(posix_resolver_step(&s_resolver, now_ms), RESOLVER_FAILED);
}

static void look_ups_that_were_given_up_are_bounded_and_end_by_themselves(void **state)
{
    (void)state;
    resolver_state_t found = RESOLVER_WAITS;
    for (int i = 0; i < 200; i++) {
        found = posix_resolver_begin(&s_resolver, "localhost", posix_now_ms());
        assert_true(found == RESOLVER_WAITS || found == RESOLVER_FAILED);
        posix_resolver_cancel(&s_resolver);
    }
    const struct timespec pause = {.tv_nsec = 10000000};
    for (int i = 0; i < 1000; i++) { /* those still under way end */
        found = posix_resolver_begin(&s_resolver, "localhost", posix_now_ms());
        if (found == RESOLVER_WAITS) {
            break;
        }
        nanosleep(&pause, NULL);
    }
    assert_int_equal(found, RESOLVER_WAITS);
    assert_int_equal(wait_for_it(), RESOLVER_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(an_address_is_found_at_once, end),
        cmocka_unit_test_teardown(a_name_is_found_without_waiting_for_it, end),
        cmocka_unit_test_teardown(a_name_that_leads_nowhere_fails_with_a_word_on_why, end),
        cmocka_unit_test_teardown(garbage_is_no_name, end),
        cmocka_unit_test_teardown(an_answer_that_is_late_is_given_up_and_does_no_harm, end),
        cmocka_unit_test_teardown(look_ups_that_were_given_up_are_bounded_and_end_by_themselves, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
