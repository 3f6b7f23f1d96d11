/* The two lights of a board. */
#pragma once

#include "../board.h"

#define CHIP_LED_RUN_GPIO 2 /* on many development boards the blue light */
#define CHIP_LED_FAULT_GPIO 19

/* False: the pins or a timer can't be had; the device runs in the dark. */
bool chip_leds_init(void);
void chip_leds_set(void *ctx, led_t run, led_t fault);
