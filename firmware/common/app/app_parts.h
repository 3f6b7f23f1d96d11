/* What the files of the app share; nobody else includes it. */
#pragma once

#include "app.h"

/* app_unit.c: false: what is kept may be another unit's, and must not be sent. */
bool app_claim_outbox(app_t *app);

/* app_samples.c */
void app_take_sample(app_t *app, sample_t *sample, actions_t *actions);
void app_take_health(app_t *app, uint64_t now_ms, actions_t *actions);

/* app_console.c */
void app_take_line(app_t *app, uint64_t now_ms, const char *line, actions_t *actions);
void app_say_sample(app_t *app, const sample_t *sample, actions_t *actions);
void app_test_acknowledged(app_t *app, actions_t *actions);
void app_test_tick(app_t *app, uint64_t now_ms, actions_t *actions);

/* app_settings.c */
void app_apply(app_t *app, uint64_t now_ms, config_key_t key, actions_t *actions);
void app_apply_all(app_t *app, uint64_t now_ms, actions_t *actions);

/* app.c */
void app_align(app_t *app, uint64_t now_ms);
