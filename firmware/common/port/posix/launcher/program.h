/* The program of an image: taken out of its slot, started, waited for. */
#pragma once

#include "host_image.h"

/* To a file of its own, executable, beside the slot; whole or not at all. False: errno says why. */
bool program_extract(const port_flash_t *slot, const host_image_t *image, const char *path);

/* Starts it as `path --launched arguments…` and waits for its end; a stop that comes meanwhile is passed on. Returns
 * its exit code, POSIX_EXIT_SIGNAL plus the signal that ended it, or -1: it could not be started, errno says why. */
int program_run(const char *path, char *const *arguments);

void program_catch_stops(void); /* SIGTERM, SIGINT, SIGHUP */
bool program_is_stopped(void);  /* one came */
