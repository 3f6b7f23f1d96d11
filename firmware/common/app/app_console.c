#include <stdio.h>
#include <string.h>

#include "../core/wall_time.h"
#include "app_parts.h"

#define MS_PER_S 1000U

/* A line into the payload, which nothing else uses in this step. What does not fit is left out. */
static void say(void *ctx, const char *line)
{
    app_t *app = ctx;
    const size_t len_bytes = strlen(line);
    app->busy = true;
    if (app->said_bytes + len_bytes + 2 <= sizeof(app->sender.payload)) {
        memcpy(&app->sender.payload[app->said_bytes], line, len_bytes);
        app->said_bytes += len_bytes;
        memcpy(&app->sender.payload[app->said_bytes], "\n", 2);
        app->said_bytes++;
    }
}

static void hand_over(app_t *app, actions_t *actions)
{
    if (app->said_bytes > 0) {
        action_t *action = actions_add(actions, ACTION_SAY);
        if (action != NULL) {
            action->text = app->sender.payload;
        }
    }
}

static void say_connection(app_t *app, uint64_t now_ms)
{
    static const char *const STATES[] = {
        [LINK_NO_NETWORK] = "no network",
        [LINK_WAITING] = "waiting to try again",
        [LINK_CONNECTING] = "connecting",
        [LINK_ONLINE] = "connected",
    };
    char line[CONSOLE_LINE_MAX_BYTES + 1];
    const connection_t *connection = &app->connection;
    const uint64_t quiet_s = (now_ms - connection->well_ms) / MS_PER_S;
    (void)snprintf(line, sizeof(line), "connection: %s; last failure: %s; %lu failures; well %lu s ago",
                   STATES[connection->state], failure_name(connection->last_failure),
                   (unsigned long)connection->failures, (unsigned long)quiet_s);
    say(app, line);
}

static const char *pair_text(const app_t *app)
{
    if (app->pairs.in_use == PAIR_RENEWED) {
        return "renewed";
    }
    return app->pairs.changes > 0 ? "the factory's: the renewed one is refused" : "the factory's";
}

static void say_image(app_t *app, uint64_t now_ms)
{
    char line[CONSOLE_LINE_MAX_BYTES + 1];
    const update_running_t *running = &app->updates.update.running;
    const trust_t *trust = &app->updates.trust;
    int len = snprintf(line, sizeof(line), "image: %s, ", app->options.firmware);
    if (running->known) {
        len += snprintf(line + len, sizeof(line) - (size_t)len, "slot %u, counter %lu, %s", (unsigned)running->slot,
                        (unsigned long)running->counter, app_is_confirmed(app) ? "confirmed" : "ON TRIAL");
    } else {
        len += snprintf(line + len, sizeof(line) - (size_t)len, "in no slot: it takes no updates");
    }
    if (trust->version > 0) {
        (void)snprintf(line + len, sizeof(line) - (size_t)len, "; trust set %lu%s", (unsigned long)trust->version,
                       trust_is_expired(trust, app_unix_s(app, now_ms)) ? ", EXPIRED" : "");
    } else {
        (void)snprintf(line + len, sizeof(line) - (size_t)len, "; no trust set: no update is believed");
    }
    say(app, line);
}

static void say_update(app_t *app)
{
    char line[CONSOLE_LINE_MAX_BYTES + 1];
    const update_t *update = &app->updates.update;
    const update_memory_t *memory = &update->memory;
    if (memory->has_job) {
        (void)snprintf(line, sizeof(line), "update: %s to %s, %s, %lu of %lu bytes", update_state_name(update->state),
                       memory->job.version, update_phase_name(update->phase), (unsigned long)update->have_bytes,
                       (unsigned long)memory->job.size_bytes);
        say(app, line);
    }
    if (memory->last.execution_id[0] != '\0') {
        const char *reason = update_reason_name(memory->last.reason);
        const char *detail = update->detail != NULL ? update->detail : "";
        (void)snprintf(line, sizeof(line), "last update: %s %s%s%s%s%s", memory->last.execution_id,
                       update_status_name(memory->last.status), reason[0] != '\0' ? ", " : "", reason,
                       detail[0] != '\0' ? ": " : "", detail);
        say(app, line);
    } else if (!memory->has_job) {
        say(app, "update: there was none");
    }
    if (app->refusal != NULL) {
        (void)snprintf(line, sizeof(line), "last command: refused. %s", app->refusal);
        say(app, line);
    }
}

static void say_status(app_t *app, uint64_t now_ms)
{
    char line[CONSOLE_LINE_MAX_BYTES + 1];
    char time[WALL_TIME_CHARS + 1];
    const app_options_t *options = &app->options;
    (void)snprintf(line, sizeof(line), "%s: %s %s, firmware %s, boot %lu, running for %lu s", options->gateway_code,
                   options->family, options->hardware, options->firmware, (unsigned long)options->boot,
                   (unsigned long)(now_ms / MS_PER_S));
    say(app, line);
    say_connection(app, now_ms);
    (void)snprintf(line, sizeof(line), "clock: %s", wall_time_text(app_unix_s(app, now_ms), "not known", time));
    say(app, line);
    (void)snprintf(line, sizeof(line), "outbox: %lu kept, %lu dropped, %lu lost; %s",
                   (unsigned long)(app->has_outbox ? outbox_depth(&app->outbox) : 0),
                   (unsigned long)app->outbox.dropped, (unsigned long)app->lost,
                   app->has_outbox && !app->storage_failed ? "the flash is good" : "THE FLASH FAILS");
    say(app, line);
    (void)snprintf(line, sizeof(line), "sent: %lu, acknowledged: %lu, refused: %lu, passed over: %lu",
                   (unsigned long)app->sender.sent, (unsigned long)app->acknowledged,
                   (unsigned long)app->sender.refused, (unsigned long)app->sender.passed_over);
    say(app, line);
    (void)snprintf(line, sizeof(line), "certificate: until %s, %s",
                   wall_time_text(app->renewal.not_after_unix_s, "not known", time), pair_text(app));
    say(app, line);
    if (options->crypto != NULL) {
        say_image(app, now_ms);
        say_update(app);
    }
}

static void ask_for_update(app_t *app, uint64_t now_ms)
{
    if (app->options.crypto == NULL || config_text(&app->config, CONFIG_OTA_URL)[0] == '\0') {
        say(app, "There is no firmware server to ask: set ota_url.");
        return;
    }
    app->updates.poll.trust.due_ms = now_ms; /* first: with the keys that are in force now */
    update_poll_hurry(&app->updates.poll, now_ms);
    say(app, "Asking the firmware server; status says what came of it.");
}

static void begin_test(app_t *app, uint64_t now_ms, actions_t *actions)
{
    app->testing = true;
    app->testing_until_ms = now_ms + APP_TEST_S * MS_PER_S;
    sampling_hurry(&app->sampling, now_ms);
    if (app->connection.state == LINK_WAITING) {
        app_leave(app, now_ms, actions);
    }
    say(app, "Measuring, and waiting for an acknowledgement.");
    say_connection(app, now_ms);
}

static void restart(app_t *app, uint64_t now_ms, actions_t *actions)
{
    app_leave(app, now_ms, actions);
    action_t *action = actions_add(actions, ACTION_REBOOT);
    if (action != NULL) {
        action->reason = REBOOT_CONSOLE;
    }
}

void app_take_line(app_t *app, uint64_t now_ms, const char *line, actions_t *actions)
{
    config_key_t changed = CONFIG_KEYS;
    app->said_bytes = 0;
    switch (console_line(&app->config, line, now_ms, &changed, say, app)) {
    case CONSOLE_DONE:
        break;
    case CONSOLE_CHANGED:
        app_apply(app, now_ms, changed, actions);
        break;
    case CONSOLE_TEST:
        begin_test(app, now_ms, actions);
        break;
    case CONSOLE_STATUS:
        say_status(app, now_ms);
        break;
    case CONSOLE_UPDATE:
        ask_for_update(app, now_ms);
        break;
    case CONSOLE_REBOOT:
        hand_over(app, actions); /* before the connection and all else ends */
        restart(app, now_ms, actions);
        return;
    }
    hand_over(app, actions);
}

void app_say_sample(app_t *app, const sample_t *sample, actions_t *actions)
{
    if (app->busy) {
        return; /* it is on its way to the broker, which says as much */
    }
    app->said_bytes = 0;
    say(app, sample->device_code);
    for (uint8_t i = 0; i < sample->count; i++) {
        const reading_t *reading = &sample->readings[i];
        char value[DECIMAL_MAX_CHARS];
        char line[CONSOLE_LINE_MAX_BYTES + 1];
        if (decimal_print(reading->valor, value, sizeof(value)) > 0) {
            (void)snprintf(line, sizeof(line), "  %s %s%s%s", reading->tipo, value,
                           reading->unidade[0] != '\0' ? " " : "", reading->unidade);
            say(app, line);
        }
    }
    hand_over(app, actions);
}

/* Of fixed text, for it comes in steps in which the payload is the sender's. */
static void end_test(app_t *app, const char *text, actions_t *actions)
{
    action_t *action = actions_add(actions, ACTION_SAY);
    if (action != NULL) {
        action->text = text;
        app->testing = false;
    }
}

void app_test_acknowledged(app_t *app, actions_t *actions)
{
    if (app->testing) {
        end_test(app, "The broker acknowledged a publish: all is well.\n", actions);
    }
}

void app_test_tick(app_t *app, uint64_t now_ms, actions_t *actions)
{
    if (app->testing && now_ms >= app->testing_until_ms) {
        end_test(app, "No publish was acknowledged within a minute; status says how the connection is.\n", actions);
    }
}
