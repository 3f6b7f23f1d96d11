/* The log, on the console's UART. */
#pragma once

#include "../port_log.h"

extern const port_log_t chip_log;
