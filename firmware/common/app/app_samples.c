#include "app_parts.h"

#define MS_PER_S 1000

static moment_t moment_of(const app_t *app)
{
    if (app->clock.known) {
        return (moment_t){.stamped = true, .unix_s = wall_clock_unix_ms(&app->clock, app->measured_ms) / MS_PER_S};
    }
    return (moment_t){.boot = app->outbox.boot, .since_boot_ms = app->measured_ms};
}

/* Kept, or else sent at once, or else lost and counted. */
static void keep(app_t *app, const sample_t *sample, actions_t *actions)
{
    if (app->has_outbox && outbox_put(&app->outbox, sample)) {
        app->storage_failed = false;
        return;
    }
    /* A sample that is none, or larger than any record, is the board's fault and not the flash's. */
    if (!app->has_outbox || app->outbox.failed_puts > 0) {
        app->storage_failed = true;
        app->health.storage_failures++;
    }
    if (!app->busy && sender_send_unkept(&app->sender, app->options.gateway_code, sample, APP_TOKEN_UNKEPT, actions)) {
        app->busy = true;
        app->unkept++;
        return;
    }
    app->lost++;
}

void app_take_sample(app_t *app, sample_t *sample, actions_t *actions)
{
    if (sample->count == 0) {
        return;
    }
    app->updates.measured++;
    sample->moment = moment_of(app);
    keep(app, sample, actions);
    if (app->testing) {
        app_say_sample(app, sample, actions);
    }
}

uint32_t app_backlog(const app_t *app)
{
    if (!app->has_outbox) {
        return 0;
    }
    uint32_t from_seq = app->outbox.first_seq; /* a full ring's goes on also where nothing is acknowledged */
    if (app->connection.state == LINK_ONLINE && flash_log_is_before(from_seq, app->sender.frontier_seq)) {
        from_seq = app->sender.frontier_seq;
    }
    return app->outbox.next_seq - from_seq;
}

void app_take_health(app_t *app, uint64_t now_ms, actions_t *actions)
{
    health_t *health = &app->health;
    /* Rounds come a few ms earlier or later than a whole interval apart: it is due with the one that is nearest. */
    if (app->measured_ms + app->sampling.interval_ms / 2 < app->health_due_ms) {
        return;
    }
    const uint32_t every_s = app->options.health_every_s > 0 ? app->options.health_every_s : HEALTH_EVERY_S;
    /* From the round's own time: with a multiple of its interval it stays with the same rounds. */
    app->health_due_ms = app->measured_ms + (uint64_t)every_s * MS_PER_S;
    health->uptime_s = now_ms / MS_PER_S;
    health->reconnects = app->connection.reconnects;
    health->outbox_depth = app_backlog(app);
    health->dropped = app->outbox.dropped + app->lost + app->sender.passed_over;
    health->clock_steps = app->clock.steps;
    health->pair_changes = app->pairs.changes;
    health->last_failure = app->connection.last_failure;
    (void)health_sample(health, &app->sender.scratch);
    app->sender.scratch.moment = moment_of(app);
    keep(app, &app->sender.scratch, actions);
}

void app_set_signal(app_t *app, bool known, int32_t signal_dbm)
{
    app->health.has_signal = known;
    app->health.signal_dbm = signal_dbm;
}

void app_set_memory(app_t *app, uint32_t free_bytes, uint32_t free_min_bytes)
{
    app->health.free_bytes = free_bytes;
    app->health.free_min_bytes = free_min_bytes;
}
