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

/* app_pair.c: which certificate is shown, and when it is renewed */
void app_init_pairs(app_t *app);
void app_take_renewal(app_t *app, uint64_t now_ms, uint32_t random, const event_t *event);
void app_take_refusal(app_t *app, uint64_t now_ms, failure_t failure);

/* app_settings.c */
void app_apply(app_t *app, uint64_t now_ms, config_key_t key, actions_t *actions);
void app_apply_all(app_t *app, uint64_t now_ms, actions_t *actions);

/* app_update.c */
void app_init_updates(app_t *app, uint64_t now_ms, uint32_t random);
void app_step_updates(app_t *app, uint64_t now_ms, uint32_t random, const event_t *event, actions_t *actions);
uint64_t app_updates_due_ms(const app_t *app, uint64_t now_ms);
void app_take_update_period(app_t *app, uint64_t now_ms);

/* app_update_command.c: a command that was well-formed, from wherever it came */
void app_judge(app_t *app, uint64_t now_ms, const command_t *command);

/* app.c */
void app_align(app_t *app, uint64_t now_ms);
