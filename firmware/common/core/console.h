/* A line that somebody typed at the serial console: `help`, `show [key]`, `set key [value]`, `test`, `status`,
 * `update`, `reboot`. Pure; secrets are never shown. */
#pragma once

#include "config.h"
#include "step.h"

typedef enum {
    CONSOLE_DONE,
    CONSOLE_CHANGED,
    CONSOLE_TEST,
    CONSOLE_REBOOT,
    CONSOLE_STATUS,
    CONSOLE_UPDATE
} console_did_t;

/* Answers through `say`, a line at a time, each of at most CONSOLE_LINE_MAX_BYTES; what it is given is good until it
 * returns. CONSOLE_CHANGED: `*changed` has another value now; the app acts on the others. */
console_did_t console_line(config_t *config, const char *line, uint64_t now_ms, config_key_t *changed,
                           void (*say)(void *ctx, const char *line), void *ctx);
