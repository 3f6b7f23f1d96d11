/* The serial console on UART 0: lines in, as EVENT_CONSOLE_LINE; answers out, between the lines of the log. */
#pragma once

#include <stdbool.h>

/* False: the UART can't be had; the device runs without. */
bool chip_console_start(void);
void chip_console_say(void *ctx, const char *line);
