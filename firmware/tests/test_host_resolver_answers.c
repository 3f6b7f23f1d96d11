/* What becomes of each answer that getaddrinfo(3) can give, in the place of which stands this file's own. What name
 * servers can make it answer, a test of tests/firmware sees on the wire. */
#include "port/posix/posix_clock.h"
#include "port/posix/posix_resolver.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define NAME "broker.example"
#define MANY 200

static struct {
    int error, cause;
    int addresses, of_no_family; /* how many, the latter first */
    atomic_bool held;            /* nobody is answered meanwhile */
} s_answer;
static posix_resolver_t s_resolver;

static struct addrinfo *address(sa_family_t family, int number, struct addrinfo *next)
{
    struct addrinfo *one = calloc(1, sizeof(*one));
    struct sockaddr_in *socket_address = calloc(1, sizeof(*socket_address));
    assert_non_null(one);
    assert_non_null(socket_address);
    socket_address->sin_family = family;
    socket_address->sin_addr.s_addr = htonl(0xC0000200 + (uint32_t)number); /* 192.0.2.0 and on */
    one->ai_family = family;
    one->ai_addr = (struct sockaddr *)socket_address;
    one->ai_addrlen = sizeof(*socket_address);
    one->ai_next = next;
    return one;
}

int getaddrinfo(const char *name, const char *service, const struct addrinfo *wanted, struct addrinfo **found)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    (void)service;
    if ((wanted->ai_flags & AI_NUMERICHOST) != 0) {
        return EAI_NONAME;
    }
    while (atomic_load(&s_answer.held)) {
        nanosleep(&pause, NULL);
    }
    errno = s_answer.cause;
    if (s_answer.error != 0 || strcmp(name, NAME) != 0) {
        return s_answer.error;
    }
    *found = NULL;
    for (int i = s_answer.addresses; i > 0; i--) {
        *found = address(AF_INET, i, *found);
    }
    for (int i = s_answer.of_no_family; i > 0; i--) {
        *found = address(AF_UNSPEC, i, *found);
    }
    return 0;
}

void freeaddrinfo(struct addrinfo *found)
{
    while (found != NULL) {
        struct addrinfo *next = found->ai_next;
        free(found->ai_addr);
        free(found);
        found = next;
    }
}

/* Of this process: the one that tests, and a look-up each. */
static int threads(void)
{
    DIR *tasks = opendir("/proc/self/task");
    int count = 0;
    assert_non_null(tasks);
    for (const struct dirent *task = readdir(tasks); task != NULL; task = readdir(tasks)) {
        count += task->d_name[0] != '.';
    }
    closedir(tasks);
    return count;
}

static int begin(void **state)
{
    (void)state;
    memset(&s_answer, 0, sizeof(s_answer));
    return 0;
}

static int end(void **state)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    (void)state;
    atomic_store(&s_answer.held, false);
    posix_resolver_cancel(&s_resolver);
    while (threads() > 1) {
        nanosleep(&pause, NULL);
    }
    return 0;
}

static resolver_state_t looked_up(void)
{
    resolver_state_t found = posix_resolver_begin(&s_resolver, NAME, posix_now_ms());
    while (found == RESOLVER_WAITS) {
        struct pollfd news = {.fd = posix_resolver_fd(&s_resolver), .events = POLLIN};
        (void)poll(&news, 1, 1000);
        found = posix_resolver_step(&s_resolver, posix_now_ms());
    }
    assert_int_equal(posix_resolver_fd(&s_resolver), -1);
    return found;
}

static void assert_fails(const char *why)
{
    assert_int_equal(looked_up(), RESOLVER_FAILED);
    assert_string_equal(s_resolver.why, why);
    assert_int_equal(s_resolver.count, 0);
}

static void each_error_is_a_failure_with_its_own_words(void **state)
{
    static const int ERRORS[] = {EAI_NONAME, EAI_NODATA, EAI_AGAIN, EAI_FAIL, EAI_MEMORY, EAI_FAMILY, EAI_ADDRFAMILY};
    (void)state;
    for (size_t i = 0; i < sizeof(ERRORS) / sizeof(ERRORS[0]); i++) {
        s_answer.error = ERRORS[i];
        assert_fails(gai_strerror(ERRORS[i]));
    }
    s_answer.error = 12345; /* of a C library to come */
    assert_fails(gai_strerror(12345));
}

static void an_error_of_the_system_says_which(void **state)
{
    (void)state;
    s_answer.error = EAI_SYSTEM;
    s_answer.cause = EMFILE;
    assert_fails(strerror(EMFILE));
}

static void an_answer_without_an_address_is_a_failure(void **state)
{
    (void)state;
    assert_fails("it has no address");
    s_answer.of_no_family = MANY;
    assert_fails("it has no address");
}

static void addresses_of_no_family_are_passed_over(void **state)
{
    (void)state;
    s_answer.of_no_family = MANY;
    s_answer.addresses = 2;
    assert_int_equal(looked_up(), RESOLVER_FOUND);
    assert_int_equal(s_resolver.count, 2);
    assert_string_equal(s_resolver.addresses[0], "192.0.2.1");
    assert_string_equal(s_resolver.addresses[1], "192.0.2.2");
}

static void more_addresses_than_there_is_room_for_are_left_out(void **state)
{
    (void)state;
    s_answer.addresses = MANY;
    assert_int_equal(looked_up(), RESOLVER_FOUND);
    assert_int_equal(s_resolver.count, POSIX_ADDRESSES_MAX);
    assert_string_equal(s_resolver.addresses[POSIX_ADDRESSES_MAX - 1], "192.0.2.8");
}

static void a_failure_leaves_no_address_of_the_last_answer(void **state)
{
    (void)state;
    s_answer.addresses = 2;
    assert_int_equal(looked_up(), RESOLVER_FOUND);
    s_answer.error = EAI_AGAIN;
    assert_fails(gai_strerror(EAI_AGAIN));
}

static void an_answer_that_does_not_come_is_given_up_when_its_time_is_over_and_not_before(void **state)
{
    (void)state;
    atomic_store(&s_answer.held, true);
    const uint64_t begun_ms = posix_now_ms();
    assert_int_equal(posix_resolver_begin(&s_resolver, NAME, begun_ms), RESOLVER_WAITS);
    assert_true(posix_resolver_fd(&s_resolver) >= 0);
    assert_int_equal(posix_resolver_step(&s_resolver, begun_ms + POSIX_DNS_TIMEOUT_MS - 1), RESOLVER_WAITS);
    assert_int_equal(posix_resolver_step(&s_resolver, begun_ms + POSIX_DNS_TIMEOUT_MS), RESOLVER_FAILED);
    assert_string_equal(s_resolver.why, "no answer of any name server");
    assert_int_equal(posix_resolver_fd(&s_resolver), -1);
}

static void so_many_that_do_not_come_make_the_next_fail_at_once_until_one_ends(void **state)
{
    (void)state;
    atomic_store(&s_answer.held, true);
    s_answer.addresses = 1;
    for (int i = 0; i < POSIX_LOOKUPS_MAX; i++) {
        assert_int_equal(posix_resolver_begin(&s_resolver, NAME, 0), RESOLVER_WAITS);
        assert_int_equal(posix_resolver_step(&s_resolver, POSIX_DNS_TIMEOUT_MS), RESOLVER_FAILED);
    }
    assert_int_equal(posix_resolver_begin(&s_resolver, NAME, 0), RESOLVER_FAILED);
    assert_string_equal(s_resolver.why, "too many look-ups are still under way");
    assert_int_equal(threads(), 1 + POSIX_LOOKUPS_MAX);
    atomic_store(&s_answer.held, false);
    const struct timespec pause = {.tv_nsec = 1000000};
    for (int i = 0; i < 5000 && looked_up() != RESOLVER_FOUND; i++) {
        nanosleep(&pause, NULL);
    }
    assert_string_equal(s_resolver.addresses[0], "192.0.2.1");
}

int main(void)
{
#define TEST(fact) cmocka_unit_test_setup_teardown(fact, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(each_error_is_a_failure_with_its_own_words),
        TEST(an_error_of_the_system_says_which),
        TEST(an_answer_without_an_address_is_a_failure),
        TEST(addresses_of_no_family_are_passed_over),
        TEST(more_addresses_than_there_is_room_for_are_left_out),
        TEST(a_failure_leaves_no_address_of_the_last_answer),
        TEST(an_answer_that_does_not_come_is_given_up_when_its_time_is_over_and_not_before),
        TEST(so_many_that_do_not_come_make_the_next_fail_at_once_until_one_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
