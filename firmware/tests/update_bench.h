/* A device with two slots in a fake world, with 1.0.0 from the factory in the first, and images to update it with. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "port/fake/fake_updates.h"

#define S UINT64_C(1000)
#define MINUTE (60 * S)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
#define IMAGE_BYTES 100000u

typedef struct {
    fake_world_t world;
    fake_updates_t updates;
    fake_image_t factory, next, bad;
} bench_t;

static inline void bench_begin(bench_t *bench, uint64_t seed)
{
    fake_world_init(&bench->world, seed, 16, 20000);
    /* Images need a hash, which needs the updates, which need an image. */
    fake_crypto_init(&bench->updates.crypto);
    fake_image(&bench->factory, &bench->updates, "1.0.0", FAKE_GOOD, IMAGE_BYTES);
    fake_image(&bench->next, &bench->updates, "1.1.0", FAKE_GOOD, IMAGE_BYTES + 4096);
    fake_updates_init(&bench->updates, &bench->world, &bench->factory);
}

static inline void bench_end(bench_t *bench)
{
    assert_int_equal(bench->updates.otadata.misuses, 0);
    assert_int_equal(bench->updates.slot_flash[0].misuses, 0);
    assert_int_equal(bench->updates.slot_flash[1].misuses, 0);
    assert_int_equal(bench->updates.starts_without_image, 0);
    assert_int_equal(bench->updates.resorts, 0);
    fake_updates_free(&bench->updates);
    fake_world_free(&bench->world);
}

static inline void bench_bad(bench_t *bench, fake_program_t program)
{
    fake_image(&bench->bad, &bench->updates, "1.2.0", program, IMAGE_BYTES);
}

static inline const update_t *bench_update(const fake_world_t *world)
{
    return &world->app.updates.update;
}

static inline bool bench_says(const bench_t *bench, const char *text)
{
    return strstr(bench->updates.report, text) != NULL;
}

/* Nothing is under way, and the platform knows how things stand. */
static inline bool bench_is_settled(const fake_world_t *world)
{
    const app_updates_t *updates = &world->app.updates;
    return !updates->update.memory.has_job && !updates->pending && !updates->update.has_news &&
           updates->update.memory.last.execution_id[0] != '\0' && updates->update.memory.last.told;
}

static inline bool bench_is_online(const fake_world_t *world)
{
    return world->app.connection.state == LINK_ONLINE && world->app.clock.known;
}

static inline bool bench_runs(const bench_t *bench, const fake_image_t *image)
{
    return bench->world.app.updates.update.running.known &&
           memcmp(bench->world.app.updates.update.running.sha256, image->sha256, SHA256_BYTES) == 0;
}
