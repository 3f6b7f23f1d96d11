#include "host_report.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../../core/json_out.h"
#include "posix_file.h"

static const char *const STATES[] = {[LINK_NO_NETWORK] = "no_network",
                                     [LINK_WAITING] = "waiting",
                                     [LINK_CONNECTING] = "connecting",
                                     [LINK_ONLINE] = "online"};

static void text(json_out_t *out, const char *name, const char *value)
{
    json_out_raw(out, name);
    json_out_string(out, value, strlen(value));
}

static void number(json_out_t *out, const char *name, int64_t value)
{
    json_out_raw(out, name);
    json_out_int(out, value);
}

static void flag(json_out_t *out, const char *name, bool value)
{
    json_out_raw(out, name);
    json_out_raw(out, value ? "true" : "false");
}

static void hash(json_out_t *out, const char *name, const uint8_t sha256[SHA256_BYTES])
{
    char hex[2 * SHA256_BYTES + 1];
    for (size_t i = 0; i < SHA256_BYTES; i++) {
        (void)snprintf(hex + 2 * i, sizeof(hex) - 2 * i, "%02x", (unsigned)sha256[i]);
    }
    text(out, name, hex);
}

/* What runs, by its slot; `slot` null: it runs from none. */
static void running(json_out_t *out, const app_t *app)
{
    const update_running_t *runs = &app->updates.update.running;
    text(out, ",\"running\":{\"version\":", app->options.firmware);
    if (runs->known) {
        hash(out, ",\"sha256\":", runs->sha256);
        number(out, ",\"slot\":", runs->slot);
    } else {
        json_out_raw(out, ",\"sha256\":\"\",\"slot\":null");
    }
    number(out, ",\"counter\":", runs->counter);
    flag(out, ",\"confirmed\":", app_is_confirmed(app));
    json_out_raw(out, "}");
}

static void last(json_out_t *out, const update_outcome_t *found)
{
    if (found->execution_id[0] == '\0') {
        json_out_raw(out, ",\"last\":null");
        return;
    }
    text(out, ",\"last\":{\"execution_id\":", found->execution_id);
    text(out, ",\"status\":", update_status_name(found->status));
    text(out, ",\"phase\":", update_phase_name(found->phase));
    text(out, ",\"reason\":", update_reason_name(found->reason));
    flag(out, ",\"told\":", found->told);
    json_out_raw(out, "}");
}

/* `execution_id` "": no update is under way. */
static void update(json_out_t *out, const app_t *app)
{
    const app_updates_t *updates = &app->updates;
    const update_memory_t *memory = &updates->update.memory;
    if (app->options.crypto == NULL) {
        json_out_raw(out, ",\"update\":null");
        return;
    }
    text(out, ",\"update\":{\"state\":", update_state_name(updates->update.state));
    text(out, ",\"execution_id\":", memory->has_job ? memory->job.execution_id : "");
    text(out, ",\"version\":", memory->has_job ? memory->job.version : "");
    text(out, ",\"phase\":", memory->has_job ? update_phase_name(updates->update.phase) : "");
    number(out, ",\"bytes\":", memory->has_job ? updates->update.have_bytes : 0);
    number(out, ",\"size\":", memory->has_job ? memory->job.size_bytes : 0);
    running(out, app);
    number(out, ",\"trust_version\":", updates->trust.version);
    number(out, ",\"refused\":", updates->refused);
    last(out, &memory->last);
    json_out_raw(out, "}");
}

size_t host_report_print(const host_report_t *report, uint64_t since_boot_ms, char *out, size_t cap_bytes)
{
    const app_t *app = report->app;
    const app_options_t *fixed = &app->options;
    json_out_t json;
    json_out_init(&json, out, cap_bytes);
    text(&json, "{\"gateway_code\":", fixed->gateway_code);
    text(&json, ",\"family\":", fixed->family);
    text(&json, ",\"firmware\":", fixed->firmware);
    number(&json, ",\"pid\":", getpid());
    number(&json, ",\"boot\":", fixed->boot);
    number(&json, ",\"boot_reason\":", fixed->boot_reason);
    number(&json, ",\"uptime_ms\":", (int64_t)since_boot_ms);
    text(&json, ",\"state\":", STATES[app->connection.state]);
    json_out_raw(&json, posix_network_is_up(report->network) ? ",\"network\":true" : ",\"network\":false");
    text(&json, ",\"last_failure\":", failure_name(app->connection.last_failure));
    number(&json, ",\"failures\":", app->connection.failures);
    number(&json, ",\"reconnects\":", app->connection.reconnects);
    number(&json, ",\"sent\":", app->sender.sent);
    number(&json, ",\"acknowledged\":", app->acknowledged);
    number(&json, ",\"refused\":", app->sender.refused);
    number(&json, ",\"passed_over\":", app->sender.passed_over);
    number(&json, ",\"outbox_depth\":", app->has_outbox ? (int64_t)outbox_depth(&app->outbox) : 0);
    number(&json, ",\"unacknowledged\":", app_backlog(app));
    number(&json, ",\"dropped\":", (int64_t)app->outbox.dropped + app->lost);
    json_out_raw(&json, app->storage_failed ? ",\"storage_failed\":true" : ",\"storage_failed\":false");
    number(&json, ",\"acknowledged_unix_ms\":", report->acknowledged_unix_ms);
    number(&json, ",\"first_acknowledged_ms\":", (int64_t)report->first_acknowledged_ms);
    json_out_raw(&json, app->clock.known ? ",\"clock_known\":true" : ",\"clock_known\":false");
    number(&json, ",\"clock_steps\":", app->clock.steps);
    number(&json, ",\"commands\":", app->commands);
    number(&json, ",\"commands_refused\":", app->commands_refused);
    number(&json, ",\"certificate_until_unix_s\":", app->renewal.not_after_unix_s);
    text(&json, ",\"pair\":", app->pairs.in_use == PAIR_RENEWED ? "renewed" : "factory");
    number(&json, ",\"pair_changes\":", app->pairs.changes);
    update(&json, app);
    json_out_raw(&json, "}\n");
    return json_out_end(&json) ? json.len_bytes : 0;
}

void host_report_init(host_report_t *report, const app_t *app, const posix_network_t *network, const char *path)
{
    *report = (host_report_t){.app = app, .network = network, .path = path};
}

void host_report_step(host_report_t *report, uint64_t since_boot_ms, int64_t unix_ms)
{
    if (report->app->acknowledged != report->acknowledged) {
        report->acknowledged = report->app->acknowledged;
        report->acknowledged_unix_ms = unix_ms;
        if (report->first_acknowledged_ms == 0) {
            report->first_acknowledged_ms = since_boot_ms;
        }
    }
    if (report->path == NULL || since_boot_ms < report->due_ms) {
        return;
    }
    char out[HOST_REPORT_MAX_BYTES];
    size_t len = host_report_print(report, since_boot_ms, out, sizeof(out));
    report->due_ms = since_boot_ms + HOST_REPORT_EVERY_MS;
    /* One that can't be written is old, and its reader sees that; the device has other things to do. */
    if (len > 0) {
        (void)posix_file_replace(report->path, out, len, false);
    }
}
