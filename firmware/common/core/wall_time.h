/* Times on the wire: RFC 3339, UTC, whole seconds (contract: `timestamp`). Pure. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define WALL_TIME_CHARS 20 /* 2026-02-18T18:30:00Z */

/* Writes so many characters and a NUL. Returns WALL_TIME_CHARS, or 0 outside of the years 1 to 9999. */
size_t wall_time_print(int64_t unix_s, char out[WALL_TIME_CHARS + 1]);
/* For people: the time, or `otherwise` of 0, which is none, and of what can't be printed. */
const char *wall_time_text(int64_t unix_s, const char *otherwise, char out[WALL_TIME_CHARS + 1]);
