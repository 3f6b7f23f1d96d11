#include "console.h"
#include "utf8.h"

#include <stdio.h>
#include <string.h>

typedef struct {
    void (*say)(void *ctx, const char *line);
    void *ctx;
} speaker_t;

typedef struct {
    const char *text;
    size_t len;
} word_t;

typedef struct {
    config_t *config;
    uint64_t now_ms;
    config_key_t *changed;
    const speaker_t *out;
    word_t first;     /* behind the command */
    const char *rest; /* behind the first word, without spaces at its ends */
} request_t;

typedef struct {
    const char *name;
    uint8_t max_words; /* behind it; the last one is all that is left */
    console_did_t (*run)(const request_t *request);
    const char *help;
} command_row_t;

static void say(const speaker_t *out, const char *line)
{
    out->say(out->ctx, line);
}

static const char *skip_spaces(const char *text)
{
    return text + strspn(text, " ");
}

static word_t take_word(const char **text)
{
    *text = skip_spaces(*text);
    word_t word = {*text, strcspn(*text, " ")};
    *text = skip_spaces(*text + word.len);
    return word;
}

static bool is_word(word_t word, const char *wanted)
{
    return strlen(wanted) == word.len && memcmp(word.text, wanted, word.len) == 0;
}

static int find_key(word_t word)
{
    for (int key = 0; key < CONFIG_KEYS; key++) {
        if (is_word(word, config_name((config_key_t)key))) {
            return key;
        }
    }
    return -1;
}

static void show_key(const request_t *request, config_key_t key)
{
    static const char *const FROM[] = {
        [CONFIG_FROM_DEFAULT] = "default", [CONFIG_FROM_FACTORY] = "factory", [CONFIG_FROM_USER] = "set"};

    char line[CONSOLE_LINE_MAX_BYTES + 1];
    const char *value = config_text(request->config, key);
    if (value[0] == '\0') {
        (void)snprintf(line, sizeof(line), "%s is not set", config_name(key));
    } else {
        (void)snprintf(line, sizeof(line), "%s = %s (%s)", config_name(key), config_is_secret(key) ? "******" : value,
                       FROM[config_source(request->config, key)]);
    }
    say(request->out, line);
}

static void show_trial(const request_t *request)
{
    uint64_t due_ms = config_next_due_ms(request->config);
    char line[CONSOLE_LINE_MAX_BYTES + 1];
    if (request->config->trial != CONFIG_TRIAL_RUNS) {
        return;
    }
    uint64_t left_ms = due_ms > request->now_ms ? due_ms - request->now_ms : 0;
    (void)snprintf(line, sizeof(line),
                   "On trial: unless a publish is acknowledged within %lu s, the former values come back.",
                   (unsigned long)((left_ms + 999) / 1000));
    say(request->out, line);
}

static console_did_t refuse_key(const request_t *request)
{
    say(request->out, "There is no such key; show lists them.");
    return CONSOLE_DONE;
}

static console_did_t show(const request_t *request)
{
    int wanted = find_key(request->first);
    if (request->first.len > 0 && wanted < 0) {
        return refuse_key(request);
    }
    for (int key = 0; key < CONFIG_KEYS; key++) {
        if (wanted < 0 || key == wanted) {
            show_key(request, (config_key_t)key);
        }
    }
    show_trial(request);
    return CONSOLE_DONE;
}

static console_did_t set(const request_t *request)
{
    char sentence[CONFIG_SENTENCE_MAX_BYTES];
    char value[CONSOLE_LINE_MAX_BYTES + 1];
    size_t len = strlen(request->rest);
    int found = find_key(request->first);
    if (found < 0) {
        return refuse_key(request);
    }
    while (len > 0 && request->rest[len - 1] == ' ') {
        len--;
    }
    memcpy(value, request->rest, len); /* a line fits */
    value[len] = '\0';
    bool same = config_is(request->config, (config_key_t)found, value);
    const char *wrong =
        config_set(request->config, (config_key_t)found, value, request->now_ms, sentence, sizeof(sentence));
    if (wrong != NULL) {
        say(request->out, wrong);
        return CONSOLE_DONE;
    }
    show_key(request, (config_key_t)found);
    if (same) {
        return CONSOLE_DONE;
    }
    *request->changed = (config_key_t)found;
    show_trial(request);
    return CONSOLE_CHANGED;
}

static console_did_t test(const request_t *request)
{
    (void)request;
    return CONSOLE_TEST;
}

static console_did_t status(const request_t *request)
{
    (void)request;
    return CONSOLE_STATUS;
}

static console_did_t update(const request_t *request)
{
    (void)request;
    return CONSOLE_UPDATE;
}

static console_did_t reboot(const request_t *request)
{
    say(request->out, "Restarting.");
    return CONSOLE_REBOOT;
}

static console_did_t help(const request_t *request);

static const command_row_t COMMANDS[] = {
    {"help", 0, help, "help             this list"},
    {"show", 1, show, "show [key]       the settings; passwords only as ******"},
    {"set", 2, set, "set key [value]  changes one; without a value it is the factory's or the default again"},
    {"test", 0, test, "test             measures and sends now"},
    {"status", 0, status, "status           connection, clock, outbox; what runs, and how the last update went"},
    {"update", 0, update, "update           asks the firmware server now"},
    {"reboot", 0, reboot, "reboot           restarts; nothing is lost"},
};
#define COMMAND_COUNT (sizeof(COMMANDS) / sizeof(COMMANDS[0]))

static console_did_t help(const request_t *request)
{
    char line[CONSOLE_LINE_MAX_BYTES + 1];
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        say(request->out, COMMANDS[i].help);
    }
    say(request->out, "Keys, and what they take:");
    for (int key = 0; key < CONFIG_KEYS; key++) {
        (void)snprintf(line, sizeof(line), "  %s: %s", config_name((config_key_t)key),
                       config_accepts((config_key_t)key));
        say(request->out, line);
    }
    return CONSOLE_DONE;
}

static uint8_t words_in(const request_t *request)
{
    return (uint8_t)((request->first.len > 0) + (request->rest[0] != '\0'));
}

/* NULL: it can be read. What a line has beyond text is noise on the wire, or an escape sequence of an arrow key: to act
 * on what is left of it could set half a value. */
static const char *why_unreadable(const char *line)
{
    size_t len = strlen(line);
    if (len > CONSOLE_LINE_MAX_BYTES) {
        return "The line is too long; type a shorter one.";
    }
    return utf8_is_text(line, len) ? NULL : "The line has control characters or is no UTF-8; type it anew.";
}

console_did_t console_line(config_t *config, const char *line, uint64_t now_ms, config_key_t *changed,
                           void (*say_line)(void *ctx, const char *line), void *ctx)
{
    const speaker_t out = {.say = say_line, .ctx = ctx};
    const char *wrong = why_unreadable(line);
    if (wrong != NULL) {
        say(&out, wrong);
        return CONSOLE_DONE;
    }
    word_t name = take_word(&line);
    word_t first = take_word(&line);
    request_t request = {
        .config = config, .now_ms = now_ms, .changed = changed, .out = &out, .first = first, .rest = line};
    if (name.len == 0) {
        return CONSOLE_DONE;
    }
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (!is_word(name, COMMANDS[i].name)) {
            continue;
        }
        if (words_in(&request) > COMMANDS[i].max_words) {
            say(&out, "There is too much behind that command; help says how it is used.");
            return CONSOLE_DONE;
        }
        return COMMANDS[i].run(&request);
    }
    say(&out, "That is no command; help lists them.");
    return CONSOLE_DONE;
}
