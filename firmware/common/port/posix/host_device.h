/* A device as a program: builds the ports over this machine, the app over them, and runs its loop until it is told to
 * stop. What the four families share of their main(). */
#pragma once

#include "../../drivers/sensors.h"
#include "../board.h"

/* Of main(): its exit code. `use` hands simulated sensors to the board. */
int host_device_main(int argc, char **argv, const board_t *board, void (*use)(const sensors_t *sensors));
