/* Lines for people on standard error: `2026-02-18T18:30:00.123Z W mqtt: …`, each in one write(2). */
#pragma once

#include "../port_log.h"

#define POSIX_LOG_LINE_MAX_BYTES 512 /* longer ones are cut */

typedef struct {
    log_level_t most; /* what is more detailed is left out */
    port_log_t port;
} posix_log_t;

void posix_log_init(posix_log_t *log, log_level_t most);
void posix_log(const port_log_t *log, log_level_t level, const char *tag, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
