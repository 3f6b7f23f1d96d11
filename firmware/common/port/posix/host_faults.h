/* What happens to a device, on request: a line behind `!` at its console. */
#pragma once

#include "posix_clock.h"
#include "posix_network.h"

typedef struct {
    posix_clock_t *clock;
    posix_network_t *network;
    void (*say)(void *ctx, const char *line);
    void *say_ctx;
} host_faults_t;

/* `clock SECONDS`, `no-clock`, `later SECONDS`, `network down`, `network up`, `power-cut`. */
void host_faults_command(void *faults, const char *line);
