#include "posix_console.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#define SAY_PIECE_BYTES 256 /* a pipe that is writable takes PIPE_BUF, 4096, without waiting */

static bool open_pty(posix_console_t *console, const char *link)
{
    console->in = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    console->out = console->in;
    if (console->in < 0 || grantpt(console->in) != 0 || unlockpt(console->in) != 0) {
        return false;
    }
    const char *name = ptsname(console->in);
    console->kept = name == NULL ? -1 : open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
    struct termios raw;
    if (console->kept < 0 || tcgetattr(console->kept, &raw) != 0) {
        return false;
    }
    cfmakeraw(&raw); /* as a serial line: its terminal echoes nothing, the device does */
    tcsetattr(console->kept, TCSANOW, &raw);
    if (link != NULL) {
        unlink(link);
        return symlink(name, link) == 0;
    }
    return true;
}

bool posix_console_init(posix_console_t *console, posix_console_kind_t kind, const char *link,
                        void (*host_command)(void *ctx, const char *line), void *host_ctx)
{
    *console = (posix_console_t){
        .kind = kind, .in = -1, .out = -1, .kept = -1, .host_command = host_command, .host_ctx = host_ctx};
    switch (kind) {
    case POSIX_CONSOLE_NONE:
        return true;
    case POSIX_CONSOLE_STDIN:
        console->in = STDIN_FILENO;
        console->out = STDOUT_FILENO;
        return true;
    case POSIX_CONSOLE_PTY:
        return open_pty(console, link);
    }
    return false;
}

static void put(posix_console_t *console, const char *text, size_t len)
{
    struct pollfd out = {.fd = console->out, .events = POLLOUT};
    while (len > 0 && poll(&out, 1, 0) == 1 && (out.revents & POLLOUT) != 0) {
        ssize_t done = write(console->out, text, len < SAY_PIECE_BYTES ? len : SAY_PIECE_BYTES);
        if (done <= 0) {
            return;
        }
        text += done;
        len -= (size_t)done;
    }
}

void posix_console_say(void *ctx, const char *line)
{
    posix_console_t *console = ctx;
    if (console->out >= 0) {
        put(console, line, strlen(line));
        put(console, console->kind == POSIX_CONSOLE_PTY ? "\r\n" : "\n", console->kind == POSIX_CONSOLE_PTY ? 2 : 1);
    }
}

static void echo(posix_console_t *console, char c)
{
    if (console->kind != POSIX_CONSOLE_PTY) {
        return;
    }
    if (c == '\r' || c == '\n') {
        put(console, "\r\n", 2);
    } else if (c == '\b' || c == 0x7f) {
        put(console, "\b \b", 3);
    } else {
        put(console, &c, 1);
    }
}

/* True: a line is whole. */
static bool take_byte(posix_console_t *console, char c)
{
    bool ends = c == '\r' || (c == '\n' && !console->after_return);
    console->after_return = c == '\r';
    if (ends) {
        console->line[console->line_len] = '\0';
        console->line_len = 0;
        echo(console, c);
        return true;
    }
    if (c == '\b' || c == 0x7f) {
        if (console->line_len > 0) {
            console->line_len--;
            echo(console, c);
        }
    } else if (c != '\n' && c != '\0' && console->line_len < sizeof(console->line) - 1) {
        console->line[console->line_len] = c;
        console->line_len++;
        echo(console, c);
    }
    return false;
}

static bool take(void *ctx, event_t *out)
{
    posix_console_t *console = ctx;
    while (console->read_at < console->read_len) {
        char c = console->read[console->read_at];
        console->read_at++;
        if (!take_byte(console, c)) {
            continue;
        }
        if (console->line[0] == '!') {
            console->host_command(console->host_ctx, console->line + 1);
            continue;
        }
        *out = (event_t){.type = EVENT_CONSOLE_LINE, .line = console->line};
        return true;
    }
    return false;
}

static void watch(void *ctx, uint64_t now_ms, posix_watch_t *watch)
{
    (void)now_ms;
    const posix_console_t *console = ctx;
    if (console->in >= 0) {
        posix_watch_add(watch, console->in, POLLIN);
    }
}

static void serve(void *ctx, uint64_t now_ms, const posix_watch_t *watch)
{
    (void)now_ms;
    posix_console_t *console = ctx;
    if (console->in < 0 || posix_watch_found(watch, console->in) == 0 || console->read_at < console->read_len) {
        return;
    }
    ssize_t got = read(console->in, console->read, sizeof(console->read));
    console->read_at = 0;
    console->read_len = got > 0 ? (size_t)got : 0;
    if (got <= 0 && console->kind == POSIX_CONSOLE_STDIN) {
        console->in = -1; /* whoever was there has gone; the device stays */
    }
}

posix_source_t posix_console_source(posix_console_t *console)
{
    return (posix_source_t){.ctx = console, .watch = watch, .serve = serve, .take = take};
}
