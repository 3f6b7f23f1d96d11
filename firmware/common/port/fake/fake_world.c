#include "fake_world_parts.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../app/power_up.h"
#include "fake_updates.h"

/* Chance */

uint32_t fake_world_random(fake_world_t *world)
{
    /* SplitMix64 (Steele, Lea, Flood: "Fast Splittable Pseudorandom Number Generators", 2014). */
    world->random += 0x9E3779B97F4A7C15U;
    uint64_t z = world->random;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
    return (uint32_t)((z ^ (z >> 31)) >> 32);
}

uint32_t fake_world_below(fake_world_t *world, uint32_t bound)
{
    return (uint32_t)(((uint64_t)fake_world_random(world) * bound) >> 32);
}

static uint32_t next_random(void *ctx)
{
    return fake_world_random(ctx);
}

/* Time */

uint64_t fake_world_device_ms(const fake_world_t *world)
{
    const uint64_t on_ms = world->now_ms - world->powered_ms;
    return world->base_ms + on_ms + on_ms * world->drift_ppm / 1000000;
}

int64_t fake_world_unix_ms(const fake_world_t *world)
{
    return FAKE_WORLD_UNIX_MS + (int64_t)world->now_ms;
}

static uint64_t since_boot_ms(void *ctx)
{
    return fake_world_device_ms(ctx);
}

/* What the power took with it does nothing any more. */
bool fake_world_is_dead(const fake_world_t *world)
{
    return !world->has_power || world->power.is_off || world->flash.power_is_off || world->kv.power_is_off;
}

/* Events */

static bool is_of_connection(event_type_t type)
{
    return type == EVENT_MQTT_CONNECTED || type == EVENT_MQTT_FAILED || type == EVENT_MQTT_CLOSED ||
           type == EVENT_MQTT_ACKED || type == EVENT_MQTT_MESSAGE;
}

void fake_world_plan(fake_world_t *world, uint64_t in_ms, event_t event)
{
    assert(world->event_count < FAKE_WORLD_EVENTS_MAX);
    world->events[world->event_count++] = (fake_world_event_t){
        .at_ms = world->now_ms + in_ms,
        .order = world->order++,
        .of = is_of_connection(event.type) ? world->connection : world->boots,
        .event = event,
    };
}

void fake_world_plan_plain(fake_world_t *world, uint64_t in_ms, event_type_t type)
{
    fake_world_plan(world, in_ms, (event_t){.type = type});
}

static void drop(fake_world_t *world, size_t at)
{
    world->events[at] = world->events[--world->event_count];
}

void fake_world_drop_stale(fake_world_t *world)
{
    for (size_t i = world->event_count; i > 0; i--) {
        const fake_world_event_t *planned = &world->events[i - 1];
        if (planned->of != (is_of_connection(planned->event.type) ? world->connection : world->boots)) {
            drop(world, i - 1);
        }
    }
}

void fake_world_drop_all_of(fake_world_t *world, event_type_t type)
{
    for (size_t i = world->event_count; i > 0; i--) {
        if (world->events[i - 1].event.type == type) {
            drop(world, i - 1);
        }
    }
}

static fake_world_event_t *earliest(fake_world_t *world)
{
    fake_world_event_t *found = NULL;
    for (size_t i = 0; i < world->event_count; i++) {
        fake_world_event_t *planned = &world->events[i];
        if (found == NULL || planned->at_ms < found->at_ms ||
            (planned->at_ms == found->at_ms && planned->order < found->order)) {
            found = planned;
        }
    }
    return found;
}

static int64_t told_unix_ms(fake_world_t *world)
{
    if (world->clock_garbage) {
        return fake_world_below(world, 2) == 0 ? 0 : INT64_MAX - 5;
    }
    const int64_t noise_ms = world->clock_noise_ms;
    return fake_world_unix_ms(world) + world->clock_off_ms +
           (int64_t)fake_world_below(world, 2 * world->clock_noise_ms + 1) - noise_ms;
}

/* What the world does as an event gets to the device. */
static void deliver(fake_world_t *world, event_t *event)
{
    switch (event->type) {
    case EVENT_NETWORK_UP:
        world->network_told = true;
        fake_world_drop_all_of(world, EVENT_CLOCK);
        fake_world_plan_plain(world, world->sntp_after_ms, EVENT_CLOCK);
        break;
    case EVENT_NETWORK_DOWN:
        world->network_told = false;
        break;
    case EVENT_CLOCK:
        if (event->unix_ms == 0) {
            event->unix_ms = told_unix_ms(world);
            fake_world_plan_plain(world, world->sntp_every_ms, EVENT_CLOCK);
        }
        world->rtc_known = world->keeps_rtc;
        world->rtc_off_ms = event->unix_ms - fake_world_unix_ms(world);
        break;
    case EVENT_MQTT_CONNECTED:
        world->hears_connect = false;
        world->connected = true;
        if (world->mood == FAKE_BROKER_DROPS) {
            fake_world_lose_connection(world, 1, FAILURE_CLOSED);
        }
        break;
    case EVENT_MQTT_FAILED:
    case EVENT_MQTT_CLOSED:
        fake_world_end_connection(world, true);
        break;
    case EVENT_TICK:
    case EVENT_MQTT_ACKED:
    case EVENT_MQTT_MESSAGE:
    case EVENT_SAMPLE:
    case EVENT_MEASURED:
    case EVENT_CONSOLE_LINE:
    case EVENT_RENEWAL_DONE:
        break;
    case EVENT_HTTP_ANSWER:
    case EVENT_HTTP_PIECE:
    case EVENT_HTTP_END:
        fake_updates_deliver(world->updates, event);
        break;
    }
}

static bool is_told_the_time(const fake_world_t *world)
{
    return world->sntp && world->network_told && !world->black_hole;
}

static bool next_event(void *ctx, uint32_t timeout_ms, event_t *out)
{
    fake_world_t *world = ctx;
    if (timeout_ms > world->stop_ms - world->now_ms) {
        timeout_ms = (uint32_t)(world->stop_ms - world->now_ms);
    }
    for (;;) {
        fake_world_event_t *planned = earliest(world);
        if (planned == NULL || planned->at_ms > world->now_ms + timeout_ms) {
            world->now_ms += timeout_ms;
            return false;
        }
        if (planned->at_ms > world->now_ms) {
            timeout_ms -= (uint32_t)(planned->at_ms - world->now_ms);
            world->now_ms = planned->at_ms;
        }
        *out = planned->event;
        drop(world, (size_t)(planned - world->events));
        if (out->type == EVENT_CLOCK && out->unix_ms == 0 && !is_told_the_time(world)) {
            fake_world_plan_plain(world, world->sntp_every_ms, EVENT_CLOCK);
            continue;
        }
        deliver(world, out);
        return true;
    }
}

void fake_world_set_clock(fake_world_t *world, int64_t off_ms)
{
    world->clock_off_ms = off_ms;
    fake_world_drop_all_of(world, EVENT_CLOCK);
    fake_world_plan_plain(world, 0, EVENT_CLOCK);
}

/* Power */

void fake_world_init(fake_world_t *world, uint64_t seed, uint32_t sectors, size_t samples)
{
    memset(world, 0, sizeof(*world));
    world->random = seed;
    world->network_up = world->sntp = world->keeps_rtc = world->keeps_log = world->renews = true;
    world->network_ms = 100;
    world->host = "broker.example";
    world->connect_ms = 120;
    world->ack_ms = 40;
    world->sntp_after_ms = 200;
    world->sntp_every_ms = 3600 * 1000;
    world->clock_noise_ms = 20;
    world->drift_ppm = 20; /* ESP32 modules' crystals: 10 ppm, and as much for temperature and age */
    world->devices = 1;
    world->health_every_s = 1;
    world->reboot_ms = 400;
    world->cut_ms = 3000;
    world->next_serial = world->first_serial_of_step = 1;
    world->medium = malloc((size_t)sectors * OUTBOX_SECTOR_BYTES);
    world->cut_cap = samples;
    world->cut_serials = calloc(samples, sizeof(*world->cut_serials));
    assert(world->medium != NULL && world->cut_serials != NULL);
    fake_broker_init(&world->broker, samples * 2, samples);
    fake_flash_init(&world->flash, world->medium, sectors * OUTBOX_SECTOR_BYTES, seed);
    fake_flash_blank(&world->flash);
    fake_kv_init(&world->kv);
    world->flash.power = world->kv.power = &world->power;
    fake_kv_init(&world->factory);
    fake_kv_put_text(&world->factory, "broker_uri", "mqtts://broker.example:8883");
    fake_kv_put_text(&world->factory, "wifi_ssid", "plant");

    world->clock_port = (port_clock_t){.ctx = world, .since_boot_ms = since_boot_ms};
    world->random_port = (port_random_t){.ctx = world, .next = next_random};
    world->events_port = (port_events_t){.ctx = world, .next = next_event};
    fake_world_link_ports(world);
    fake_world_unit_ports(world);
    world->ports = (loop_ports_t){.clock = &world->clock_port,
                                  .random = &world->random_port,
                                  .log = &world->log_port,
                                  .events = &world->events_port,
                                  .mqtt = &world->mqtt_port,
                                  .network = &world->network_port,
                                  .reboot = &world->reboot_port,
                                  .identity = &world->identity_port,
                                  .board = &world->board,
                                  .say = fake_world_say,
                                  .say_ctx = world};
}

void fake_world_free(fake_world_t *world)
{
    fake_broker_free(&world->broker);
    free(world->medium);
    free(world->cut_serials);
}

void fake_world_power_up(fake_world_t *world, boot_reason_t why)
{
    world->power.is_off = false;
    fake_flash_power_on(&world->flash);
    fake_kv_power_on(&world->kv);
    world->has_power = true;
    world->to_reboot = false;
    world->boots++;
    world->event_count = 0;
    world->powered_ms = world->now_ms;
    world->reason_of_boot = why;
    world->network_told = world->network_started = false;
    uint32_t boot = 0;
    (void)power_up_count(&world->kv.port, &boot);
    app_options_t options = {
        .gateway_code = FAKE_WORLD_GATEWAY,
        .family = world->board.family,
        .hardware = world->board.hardware,
        .firmware = "1.4.0",
        .boot = boot,
        .boot_reason = (uint32_t)why,
        .place = 0x5A17C3D9U,
        .has_modem = world->board.has_modem,
        .health_every_s = world->health_every_s,
        .flash = &world->flash.port,
        .kv = &world->kv.port,
        .factory = &world->factory.port,
    };
    if (world->updates != NULL) {
        fake_updates_options(world->updates, &options, &why);
        options.boot_reason = (uint32_t)why;
        world->reason_of_boot = why;
    }
    (void)world->identity_port.validity(world, PAIR_FACTORY, &options.factory_pair);
    world->pair =
        world->identity_port.validity(world, PAIR_RENEWED, &options.renewed_pair) ? PAIR_RENEWED : PAIR_FACTORY;
    (void)app_init(&world->app, &options, fake_world_device_ms(world), fake_world_random(world));
    app_set_memory(&world->app, 150000, 120000);
    loop_init(&world->loop, &world->app, &world->ports);
    if (world->rtc_known) {
        fake_world_plan(world, 0,
                        (event_t){.type = EVENT_CLOCK, .unix_ms = fake_world_unix_ms(world) + world->rtc_off_ms});
    }
}

static void come_back(fake_world_t *world, bool had_power, uint64_t after_ms, boot_reason_t why)
{
    fake_world_end_connection(world, true);
    world->has_power = false;
    world->rtc_known = world->rtc_known && had_power;
    world->now_ms += after_ms;
    world->stop_ms = world->stop_ms > world->now_ms ? world->stop_ms : world->now_ms;
    fake_world_power_up(world, why);
}

void fake_world_cut_power(fake_world_t *world)
{
    const app_t *app = &world->app;
    /* What the outbox has said that it keeps is not excused, also when power goes later in the same step. */
    const bool kept = app->has_outbox && app->outbox.failed_puts == 0 && app->clock.known;
    world->power_cuts++;
    for (uint32_t serial = world->first_serial_of_step; !kept && serial < world->next_serial; serial++) {
        assert(world->cut_count < world->cut_cap);
        world->cut_serials[world->cut_count++] = serial;
    }
    if (world->next_cut_in > 0) {
        world->power.cut_at = world->power.operations + world->next_cut_in;
        world->next_cut_in = 0;
    }
    come_back(world, false, world->cut_ms, BOOT_POWER_ON);
}

static void turn(fake_world_t *world)
{
    world->turns++;
    loop_turn(&world->loop);
    if (world->power.is_off || world->flash.power_is_off || world->kv.power_is_off) {
        fake_world_cut_power(world);
    } else if (world->to_reboot) {
        world->reboots++;
        come_back(world, true, world->reboot_ms, world->reason_of_boot);
    }
    world->first_serial_of_step = world->next_serial;
}

bool fake_world_run_until(fake_world_t *world, uint64_t for_ms, bool (*done)(const fake_world_t *world))
{
    world->stop_ms = world->now_ms + for_ms;
    while (world->now_ms < world->stop_ms) {
        if (done != NULL && done(world)) {
            return true;
        }
        turn(world);
    }
    return done != NULL && done(world);
}

void fake_world_run(fake_world_t *world, uint64_t for_ms)
{
    (void)fake_world_run_until(world, for_ms, NULL);
}

uint32_t fake_world_missing(const fake_world_t *world)
{
    uint32_t missing = 0;
    size_t cut = 0;
    for (uint32_t serial = 1; serial < world->next_serial; serial++) {
        if (cut < world->cut_count && world->cut_serials[cut] == serial) {
            cut++;
        } else if (!fake_broker_has(&world->broker, serial)) {
            missing++;
        }
    }
    return missing;
}
