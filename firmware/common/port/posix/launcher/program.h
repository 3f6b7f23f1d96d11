/* The program of an image: taken out of its slot, started, waited for. */
#pragma once

#include "host_image.h"

#define PROGRAM_ARGUMENTS_MAX 64

/* After so long it is ended, as a watchdog would, if it still is what `is_over` asks for. */
typedef struct {
    unsigned limit_ms; /* 0: for ever */
    bool (*is_over)(void *ctx);
    void *ctx;
} program_limit_t;

/* The program as a file that is executable and that nobody writes to: `path`, or `path` as it is when it holds the very
 * bytes of the slot already, as of a device that started it before. Returns a descriptor of what was compared, so that
 * what is started is that and nothing else; -1: errno says why, and no file is left half-written. */
int program_extract(const port_flash_t *slot, const host_image_t *image, const char *path);

/* `program`: as program_extract() gave it; it is closed. `name`: for `ps`, and for what is said of it. `arguments`: no
 * more than PROGRAM_ARGUMENTS_MAX. Starts it as `name --launched arguments…` and waits for its end; a stop that comes
 * meanwhile is passed on. Returns its exit code, POSIX_EXIT_SIGNAL plus the signal that ended it, or -1: it could not
 * be started, errno says why. */
int program_run(int program, const char *name, char *const *arguments, const program_limit_t *limit);

void program_catch_stops(void); /* SIGTERM, SIGINT, SIGHUP */
bool program_is_stopped(void);  /* one came */
