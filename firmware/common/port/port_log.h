#pragma once

#include <stdarg.h>

typedef enum { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG } log_level_t;

typedef struct {
    void *ctx;
    /* One line. Never a secret in it. */
    void (*write)(void *ctx, log_level_t level, const char *tag, const char *text);
} port_log_t;
