/* The command line of a device that runs as a program. */
#pragma once

#include "../port_log.h"
#include "posix_console.h"
#include "posix_overlay.h"

typedef struct {
    const char *factory; /* an nvs.bin, or */
    const char *box;     /* a unit's folder */
    const char *state;
    const char *report;
    const char *journal;
    const char *http_via; /* NULL: straight on */
    posix_console_kind_t console;
    log_level_t log_level;
    bool knows_time;
    int64_t clock_offset_s;
    uint32_t pair_refused_s;           /* 0: as a board has it */
    uint32_t trial_s, update_spread_s; /* the same */
    bool once;
    bool launched;
    bool demo_sensors;
    posix_overlay_t overlay;
} host_options_t;

typedef enum { HOST_OPTIONS_GOOD, HOST_OPTIONS_DONE, HOST_OPTIONS_WRONG } host_options_state_t;

/* Says what is wrong, or the help, by itself. `options` stays where it is. */
host_options_state_t host_options_read(host_options_t *options, int argc, char **argv, const char *family);
