#include "options.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print_help(const option_t *options, size_t count, const char *about)
{
    printf("%s\n\n", about);
    for (size_t n = 0; n < count; n++) {
        printf("  %-18s %s ", options[n].name, options[n].help);
        if (options[n].number) {
            printf("[%" PRIu64 "]\n", *options[n].number);
        } else {
            printf("[%s]\n", *options[n].text ? *options[n].text : "");
        }
    }
}

static bool read_number(const option_t *option, const char *text)
{
    char *end = NULL;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || text[0] == '-' || number < option->low ||
        number > option->high) {
        fprintf(stderr, "%s is %s; give a whole number from %" PRIu64 " to %" PRIu64 ".\n", option->name, text,
                option->low, option->high);
        return false;
    }
    *option->number = number;
    return true;
}

bool options_read(const option_t *options, size_t count, int argc, char **argv, const char *about, int *exit_status)
{
    *exit_status = 2;
    for (int at = 1; at < argc; at++) {
        if (strcmp(argv[at], "--help") == 0) {
            print_help(options, count, about);
            *exit_status = 0;
            return false;
        }
        const option_t *option = NULL;
        for (size_t n = 0; n < count && !option; n++) {
            option = strcmp(argv[at], options[n].name) == 0 ? &options[n] : NULL;
        }
        if (!option || at + 1 == argc) {
            fprintf(stderr, option ? "%s needs a value.\n" : "%s is no option; see --help.\n", argv[at]);
            return false;
        }
        at++;
        if (option->number && !read_number(option, argv[at])) {
            return false;
        }
        if (option->text) {
            *option->text = argv[at];
        }
    }
    return true;
}
