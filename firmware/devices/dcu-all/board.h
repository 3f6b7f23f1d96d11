/* DCU-ALL: one image for DCU-0080 and DCU-8000-SIM; what is not connected is left out. */
#pragma once

#include "../../common/drivers/sensors.h"
#include "../../common/port/board.h"

const board_t *board(void);

/* From now on it measures with these; they stay the caller's. Before, and with NULL, it has nothing to measure with. */
void board_use(const sensors_t *sensors);
