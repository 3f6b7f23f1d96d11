/* Updates as a part of the device: what it runs, what it is told to run, and when it has proven itself. */
#include "../port/port_reboot.h"
#include "app_update_parts.h"

#define S_PER_H 3600U

static const char TRUST_KEY[] = "trust_set";

/* The factory's first, then the one that came since: of the two the newer stays. */
static void take_kept_trust(app_t *app, const port_kv_t *kv)
{
    app_updates_t *updates = &app->updates;
    size_t len = 0;
    if (kv != NULL && kv->get(kv->ctx, TRUST_KEY, updates->body, sizeof(updates->body), &len) == KV_OK) {
        (void)trust_take(&updates->trust, app->options.crypto, updates->body, len, 0, &updates->scratch.judged.claims);
    }
}

static void init_trust(app_t *app)
{
    const port_kv_t *factory = app->options.factory;
    app_updates_t *updates = &app->updates;
    size_t len = 0;
    if (factory == NULL ||
        factory->get(factory->ctx, "trust_roots", updates->body, sizeof(updates->body) - 1, &len) != KV_OK) {
        len = 0;
    }
    updates->body[len] = '\0';
    (void)trust_init(&updates->trust, app->options.crypto, updates->body); /* otherwise nothing is believed */
    take_kept_trust(app, factory);
    take_kept_trust(app, app->options.kv);
}

void app_init_updates(app_t *app, uint64_t now_ms, uint32_t random)
{
    const app_options_t *options = &app->options;
    app_updates_t *updates = &app->updates;
    if (options->crypto == NULL) {
        return;
    }
    init_trust(app);
    const update_options_t update_options = {.kv = options->kv,
                                             .ota = options->ota,
                                             .crypto = options->crypto,
                                             .chip_id = options->chip_id,
                                             .trial_s = options->trial_s,
                                             .came_back = options->boot_reason == BOOT_ROLLBACK,
                                             .counts_anew = options->boot <= 1};
    update_init(&updates->update, &update_options, now_ms, random);
    if (updates->update.running.known) {
        app->options.firmware = updates->update.running.version;
    }
    update_poll_init(&updates->poll, now_ms, config_number(&app->config, CONFIG_UPDATE_POLL_H) * S_PER_H,
                     options->update_spread_s, random);
    backoff_init(&updates->tell_pause, APP_TELL_AGAIN_S * 1000U, APP_POST_AFTER_S * 1000U);
    (void)update_report_topic(options->gateway_code, updates->topic, sizeof(updates->topic));
    updates->tell_due_ms = UINT64_MAX;
}

void app_take_trust(app_t *app, uint64_t now_ms, bool *ok)
{
    app_updates_t *updates = &app->updates;
    const port_kv_t *kv = app->options.kv;
    const update_memory_t *memory = &updates->update.memory;
    const trust_result_t result =
        trust_take(&updates->trust, app->options.crypto, updates->body, updates->body_len_bytes,
                   app_unix_s(app, now_ms), &updates->scratch.judged.claims);
    *ok = result == TRUST_TAKEN || result == TRUST_SAME;
    if (result != TRUST_TAKEN) {
        return;
    }
    /* Should it not be kept, it is asked for again after the next start. */
    (void)kv->set(kv->ctx, TRUST_KEY, updates->body, updates->body_len_bytes);
    updates->update.has_news = true;
    if (memory->has_job && trust_is_revoked(&updates->trust, memory->job.manifest_kid)) {
        update_key_revoked(&updates->update, now_ms);
    }
}

void app_take_update_period(app_t *app, uint64_t now_ms)
{
    if (app->options.crypto != NULL) {
        update_poll_set_period(&app->updates.poll, now_ms, config_number(&app->config, CONFIG_UPDATE_POLL_H) * S_PER_H,
                               app->options.place);
    }
}

/* On trial it confirms itself when it has measured, connected, and had one publish acknowledged: what it measured.
 * Where nobody tells the time, nothing of that can be sent: then its report is what counts, unless the image before it
 * knew the time; for that this one has to learn it, too. */
static bool is_proven(const app_t *app)
{
    const app_updates_t *updates = &app->updates;
    const bool has_no_time = !app->clock.known && !updates->update.memory.job.knew_time;
    return updates->measured > 0 && (app->acknowledged > 0 || (has_no_time && updates->heard));
}

static void step_trial(app_t *app, uint64_t now_ms)
{
    app_updates_t *updates = &app->updates;
    const app_options_t *options = &app->options;
    if (!update_is_on_trial(&updates->update)) {
        return;
    }
    const bool proven = is_proven(app);
    if (!updates->tested || proven) {
        updates->tested = true;
        const char *wrong = options->self_test != NULL ? options->self_test(options->self_test_ctx) : NULL;
        if (wrong != NULL) {
            update_self_test_failed(&updates->update, now_ms, wrong);
            return;
        }
    }
    if (proven) {
        update_proven(&updates->update, now_ms);
    }
}

/* Whoever asked while another image was being installed is answered when that is over. */
static void look_aside(app_t *app, uint64_t now_ms)
{
    app_updates_t *updates = &app->updates;
    if (updates->aside && !updates->update.memory.has_job) {
        updates->aside = false;
        update_poll_hurry(&updates->poll, now_ms);
    }
}

static void leave_for_reboot(app_t *app, uint64_t now_ms, actions_t *actions)
{
    update_t *update = &app->updates.update;
    if ((!update->to_reboot && !update->to_go_back) || actions->count + 3 > ACTIONS_MAX) {
        return;
    }
    app_leave(app, now_ms, actions);
    if (update->to_go_back) {
        (void)actions_add(actions, ACTION_GO_BACK);
    } else {
        action_t *action = actions_add(actions, ACTION_REBOOT);
        if (action != NULL) {
            action->reason = REBOOT_UPDATE;
        }
    }
    update->to_reboot = update->to_go_back = false;
}

void app_step_updates(app_t *app, uint64_t now_ms, uint32_t random, const event_t *event, actions_t *actions)
{
    app_updates_t *updates = &app->updates;
    if (app->options.crypto == NULL) {
        return;
    }
    updates->heard = updates->heard || app_report_is_heard(app, event);
    app_take_http(app, now_ms, random, event);
    update_step(&updates->update, now_ms, app_unix_s(app, now_ms), random, updates->scratch.bytes,
                sizeof(updates->scratch.bytes));
    step_trial(app, now_ms);
    look_aside(app, now_ms);
    app_say_http(app, now_ms, actions);
    /* The last to use the memory: what is said is read behind this step. */
    app_say_report(app, now_ms, random, event, actions);
    leave_for_reboot(app, now_ms, actions);
}

uint64_t app_updates_due_ms(const app_t *app, uint64_t now_ms)
{
    const app_updates_t *updates = &app->updates;
    if (app->options.crypto == NULL) {
        return UINT64_MAX;
    }
    if (updates->update.to_reboot || updates->update.to_go_back ||
        (updates->aside && !updates->update.memory.has_job)) {
        return now_ms;
    }
    uint64_t due_ms = update_next_due_ms(&updates->update, now_ms, app_unix_s(app, now_ms));
    const uint64_t http_ms = app_http_due_ms(app, now_ms), report_ms = app_report_due_ms(app, now_ms);
    due_ms = http_ms < due_ms ? http_ms : due_ms;
    return report_ms < due_ms ? report_ms : due_ms;
}
