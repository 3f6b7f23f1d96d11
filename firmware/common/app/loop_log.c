#include "loop_parts.h"

#include <stdio.h>
#include <string.h>

#include "../core/wall_time.h"

static const char *TAG = "device";

static void write(const loop_t *loop, log_level_t level, const char *text)
{
    loop->ports->log->write(loop->ports->log->ctx, level, TAG, text);
}

/* Two texts of fixed words around one that is known only now. */
static void write_with(const loop_t *loop, log_level_t level, const char *before, const char *value, const char *after)
{
    char line[LOOP_LINE_MAX_BYTES];
    (void)snprintf(line, sizeof(line), "%s%s%s", before, value, after);
    write(loop, level, line);
}

static void write_failure(const loop_t *loop, uint64_t now_ms, failure_t failure)
{
    const app_t *app = loop->app;
    char now[WALL_TIME_CHARS + 1], until[WALL_TIME_CHARS + 1];
    switch (failure) {
    case FAILURE_NONE:
        break;
    case FAILURE_NETWORK:
        write(loop, LOG_WARNING, "There is no network: no Wi-Fi, no registration, or no address.");
        break;
    case FAILURE_DNS:
        write(loop, LOG_WARNING, "The broker's name leads nowhere: it is mistyped, or the name server is away.");
        break;
    case FAILURE_TCP:
        write(loop, LOG_WARNING, "The broker's host refuses the connection, or there is no way to it.");
        break;
    case FAILURE_TLS_EXPIRED:
        write_with(loop, LOG_ERROR, "The broker's certificate has run out, or this device's clock is wrong (",
                   wall_time_text(app_unix_s(app, now_ms), "not set", now), ").");
        break;
    case FAILURE_TLS_HOST:
        write(loop, LOG_ERROR, "The broker's certificate is of another host: broker_uri has another name than it.");
        break;
    case FAILURE_TLS_AUTHORITY:
        write(loop, LOG_ERROR,
              "The broker's certificate is of no authority that this device trusts: another platform's, or nobody's.");
        break;
    case FAILURE_TLS_OTHER:
        write_with(loop, LOG_ERROR,
                   "The broker and this device agree on no TLS, or it turned this device's certificate away (until ",
                   wall_time_text(app->renewal.not_after_unix_s, "not known", until), ").");
        break;
    case FAILURE_MQTT_REFUSED:
        write(loop, LOG_ERROR, "The broker turns this device away: it is disabled, or not registered there.");
        break;
    case FAILURE_MQTT_UNAVAILABLE:
        write(loop, LOG_WARNING, "The broker is there and takes nobody: it is busy, or being serviced.");
        break;
    case FAILURE_TIMEOUT:
        write(loop, LOG_WARNING, "The broker accepts and does not answer.");
        break;
    case FAILURE_CLOSED:
        write(loop, LOG_WARNING, "The connection to the broker was lost.");
        break;
    case FAILURE_CREDENTIALS:
        write(loop, LOG_ERROR, "Key or certificate of this device are missing or can't be read: provision it anew.");
        break;
    case FAILURE_NO_BROKER:
        write(loop, LOG_ERROR, "No broker is configured: type `set broker_uri mqtts://host:8883` at the console.");
        break;
    }
}

static void log_connection(loop_t *loop, uint64_t now_ms)
{
    const app_t *app = loop->app;
    const connection_t *connection = &app->connection;
    loop_said_t *said = &loop->said;
    if (connection->failures != said->failures) {
        said->failures = connection->failures;
        if (connection->last_failure != said->failure ||
            now_ms - said->failure_ms >= (uint64_t)LOOP_SAY_AGAIN_S * 1000) {
            said->failure = connection->last_failure;
            said->failure_ms = now_ms;
            write_failure(loop, now_ms, said->failure);
        }
    }
    /* After a failure only an acknowledgement is a recovery: a broker that accepts and hangs up must not fill the log.
     */
    if (app->acknowledged != said->acknowledged) {
        said->acknowledged = app->acknowledged;
        if (said->failure != FAILURE_NONE) {
            said->failure = FAILURE_NONE;
            write_with(loop, LOG_INFO, "The broker acknowledges again, after ", failure_name(connection->last_failure),
                       ".");
        }
    }
    if (connection->state != said->state) {
        said->state = connection->state;
        if (said->state == LINK_ONLINE && said->failure == FAILURE_NONE) {
            write_with(loop, LOG_INFO, "Connected to ", config_text(&app->config, CONFIG_BROKER_URI), ".");
        }
    }
}

static void log_clock(loop_t *loop, uint64_t now_ms)
{
    const app_t *app = loop->app;
    char now[WALL_TIME_CHARS + 1];
    if (app->clock.known && !loop->said.clock_known) {
        loop->said.clock_known = true;
        write_with(loop, LOG_INFO, "It is ", wall_time_text(app_unix_s(app, now_ms), "", now), ".");
    }
    if (app->clock.steps != loop->said.clock_steps) {
        loop->said.clock_steps = app->clock.steps;
        write_with(loop, LOG_WARNING, "The clock stepped; now it is ", wall_time_text(app_unix_s(app, now_ms), "", now),
                   ".");
    }
}

static void log_storage(loop_t *loop)
{
    const uint32_t of_former = loop->app->of_former;
    if (of_former != loop->said.of_former) {
        char number[sizeof("18446744073709551615")];
        loop->said.of_former = of_former;
        (void)snprintf(number, sizeof(number), "%lu", (unsigned long)of_former);
        write_with(loop, LOG_WARNING, "This board was another unit before: ", number,
                   " samples of that one's were discarded and not sent.");
    }
    const bool failed = loop->app->storage_failed || loop->app->sender.storage_failed;
    if (failed != loop->said.storage_failed) {
        loop->said.storage_failed = failed;
        if (failed) {
            write(loop, LOG_ERROR,
                  "The flash does not take or give readings: what is measured is sent while there is a connection, and "
                  "lost without.");
        } else {
            write(loop, LOG_INFO, "The flash takes readings again.");
        }
    }
}

static void log_certificate(loop_t *loop, uint64_t now_ms, const event_t *event)
{
    const app_t *app = loop->app;
    char until[WALL_TIME_CHARS + 1];
    if (event->type == EVENT_RENEWAL_DONE) {
        if (event->renewal.ok) {
            write_with(loop, LOG_INFO, "The certificate was renewed, until ",
                       wall_time_text(app->renewal.not_after_unix_s, "", until), ".");
        } else {
            write(loop, LOG_WARNING, "The certificate was not renewed; it is tried again.");
        }
    }
    const bool run_out = app->clock.known && renewal_has_run_out(&app->renewal, app_unix_s(app, now_ms));
    if (run_out && !loop->said.run_out) {
        write_with(loop, LOG_ERROR, "This device's certificate ran out at ",
                   wall_time_text(app->renewal.not_after_unix_s, "", until),
                   " and can't be renewed any more: provision it anew.");
    }
    loop->said.run_out = run_out;
}

static void log_commands(loop_t *loop)
{
    const app_t *app = loop->app;
    if (app->commands != loop->said.commands) {
        loop->said.commands = app->commands;
        write(loop, LOG_INFO,
              app->command.type == COMMAND_UPDATE ? "An update was announced." : "Asked to look for an update.");
    }
    if (app->commands_refused != loop->said.commands_refused) {
        loop->said.commands_refused = app->commands_refused;
        write_with(loop, LOG_WARNING, "A command was refused: ", app->refusal, "");
    }
}

static void log_memory(loop_t *loop)
{
    const update_t *update = &loop->app->updates.update;
    if (update->lost_memory && !loop->said.lost_memory) {
        loop->said.lost_memory = true;
        write(loop, update->has_memory ? LOG_WARNING : LOG_ERROR,
              update->has_memory
                  ? "What was remembered of updates can't be read: it begins anew, with the counter of what runs."
                  : "What was remembered of updates can't be read and not be replaced: at this start none is taken.");
    }
}

/* Before log_connection(), which notes what was acknowledged. */
static void log_settings(loop_t *loop)
{
    const app_t *app = loop->app;
    const bool on_trial = app->config.trial == CONFIG_TRIAL_RUNS;
    if (app->undone != loop->said.undone) {
        loop->said.undone = app->undone;
        write(loop, LOG_WARNING, "With the changed settings nothing was acknowledged: the former ones are back.");
    } else if (loop->said.on_trial && !on_trial && app->acknowledged != loop->said.acknowledged) {
        write(loop, LOG_INFO, "With the changed settings a publish was acknowledged: they stay.");
    }
    loop->said.on_trial = on_trial;
}

void loop_log(loop_t *loop, uint64_t now_ms, const event_t *event)
{
    log_clock(loop, now_ms);
    log_settings(loop);
    log_connection(loop, now_ms);
    log_storage(loop);
    log_certificate(loop, now_ms, event);
    log_commands(loop);
    log_memory(loop);
}

void loop_log_action(loop_t *loop, const action_t *action)
{
    switch (action->type) {
    case ACTION_NETWORK_RESTART:
        write(loop, LOG_WARNING, "Nothing was acknowledged for long: the radio is restarted.");
        break;
    case ACTION_MODEM_RESTART:
        write(loop, LOG_WARNING, "Nothing was acknowledged for long: the modem is restarted.");
        break;
    case ACTION_REBOOT:
        write(loop, LOG_WARNING,
              action->reason == REBOOT_RECOVERY ? "Nothing was acknowledged for long: the device restarts."
                                                : "The device restarts, as it was told.");
        break;
    case ACTION_USE_PAIR:
        write(loop, LOG_WARNING,
              action->pair == PAIR_FACTORY
                  ? "The broker refuses the renewed certificate for long: the factory's is tried."
                  : "The factory's certificate is refused too: the renewed one is tried again.");
        break;
    case ACTION_RENEW:
        write(loop, LOG_INFO, "The certificate is being renewed.");
        break;
    case ACTION_GO_BACK:
        write(loop, LOG_ERROR, "This image gives itself up: the device restarts into the former one.");
        break;
    case ACTION_NETWORK_START:
    case ACTION_MQTT_CONNECT:
    case ACTION_MQTT_CLOSE:
    case ACTION_MQTT_PUBLISH:
    case ACTION_MQTT_SUBSCRIBE:
    case ACTION_MEASURE:
    case ACTION_HTTP_BEGIN:
    case ACTION_HTTP_CANCEL:
    case ACTION_SAY:
        break;
    }
}
