#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "fake_updates.h"
#include "fake_world_parts.h"

static const char RENEWED_KEY[] = "renewed"; /* its pair_times_t stands for it */

void fake_world_type(fake_world_t *world, const char *line)
{
    (void)snprintf(world->line, sizeof(world->line), "%s", line);
    fake_world_plan(world, 0, (event_t){.type = EVENT_CONSOLE_LINE, .line = world->line});
}

static void append(char *text, size_t *len, const char *line)
{
    const size_t line_len = strlen(line);
    if (*len + line_len + 2 <= FAKE_WORLD_LOG_BYTES) {
        memcpy(text + *len, line, line_len);
        *len += line_len;
        memcpy(text + *len, "\n", 2);
        (*len)++;
    }
}

void fake_world_say(void *ctx, const char *line)
{
    fake_world_t *world = ctx;
    append(world->said, &world->said_bytes, line);
}

static void write_log(void *ctx, log_level_t level, const char *tag, const char *text)
{
    fake_world_t *world = ctx;
    (void)level;
    (void)tag;
    if (world->keeps_log) {
        append(world->log, &world->log_bytes, text);
    }
}

size_t fake_world_logged_times(const fake_world_t *world, const char *text)
{
    size_t count = 0;
    for (const char *at = strstr(world->log, text); at != NULL; at = strstr(at + 1, text)) {
        count++;
    }
    return count;
}

bool fake_world_logged(const fake_world_t *world, const char *text)
{
    return fake_world_logged_times(world, text) > 0;
}

bool fake_world_was_said(const fake_world_t *world, const char *text)
{
    return strstr(world->said, text) != NULL;
}

static bool measure(void *ctx, uint8_t index, const char *own_code, uint64_t device_ms, sample_t *out)
{
    fake_world_t *world = ctx;
    const char *const codes[FAKE_WORLD_DEVICES_MAX] = {own_code, "D02", "D03"};
    (void)device_ms;
    if (index == 0) {
        world->rounds++;
    }
    if (index >= world->devices || (world->updates != NULL && fake_updates_program(world->updates) == FAKE_BLIND)) {
        return false;
    }
    const bool good = sample_init(out, codes[index]) &&
                      sample_add(out, "n", "", (decimal_t){.digits = world->next_serial}) &&
                      sample_add(out, "temperatura", "°C", (decimal_t){.digits = 235, .places = 1});
    assert(good);
    world->next_serial++;
    return true;
}

static void leds(void *ctx, led_t run, led_t fault)
{
    fake_world_t *world = ctx;
    world->run = run;
    world->fault = fault;
    world->lights++;
}

static void renew(void *ctx, const char *url, const char *gateway_code)
{
    fake_world_t *world = ctx;
    assert(strcmp(gateway_code, FAKE_WORLD_GATEWAY) == 0);
    (void)snprintf(world->renew_url, sizeof(world->renew_url), "%s", url);
    event_t event = {.type = EVENT_RENEWAL_DONE};
    const int64_t life_s = world->not_after_unix_s - world->not_before_unix_s;
    const int64_t unix_s = fake_world_unix_ms(world) / 1000;
    const pair_times_t times = {unix_s, unix_s + life_s};
    const port_kv_t *kv = &world->kv.port;
    if (world->renews && kv->set(kv->ctx, RENEWED_KEY, &times, sizeof(times)) == KV_OK) {
        world->renewals++;
        world->pair = PAIR_RENEWED;
        event.renewal.ok = true;
        event.renewal.not_before_unix_s = times.not_before_unix_s;
        event.renewal.not_after_unix_s = times.not_after_unix_s;
    }
    fake_world_plan(world, 1500, event);
}

static bool validity(void *ctx, pair_t pair, pair_times_t *out)
{
    const fake_world_t *world = ctx;
    const port_kv_t *kv = &world->kv.port;
    size_t len = 0;
    if (pair == PAIR_FACTORY) {
        *out = (pair_times_t){world->not_before_unix_s, world->not_after_unix_s};
    } else if (kv->get(kv->ctx, RENEWED_KEY, out, sizeof(*out), &len) != KV_OK ||
               out->not_before_unix_s < world->not_before_unix_s) {
        *out = (pair_times_t){0};
    }
    return pair_is_there(out);
}

static void use_pair(void *ctx, pair_t pair)
{
    fake_world_t *world = ctx;
    world->pair = pair;
}

static void reboot(void *ctx, reboot_reason_t reason)
{
    fake_world_t *world = ctx;
    if (fake_world_is_dead(world)) {
        return;
    }
    world->to_reboot = true;
    world->device_stuck = false;
    switch (reason) {
    case REBOOT_RECOVERY:
        world->reason_of_boot = BOOT_RECOVERY;
        break;
    case REBOOT_CONSOLE:
        world->reason_of_boot = BOOT_CONSOLE;
        break;
    case REBOOT_UPDATE:
        world->reason_of_boot = BOOT_UPDATE;
        break;
    }
}

static boot_reason_t reason(void *ctx)
{
    const fake_world_t *world = ctx;
    return world->reason_of_boot;
}

void fake_world_unit_ports(fake_world_t *world)
{
    world->log_port = (port_log_t){.ctx = world, .write = write_log};
    world->reboot_port = (port_reboot_t){.ctx = world, .reboot = reboot, .reason = reason};
    world->identity_port = (port_identity_t){.ctx = world, .validity = validity, .use = use_pair, .renew = renew};
    world->board = (board_t){.family = "dcu-0080", .hardware = "C", .ctx = world, .measure = measure, .leds = leds};
}
