/* A board by what hangs on it: its devices, and which readings each has. What the families differ in is a table. */
#pragma once

#include "../port/board.h"
#include "sensors.h"

typedef struct {
    const char *code; /* NULL: the configured one */
    void (*read)(const sensors_t *sensors, sample_t *out);
} sensor_device_t;

typedef struct {
    const sensor_device_t *devices;
    uint8_t count;
    const sensors_t *sensors; /* NULL: nothing answers, and samples are empty */
} sensor_board_t;

/* As board_t.measure; `ctx` is a sensor_board_t. */
bool sensor_board_measure(void *ctx, uint8_t index, const char *own_code, uint64_t since_boot_ms, sample_t *out);
