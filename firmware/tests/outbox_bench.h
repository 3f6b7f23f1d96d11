/* What the tests of the outbox share: samples that tell by their contents which ones they are. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/outbox.h"
#include "port/fake/fake_flash.h"

#define FIRST_UNIX_S 1780000000 /* 2026-05-28 */
#define BENCH_MAX_SECTORS 64

static uint8_t s_medium[BENCH_MAX_SECTORS * OUTBOX_SECTOR_BYTES];
static fake_flash_t s_flash;
static outbox_t s_box;

static inline void new_flash(uint32_t sectors)
{
    fake_flash_init(&s_flash, s_medium, sectors * OUTBOX_SECTOR_BYTES, 1);
    fake_flash_blank(&s_flash);
}

static inline sample_t sample_of(uint32_t id, uint32_t readings)
{
    sample_t sample;
    assert_true(sample_init(&sample, id % 2 == 0 ? "D01" : "SYS"));
    assert_true(sample_add(&sample, "id", "", (decimal_t){.digits = id}));
    for (uint32_t i = 1; i < readings; i++) {
        char tipo[TIPO_MAX_BYTES + 1];
        snprintf(tipo, sizeof(tipo), "temperatura_%u_%u", (unsigned)i, (unsigned)(id % 7));
        assert_true(sample_add(&sample, tipo, "C", (decimal_t){.digits = (int64_t)id * i - 40, .places = 2}));
    }
    sample.moment = (moment_t){.stamped = true, .unix_s = FIRST_UNIX_S + (int64_t)id * 60};
    return sample;
}

static inline sample_t waiting_sample_of(uint32_t id, uint32_t readings, uint32_t boot)
{
    sample_t sample = sample_of(id, readings);
    sample.moment = (moment_t){.boot = boot, .since_boot_ms = (uint64_t)id * 1000 + 7};
    return sample;
}

static inline uint32_t id_of(const sample_t *sample)
{
    return (uint32_t)sample->readings[0].valor.digits;
}

static inline void assert_same_readings(const sample_t *found, const sample_t *expected)
{
    assert_string_equal(found->device_code, expected->device_code);
    assert_int_equal(found->count, expected->count);
    for (uint32_t i = 0; i < found->count; i++) {
        assert_string_equal(found->readings[i].tipo, expected->readings[i].tipo);
        assert_string_equal(found->readings[i].unidade, expected->readings[i].unidade);
        assert_int_equal(found->readings[i].valor.digits, expected->readings[i].valor.digits);
        assert_int_equal(found->readings[i].valor.places, expected->readings[i].valor.places);
    }
}
