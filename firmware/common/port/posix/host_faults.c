#include "host_faults.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define SHIFT_MAX_S (100LL * 366 * 86400)

static bool shift_clock(const host_faults_t *faults, const char *seconds)
{
    char *end = NULL;
    long long shift_s = strtoll(seconds, &end, 10);
    if (end == seconds || *end != '\0' || shift_s > SHIFT_MAX_S || shift_s < -SHIFT_MAX_S) {
        return false;
    }
    posix_clock_shift(faults->clock, true, shift_s);
    return true;
}

void host_faults_command(void *ctx, const char *line)
{
    const host_faults_t *faults = ctx;
    bool known = true;
    if (strncmp(line, "clock ", strlen("clock ")) == 0) {
        known = shift_clock(faults, line + strlen("clock "));
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
    faults->say(faults->say_ctx, known ? "Done." : "Say !clock SECONDS, !no-clock, !network down|up or !power-cut.");
}
