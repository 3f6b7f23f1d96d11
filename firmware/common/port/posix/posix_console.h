/* Who sits at the device: standard input and output, or a pseudo-terminal as the serial port that a board has. A line
 * that begins with `!` is the host's own and not the device's: it plays what happens to a device. */
#pragma once

#include "posix_source.h"

#define POSIX_CONSOLE_READ_BYTES 512

typedef enum { POSIX_CONSOLE_NONE, POSIX_CONSOLE_STDIN, POSIX_CONSOLE_PTY } posix_console_kind_t;

typedef struct {
    posix_console_kind_t kind;
    int in, out; /* -1: none any more */
    int kept;    /* the other end of a pseudo-terminal, so that it stays while nobody uses it */
    void (*host_command)(void *ctx, const char *line); /* behind the `!` */
    void *host_ctx;
    char read[POSIX_CONSOLE_READ_BYTES];
    size_t read_len, read_at;
    char line[CONSOLE_LINE_MAX_BYTES + 2]; /* one too many shows the core that it is too long */
    size_t line_len;
    bool after_return;
} posix_console_t;

/* `link`: where a symbolic link to the pseudo-terminal is made; NULL: nowhere. False: it can't be opened. */
bool posix_console_init(posix_console_t *console, posix_console_kind_t kind, const char *link,
                        void (*host_command)(void *ctx, const char *line), void *host_ctx);
/* A line, without its end. What nobody reads is lost: a device does not wait for its console. */
void posix_console_say(void *console, const char *line);
posix_source_t posix_console_source(posix_console_t *console);
