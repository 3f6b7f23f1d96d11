#include "port/posix/posix_console.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#define PATIENCE_MS 5000 /* for what comes: the kernel hands it over when it has the time */
#define SILENT_MS 50     /* for what does not come */

static posix_console_t s_console;
static posix_source_t s_source;
static char s_host_line[CONSOLE_LINE_MAX_BYTES + 2];
static int s_terminal = -1;
static char s_link[64];

static void host_command(void *ctx, const char *line)
{
    (void)ctx;
    (void)snprintf(s_host_line, sizeof(s_host_line), "%s", line);
}

/* A pseudo-terminal is both ends at once: what is typed, and what comes back. */
static int begin(void **state)
{
    (void)state;
    s_host_line[0] = '\0';
    (void)snprintf(s_link, sizeof(s_link), "/tmp/tds-console-%d", (int)getpid());
    if (!posix_console_init(&s_console, POSIX_CONSOLE_PTY, s_link, host_command, NULL)) {
        return -1;
    }
    s_source = posix_console_source(&s_console);
    s_terminal = open(s_link, O_RDWR | O_NOCTTY | O_NONBLOCK);
    return s_terminal < 0 ? -1 : 0;
}

static int end(void **state)
{
    (void)state;
    close(s_terminal);
    close(s_console.in);
    close(s_console.kept);
    unlink(s_link);
    return 0;
}

static void type(const char *text)
{
    assert_int_equal(write(s_terminal, text, strlen(text)), (ssize_t)strlen(text));
}

static bool next_line(event_t *out, int wait_ms)
{
    for (int i = 0; i < 50; i++) {
        if (s_source.take(s_source.ctx, out)) {
            return true;
        }
        posix_watch_t watch = {.timeout_ms = (uint64_t)wait_ms};
        s_source.watch(s_source.ctx, 0, &watch);
        if (poll(watch.fds, watch.count, wait_ms) <= 0) {
            return false;
        }
        s_source.serve(s_source.ctx, 0, &watch);
    }
    return false;
}

static void assert_line(const char *wanted)
{
    event_t event;
    assert_true(next_line(&event, PATIENCE_MS));
    assert_int_equal(event.type, EVENT_CONSOLE_LINE);
    assert_string_equal(event.line, wanted);
}

static void assert_comes_back(const char *wanted)
{
    char back[64];
    size_t len = 0;
    while (len < sizeof(back) - 1) {
        struct pollfd there = {.fd = s_terminal, .events = POLLIN};
        if (poll(&there, 1, len < strlen(wanted) ? PATIENCE_MS : SILENT_MS) <= 0) {
            break;
        }
        ssize_t got = read(s_terminal, back + len, sizeof(back) - 1 - len);
        assert_true(got > 0);
        len += (size_t)got;
    }
    back[len] = '\0';
    assert_string_equal(back, wanted);
}

static void a_line_ends_with_a_return_a_newline_or_both(void **state)
{
    (void)state;
    type("help\rshow\nstatus\r\ntest\n");
    assert_line("help");
    assert_line("show");
    assert_line("status");
    assert_line("test");
    event_t event;
    assert_false(next_line(&event, SILENT_MS));
}

static void what_is_typed_is_echoed_and_can_be_taken_back(void **state)
{
    (void)state;
    type("helx\bp\r");
    assert_line("help");
    assert_comes_back("helx\b \bp\r\n");
    type("\b\bx\177ok\r"); /* more than there is */
    assert_line("ok");
}

static void a_line_that_is_too_long_is_one_that_the_core_refuses(void **state)
{
    (void)state;
    char line[2 * CONSOLE_LINE_MAX_BYTES];
    event_t event;
    memset(line, 'x', sizeof(line) - 2);
    line[sizeof(line) - 2] = '\r';
    line[sizeof(line) - 1] = '\0';
    type(line);
    assert_true(next_line(&event, PATIENCE_MS));
    assert_int_equal(strlen(event.line), CONSOLE_LINE_MAX_BYTES + 1);
}

static void a_line_behind_an_exclamation_mark_is_the_hosts(void **state)
{
    (void)state;
    type("!network down\rhelp\r");
    assert_line("help");
    assert_string_equal(s_host_line, "network down");
}

static void what_is_said_ends_as_a_terminal_wants_it(void **state)
{
    (void)state;
    posix_console_say(&s_console, "Restarting.");
    assert_comes_back("Restarting.\r\n");
}

static void a_console_that_nobody_reads_does_not_hold_the_device_up(void **state)
{
    (void)state;
    for (int i = 0; i < 20000; i++) {
        posix_console_say(&s_console, "a line that goes nowhere, as nobody is there to read it");
    }
}

static void a_device_without_a_console_says_and_hears_nothing(void **state)
{
    (void)state;
    posix_console_t none;
    event_t event;
    posix_watch_t watch = {.timeout_ms = 1};
    assert_true(posix_console_init(&none, POSIX_CONSOLE_NONE, NULL, host_command, NULL));
    posix_source_t source = posix_console_source(&none);
    posix_console_say(&none, "nothing");
    source.watch(source.ctx, 0, &watch);
    source.serve(source.ctx, 0, &watch);
    assert_int_equal(watch.count, 0);
    assert_false(source.take(source.ctx, &event));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_line_ends_with_a_return_a_newline_or_both, begin, end),
        cmocka_unit_test_setup_teardown(what_is_typed_is_echoed_and_can_be_taken_back, begin, end),
        cmocka_unit_test_setup_teardown(a_line_that_is_too_long_is_one_that_the_core_refuses, begin, end),
        cmocka_unit_test_setup_teardown(a_line_behind_an_exclamation_mark_is_the_hosts, begin, end),
        cmocka_unit_test_setup_teardown(what_is_said_ends_as_a_terminal_wants_it, begin, end),
        cmocka_unit_test_setup_teardown(a_console_that_nobody_reads_does_not_hold_the_device_up, begin, end),
        cmocka_unit_test(a_device_without_a_console_says_and_hears_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
