/* Whether the settings of the command line are ones that the device takes: a device with a wrong one would run with its
 * default, and somebody would look for long. */
#pragma once

#include "../../core/config.h"
#include "posix_overlay.h"

/* Says what is wrong by itself. `config` was loaded over `overlay`. */
bool host_settings_check(const posix_overlay_t *overlay, const config_t *config);
