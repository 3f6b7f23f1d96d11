/* What the platform is told: what runs, and how an update goes. By MQTT, again until it is acknowledged; by HTTPS when
 * that is away for long. What is told is always how things stand now: of several changes the last. */
#include <string.h>

#include "app_update_parts.h"

#define MS_PER_S 1000U

/* Told with the first execution that has nothing else to tell. */
static const char ANEW[] = "What this device remembered of updates could not be read; it began anew, from what runs.";
_Static_assert(sizeof(ANEW) <= UPDATE_DETAIL_MAX_BYTES, "as a report has it");

static bool has_refusal(const app_updates_t *updates)
{
    return updates->refusal.execution_id[0] != '\0';
}

bool app_is_confirmed(const app_t *app)
{
    const port_ota_t *ota = app->options.ota;
    const update_t *update = &app->updates.update;
    if (ota == NULL) {
        return true; /* there is nothing else that it could run */
    }
    switch (ota->state(ota->ctx, update->running.slot)) {
    case IMAGE_VALID:
    case IMAGE_UNDEFINED:
        return true;
    case IMAGE_NEW:
    case IMAGE_PENDING_VERIFY:
    case IMAGE_INVALID:
    case IMAGE_ABORTED:
        break;
    }
    return false;
}

static void fill_running(const app_t *app, uint64_t now_ms, update_report_t *out)
{
    const app_options_t *options = &app->options;
    const app_updates_t *updates = &app->updates;
    const update_running_t *running = &updates->update.running;
    out->running.version = options->firmware;
    memcpy(out->running.sha256, running->sha256, sizeof(out->running.sha256));
    out->running.slot = running->slot;
    out->running.counter = running->counter;
    out->running.confirmed = app_is_confirmed(app);
    out->running.boot_reason = options->boot_reason;
    out->running.family = options->family;
    out->running.hardware = options->hardware;
    out->running.chip = options->chip;
    out->running.trust_version = updates->trust.version;
    out->running.trust_expired = trust_is_expired(&updates->trust, app_unix_s(app, now_ms));
}

static void fill_execution(const app_updates_t *updates, update_report_t *out, app_told_t *told)
{
    const update_t *update = &updates->update;
    const update_memory_t *memory = &update->memory;
    if (has_refusal(updates)) {
        told->of_refusal = true;
        out->execution_id = updates->refusal.execution_id;
        out->status = updates->refusal.status;
        out->reason = updates->refusal.reason;
        out->detail = updates->refusal.detail;
    } else if (memory->has_job) {
        told->phase = update->phase;
        out->execution_id = memory->job.execution_id;
        out->status = STATUS_IN_PROGRESS;
        out->phase = update->phase;
        out->bytes = update->have_bytes;
        out->size = memory->job.size_bytes;
    } else if (memory->last.execution_id[0] != '\0') {
        told->of_last = true;
        out->execution_id = memory->last.execution_id;
        out->status = memory->last.status;
        out->phase = memory->last.phase;
        out->reason = memory->last.reason;
        out->detail = update->detail;
        out->size = memory->last.size_bytes;
        out->bytes = memory->last.status == STATUS_SUCCEEDED ? memory->last.size_bytes : update->have_bytes;
    }
    if (memory->is_anew && out->execution_id != NULL && out->detail[0] == '\0') {
        told->of_anew = true;
        out->detail = ANEW;
    }
}

size_t app_print_report(app_t *app, uint64_t now_ms, app_told_t *told)
{
    app_updates_t *updates = &app->updates;
    update_report_t report = {.gateway_code = app->options.gateway_code,
                              .life = updates->update.memory.life,
                              .boot = app->options.boot,
                              .number = updates->reports + 1,
                              .unix_s = app_unix_s(app, now_ms),
                              .detail = ""};
    *told = (app_told_t){.phase = PHASE_NONE, .news = updates->news};
    fill_running(app, now_ms, &report);
    fill_execution(updates, &report, told);
    updates->reports++;
    return update_report_print(&report, updates->scratch.report, sizeof(updates->scratch.report));
}

static void note_news(app_t *app, uint64_t now_ms)
{
    app_updates_t *updates = &app->updates;
    if (!updates->update.has_news && !(has_refusal(updates) && !updates->pending)) {
        return;
    }
    updates->update.has_news = false;
    updates->news++;
    updates->token = 0; /* what is on its way says less than there is to say now */
    updates->tell_due_ms = now_ms;
    if (!updates->pending) {
        updates->pending = true;
        updates->pending_since_ms = now_ms;
    }
}

void app_report_told(app_t *app, uint64_t now_ms, const app_told_t *told)
{
    app_updates_t *updates = &app->updates;
    updates->token = 0;
    backoff_reset(&updates->tell_pause);
    if (told->of_refusal) {
        updates->refusal.execution_id[0] = '\0';
    }
    if (told->of_anew) {
        update_told_anew(&updates->update);
    }
    update_told(&updates->update, told->phase, told->of_last, now_ms);
    const bool is_downloading = updates->update.phase == PHASE_DOWNLOADING;
    /* Behind a refusal comes what it stood in front of; and what came up since. */
    updates->pending = told->of_refusal || told->news != updates->news;
    updates->pending_since_ms = now_ms;
    updates->tell_due_ms = updates->pending ? now_ms
                           : is_downloading ? now_ms + APP_TELL_PROGRESS_S * MS_PER_S
                                            : UINT64_MAX;
}

bool app_report_is_heard(const app_t *app, const event_t *event)
{
    const app_updates_t *updates = &app->updates;
    return event->type == EVENT_MQTT_ACKED && updates->token != 0 && event->ack.token == updates->token &&
           sender_acknowledges(event->ack.reason);
}

bool app_report_is_to_be_posted(const app_t *app, uint64_t now_ms)
{
    const app_updates_t *updates = &app->updates;
    return updates->pending && now_ms >= updates->tell_due_ms &&
           now_ms >= updates->pending_since_ms + (uint64_t)APP_POST_AFTER_S * MS_PER_S;
}

static void publish(app_t *app, uint64_t now_ms, uint32_t random, actions_t *actions)
{
    app_updates_t *updates = &app->updates;
    action_t *action = actions_add(actions, ACTION_MQTT_PUBLISH);
    if (action == NULL) {
        return;
    }
    const size_t len = app_print_report(app, now_ms, &updates->told);
    updates->token = (uint16_t)(APP_TOKEN_REPORT | (updates->reports & APP_TOKEN_REPORT_MASK));
    updates->pending = true; /* also a mere progress is told until somebody heard it */
    updates->tell_due_ms = now_ms + APP_TELL_AGAIN_S * MS_PER_S + backoff_next(&updates->tell_pause, random);
    action->publish.topic = updates->topic;
    action->publish.payload = updates->scratch.report;
    action->publish.len_bytes = (uint16_t)len;
    action->publish.token = updates->token;
    action->publish.retain = false;
}

void app_say_report(app_t *app, uint64_t now_ms, uint32_t random, const event_t *event, actions_t *actions)
{
    app_updates_t *updates = &app->updates;
    if (app_report_is_heard(app, event)) {
        app_report_told(app, now_ms, &updates->told);
    }
    if (event->type == EVENT_MQTT_CONNECTED && updates->pending) {
        updates->tell_due_ms = now_ms; /* whoever waited for a connection has one */
        backoff_reset(&updates->tell_pause);
    }
    note_news(app, now_ms);
    const bool is_posting = updates->asking == TELLS;
    if (app->connection.state == LINK_ONLINE && !is_posting && now_ms >= updates->tell_due_ms) {
        publish(app, now_ms, random, actions);
    }
}

uint64_t app_report_due_ms(const app_t *app, uint64_t now_ms)
{
    const app_updates_t *updates = &app->updates;
    if (updates->asking == TELLS) {
        return UINT64_MAX;
    }
    if (updates->update.has_news || (has_refusal(updates) && !updates->pending)) {
        return now_ms;
    }
    if (app->connection.state == LINK_ONLINE) {
        return updates->tell_due_ms > now_ms ? updates->tell_due_ms : now_ms;
    }
    /* Without the broker it is due when it is to be posted. */
    const uint64_t post_ms = updates->pending_since_ms + (uint64_t)APP_POST_AFTER_S * MS_PER_S;
    const uint64_t due_ms = post_ms > updates->tell_due_ms ? post_ms : updates->tell_due_ms;
    return updates->pending && due_ms > now_ms ? due_ms : UINT64_MAX;
}
