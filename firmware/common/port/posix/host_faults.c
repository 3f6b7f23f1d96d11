#include "host_faults.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define SHIFT_MAX_S (100LL * 366 * 86400)
#define LATER_MAX_S (366LL * 86400)

static bool read_seconds(const char *text, long long min_s, long long max_s, long long *out)
{
    char *end = NULL;
    *out = strtoll(text, &end, 10);
    return end != text && *end == '\0' && *out >= min_s && *out <= max_s;
}

static bool shift_clock(const host_faults_t *faults, const char *seconds)
{
    long long shift_s;
    if (!read_seconds(seconds, -SHIFT_MAX_S, SHIFT_MAX_S, &shift_s)) {
        return false;
    }
    posix_clock_shift(faults->clock, true, shift_s);
    return true;
}

static bool skip(const host_faults_t *faults, const char *seconds)
{
    long long later_s;
    if (!read_seconds(seconds, 1, LATER_MAX_S, &later_s)) {
        return false;
    }
    posix_clock_skip(faults->clock, later_s);
    return true;
}

void host_faults_command(void *ctx, const char *line)
{
    const host_faults_t *faults = ctx;
    bool known = true;
    if (strncmp(line, "clock ", strlen("clock ")) == 0) {
        known = shift_clock(faults, line + strlen("clock "));
    } else if (strncmp(line, "later ", strlen("later ")) == 0) {
        known = skip(faults, line + strlen("later "));
    } else if (strcmp(line, "no-clock") == 0) {
        posix_clock_shift(faults->clock, false, 0);
    } else if (strcmp(line, "network down") == 0) {
        posix_network_hold(faults->network, true);
    } else if (strcmp(line, "network up") == 0) {
        posix_network_hold(faults->network, false);
    } else if (strcmp(line, "power-cut") == 0) {
        raise(SIGKILL);
    } else {
        known = false;
    }
    faults->say(faults->say_ctx,
                known ? "Done." : "Say !clock SECONDS, !no-clock, !later SECONDS, !network down|up or !power-cut.");
}
