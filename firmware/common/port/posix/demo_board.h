/* A board with the demo's three sensors in place of its first device: what `make up` shows goes on with the devices and
 * names of its history. What else a family has (position, modem) it has here too. */
#pragma once

#include "../board.h"
#include "demo_series.h"

#define DEMO_SENSORS 3

typedef struct {
    const board_t *under;
    const char *gateway_code;
    int64_t unix_s; /* of the measurement that goes on */
    board_t board;
} demo_board_t;

/* `gateway_code` is the caller's and stays. */
const board_t *demo_board_init(demo_board_t *demo, const board_t *under, const char *gateway_code);

/* What one of them measures at that second; for tests too. */
void demo_sample(const char *gateway_code, int64_t unix_s, sample_t *out);
