/* A device on the chip, whole. */
#pragma once

#include "../board.h"

/* Builds the ports and the app for this board, and runs them for ever, in the calling task. A board without lights of
 * its own gets the two of chip_leds.h. */
void chip_device_run(const board_t *board);
