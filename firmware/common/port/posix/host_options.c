#include "host_options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../core/update.h"
#include "../../core/update_poll.h"

#define CLOCK_OFFSET_MAX_S (100LL * 366 * 86400)

static const char HELP[] =
    "A %s as a program: the device's own code over this machine's network, clock and files, with simulated sensors.\n"
    "\n"
    "  %s --box box-42/GW-0001 --state state/GW-0001\n"
    "\n"
    "who it is (one of both):\n"
    "  --factory FILE         the unit's nvs.bin, as ./tds provision writes it\n"
    "  --box FOLDER           the unit's folder of a box: its nvs.bin, or its PEM files\n"
    "\n"
    "where it keeps what a board has in its flash:\n"
    "  --state FOLDER         settings, readings not sent yet, renewed certificate; made when it is not there\n"
    "\n"
    "instead of what the factory says; settings of its console go before all:\n"
    "  --broker URI           mqtts://host:port, or mqtt://host:port\n"
    "  --ota-url URL          https://host:port, which renews certificates\n"
    "  --interval SECONDS     between two publishes\n"
    "  --set KEY=VALUE        any setting; `show` at the console lists them\n"
    "  --sensors board|demo   (board) demo: three devices as ./tds simulate has them, in place of the first one\n"
    "\n"
    "how it is looked at:\n"
    "  --console stdin|pty|none   (stdin) pty: a serial port, by the link `console` in the state folder\n"
    "  --log-level error|warning|info|debug   (info) to standard error\n"
    "  --report FILE          its state as JSON, replaced each second\n"
    "  --journal FILE         each sample that it keeps, as JSON with the time it is sent under; appended to\n"
    "  --once                 ends when a publish is acknowledged; with 1 when none is within a minute\n"
    "\n"
    "what it is put through:\n"
    "  --clock-offset SECONDS its clock is ahead, or behind, of this machine's\n"
    "  --no-clock             nobody tells it the time\n"
    "  --http-via HOST:PORT   requests go there instead, through what makes the way worse; TLS is the server's own\n"
    "  --pair-refused SECONDS a certificate that the broker refuses for so long gives way to the other; default 1800\n"
    "  --trial SECONDS        a new image that did not prove itself within so long gives itself up; default 300\n"
    "  --update-spread SECONDS   within which it asks for an update when all are told to; default 300\n"
    "at the console: !clock SECONDS, !no-clock, !network down, !network up, !power-cut\n"
    "  !later SECONDS         so much time passes at once, as when this machine was asleep\n"
    "\n"
    "  --version  --help\n";

enum {
    OPTION_FACTORY = 256,
    OPTION_BOX,
    OPTION_STATE,
    OPTION_BROKER,
    OPTION_OTA_URL,
    OPTION_INTERVAL,
    OPTION_SET,
    OPTION_SENSORS,
    OPTION_CONSOLE,
    OPTION_LOG_LEVEL,
    OPTION_REPORT,
    OPTION_JOURNAL,
    OPTION_ONCE,
    OPTION_CLOCK_OFFSET,
    OPTION_NO_CLOCK,
    OPTION_HTTP_VIA,
    OPTION_PAIR_REFUSED,
    OPTION_TRIAL,
    OPTION_UPDATE_SPREAD,
    OPTION_LAUNCHED,
    OPTION_VERSION,
    OPTION_HELP,
};

static const struct option OPTIONS[] = {{"factory", required_argument, NULL, OPTION_FACTORY},
                                        {"box", required_argument, NULL, OPTION_BOX},
                                        {"state", required_argument, NULL, OPTION_STATE},
                                        {"broker", required_argument, NULL, OPTION_BROKER},
                                        {"ota-url", required_argument, NULL, OPTION_OTA_URL},
                                        {"interval", required_argument, NULL, OPTION_INTERVAL},
                                        {"set", required_argument, NULL, OPTION_SET},
                                        {"sensors", required_argument, NULL, OPTION_SENSORS},
                                        {"console", required_argument, NULL, OPTION_CONSOLE},
                                        {"log-level", required_argument, NULL, OPTION_LOG_LEVEL},
                                        {"report", required_argument, NULL, OPTION_REPORT},
                                        {"journal", required_argument, NULL, OPTION_JOURNAL},
                                        {"once", no_argument, NULL, OPTION_ONCE},
                                        {"clock-offset", required_argument, NULL, OPTION_CLOCK_OFFSET},
                                        {"no-clock", no_argument, NULL, OPTION_NO_CLOCK},
                                        {"http-via", required_argument, NULL, OPTION_HTTP_VIA},
                                        {"pair-refused", required_argument, NULL, OPTION_PAIR_REFUSED},
                                        {"trial", required_argument, NULL, OPTION_TRIAL},
                                        {"update-spread", required_argument, NULL, OPTION_UPDATE_SPREAD},
                                        {"launched", no_argument, NULL, OPTION_LAUNCHED}, /* the launcher's word */
                                        {"version", no_argument, NULL, OPTION_VERSION},
                                        {"help", no_argument, NULL, OPTION_HELP},
                                        {NULL, 0, NULL, 0}};

/* The place of `word` in a list that ends with NULL; -1: not in it. */
static int find(const char *const *words, const char *word)
{
    for (int i = 0; words[i] != NULL; i++) {
        if (strcmp(words[i], word) == 0) {
            return i;
        }
    }
    return -1;
}

static bool choose(const char *option, const char *const *words, const char *word, int *out)
{
    int found = find(words, word);
    if (found < 0) {
        fprintf(stderr, "%s is '%s'; it may be", option, word);
        for (int i = 0; words[i] != NULL; i++) {
            fprintf(stderr, "%s %s", i == 0 ? "" : ",", words[i]);
        }
        fprintf(stderr, ".\n");
        return false;
    }
    *out = found;
    return true;
}

static bool read_offset(const char *text, int64_t *out)
{
    char *end = NULL;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value > CLOCK_OFFSET_MAX_S || value < -CLOCK_OFFSET_MAX_S) {
        fprintf(stderr, "--clock-offset is '%s'; give whole seconds, at most a hundred years either way.\n", text);
        return false;
    }
    *out = value;
    return true;
}

static bool read_seconds(const char *option, const char *text, long long most, uint32_t *out)
{
    char *end = NULL;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value < 1 || value > most) {
        fprintf(stderr, "%s is '%s'; give whole seconds from 1 to %lld.\n", option, text, most);
        return false;
    }
    *out = (uint32_t)value;
    return true;
}

static bool set(host_options_t *options, const char *key, const char *value)
{
    if (!posix_overlay_set(&options->overlay, key, value)) {
        fprintf(stderr, "The setting '%s' is none; a key has at most %d characters.\n", key, KV_KEY_MAX_CHARS);
        return false;
    }
    return true;
}

static bool set_pair(host_options_t *options, char *pair)
{
    char *equals = strchr(pair, '=');
    if (equals == NULL) {
        fprintf(stderr, "--set is '%s'; give KEY=VALUE.\n", pair);
        return false;
    }
    *equals = '\0';
    bool good = set(options, pair, equals + 1);
    *equals = '='; /* a reboot hands the same words to the program again */
    return good;
}

static bool take(host_options_t *options, int option, char *argument)
{
    static const char *const CONSOLES[] = {"none", "stdin", "pty", NULL}; /* as posix_console_kind_t */
    static const char *const LEVELS[] = {"error", "warning", "info", "debug", NULL};
    static const char *const SENSORS[] = {"board", "demo", NULL};
    int chosen = 0;
    switch (option) {
    case OPTION_FACTORY:
        options->factory = argument;
        return true;
    case OPTION_BOX:
        options->box = argument;
        return true;
    case OPTION_STATE:
        options->state = argument;
        return true;
    case OPTION_BROKER:
        return set(options, "broker_uri", argument);
    case OPTION_OTA_URL:
        return set(options, "ota_url", argument);
    case OPTION_INTERVAL:
        return set(options, "interval_s", argument);
    case OPTION_SET:
        return set_pair(options, argument);
    case OPTION_SENSORS:
        if (!choose("--sensors", SENSORS, argument, &chosen)) {
            return false;
        }
        options->demo_sensors = chosen == 1;
        return true;
    case OPTION_CONSOLE:
        if (!choose("--console", CONSOLES, argument, &chosen)) {
            return false;
        }
        options->console = (posix_console_kind_t)chosen;
        return true;
    case OPTION_LOG_LEVEL:
        if (!choose("--log-level", LEVELS, argument, &chosen)) {
            return false;
        }
        options->log_level = (log_level_t)chosen;
        return true;
    case OPTION_REPORT:
        options->report = argument;
        return true;
    case OPTION_JOURNAL:
        options->journal = argument;
        return true;
    case OPTION_ONCE:
        options->once = true;
        return true;
    case OPTION_CLOCK_OFFSET:
        return read_offset(argument, &options->clock_offset_s);
    case OPTION_NO_CLOCK:
        options->knows_time = false;
        return true;
    case OPTION_HTTP_VIA:
        options->http_via = argument;
        return true;
    case OPTION_PAIR_REFUSED:
        return read_seconds("--pair-refused", argument, PAIR_REFUSED_S, &options->pair_refused_s);
    case OPTION_TRIAL:
        return read_seconds("--trial", argument, UPDATE_TRIAL_S, &options->trial_s);
    case OPTION_UPDATE_SPREAD:
        return read_seconds("--update-spread", argument, POLL_SPREAD_S, &options->update_spread_s);
    case OPTION_LAUNCHED:
        options->launched = true;
        return true;
    default: /* getopt has said what it is */
        fprintf(stderr, "--help lists the options.\n");
        return false;
    }
}

static host_options_state_t judge(const host_options_t *options, int rest)
{
    if (rest > 0) {
        fprintf(stderr, "There are words that belong to no option; --help lists the options.\n");
    } else if ((options->factory == NULL) == (options->box == NULL)) {
        fprintf(stderr, "Say who it is, by --factory or by --box; --help has examples.\n");
    } else if (options->state == NULL) {
        fprintf(stderr, "Say where it keeps what a board has in its flash, by --state.\n");
    } else {
        return HOST_OPTIONS_GOOD;
    }
    return HOST_OPTIONS_WRONG;
}

host_options_state_t host_options_read(host_options_t *options, int argc, char **argv, const char *family)
{
    *options = (host_options_t){.console = POSIX_CONSOLE_STDIN, .log_level = LOG_INFO, .knows_time = true};
    posix_overlay_init(&options->overlay);
    for (int option; (option = getopt_long(argc, argv, "", OPTIONS, NULL)) != -1;) {
        if (option == OPTION_HELP) {
            printf(HELP, family, family);
            return HOST_OPTIONS_DONE;
        }
        if (option == OPTION_VERSION) {
            printf("%s %s\n", family, FIRMWARE_VERSION);
            return HOST_OPTIONS_DONE;
        }
        if (!take(options, option, optarg)) {
            return HOST_OPTIONS_WRONG;
        }
    }
    return judge(options, argc - optind);
}
