/* Which certificate this device shows, and when it gets another. */
#include "app_parts.h"

#define MS_PER_S 1000

void app_init_pairs(app_t *app)
{
    const app_options_t *options = &app->options;
    app->pair_times[PAIR_FACTORY] = options->factory_pair;
    app->pair_times[PAIR_RENEWED] = options->renewed_pair;
    pair_choice_init(&app->pairs, pair_is_there(&options->renewed_pair) ? PAIR_RENEWED : PAIR_FACTORY,
                     options->pair_refused_s);
    const pair_times_t *in_use = &app->pair_times[app->pairs.in_use];
    renewal_init(&app->renewal, in_use->not_before_unix_s, in_use->not_after_unix_s, options->place);
}

void app_take_renewal(app_t *app, uint64_t now_ms, uint32_t random, const event_t *event)
{
    renewal_done(&app->renewal, event->renewal.ok, event->renewal.not_before_unix_s, event->renewal.not_after_unix_s,
                 event->renewal.retry_after_s, app_unix_s(app, now_ms), random);
    if (event->renewal.ok) {
        app->pair_times[PAIR_RENEWED] =
            (pair_times_t){event->renewal.not_before_unix_s, event->renewal.not_after_unix_s};
        pair_choice_use(&app->pairs, PAIR_RENEWED);
        app->renewed = true;
        app->renewed_until_ms = now_ms + (uint64_t)APP_RECONNECT_MAX_S * MS_PER_S;
    }
}

void app_take_refusal(app_t *app, uint64_t now_ms, failure_t failure)
{
    app_mqtt_options_t options;
    const int64_t unix_s = app_unix_s(app, now_ms);
    /* Without TLS nobody was shown a certificate. */
    if (!app_mqtt_options(app, &options) || !options.tls) {
        return;
    }
    if (pair_choice_failed(&app->pairs, failure, now_ms, &app->pair_times[pair_choice_other(&app->pairs)], unix_s)) {
        const pair_times_t *times = &app->pair_times[app->pairs.in_use];
        renewal_fall_back(&app->renewal, times->not_before_unix_s, times->not_after_unix_s, unix_s);
        app->to_use_pair = true;
    }
}
