/* What the files of the app's updates share; nobody else includes it. */
#pragma once

#include "app_parts.h"

/* app_update.c */
void app_take_trust(app_t *app, uint64_t now_ms, bool *ok);

/* app_update_http.c: what is asked of the firmware server */
void app_take_http(app_t *app, uint64_t now_ms, uint32_t random, const event_t *event);
void app_say_http(app_t *app, uint64_t now_ms, actions_t *actions);
uint64_t app_http_due_ms(const app_t *app, uint64_t now_ms);

/* app_update_report.c: what the platform is told */
void app_say_report(app_t *app, uint64_t now_ms, uint32_t random, const event_t *event, actions_t *actions);
/* This acknowledges the report that is on its way by MQTT. */
bool app_report_is_heard(const app_t *app, const event_t *event);
bool app_report_is_to_be_posted(const app_t *app, uint64_t now_ms);
/* Prints the newest into the scratch; its length. */
size_t app_print_report(app_t *app, uint64_t now_ms, app_told_t *told);
void app_report_told(app_t *app, uint64_t now_ms, const app_told_t *told);
uint64_t app_report_due_ms(const app_t *app, uint64_t now_ms);
