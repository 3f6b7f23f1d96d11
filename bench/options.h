/* Long options with a value each, read by a table. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    const char *name; /* with its dashes */
    const char *help;
    /* One of the two; what is there before is the default. */
    uint64_t *number;
    const char **text;
    uint64_t low; /* for a number */
    uint64_t high;
} option_t;

/* False when the program must end with `exit_status`: --help was asked for, or a sentence says what is wrong. */
bool options_read(const option_t *options, size_t count, int argc, char **argv, const char *about, int *exit_status);
