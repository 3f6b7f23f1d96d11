/* RELAY-MFR: a multifunction protection relay of three phases. */
#pragma once

#include "../../common/drivers/sensors.h"
#include "../../common/port/board.h"

const board_t *board(void);

/* From now on it measures with these; they stay the caller's. Before, and with NULL, it has nothing to measure with. */
void board_use(const sensors_t *sensors);
