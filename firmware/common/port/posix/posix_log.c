#include "posix_log.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char s_letters[] = "EWID";

static void write_line(void *ctx, log_level_t level, const char *tag, const char *text)
{
    const posix_log_t *log = ctx;
    if (level > log->most) {
        return;
    }
    struct timespec now;
    struct tm utc;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    char line[POSIX_LOG_LINE_MAX_BYTES + 1];
    size_t len = strftime(line, sizeof(line), "%Y-%m-%dT%H:%M:%S", &utc);
    int more = snprintf(line + len, sizeof(line) - len, ".%03ldZ %c %s: %s", now.tv_nsec / 1000000, s_letters[level],
                        tag, text);
    len += more < 0 ? 0 : (size_t)more;
    if (len > sizeof(line) - 1) {
        len = sizeof(line) - 1;
    }
    /* Text of a server may be in it: it must not draw on a terminal, nor pass for a line of ours. */
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f) {
            line[i] = '?';
        }
    }
    line[len] = '\n';
    /* A pipe that nobody reads must not stop a device: writable means that PIPE_BUF bytes fit. */
    struct pollfd out = {.fd = STDERR_FILENO, .events = POLLOUT};
    if (poll(&out, 1, 0) == 1 && (out.revents & POLLOUT) != 0) {
        ssize_t ignored = write(STDERR_FILENO, line, len + 1);
        (void)ignored;
    }
}

void posix_log_init(posix_log_t *log, log_level_t most)
{
    log->most = most;
    log->port = (port_log_t){.ctx = log, .write = write_line};
}

void posix_log(const port_log_t *log, log_level_t level, const char *tag, const char *format, ...)
{
    char text[POSIX_LOG_LINE_MAX_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    log->write(log->ctx, level, tag, text);
}
