/* Versions as SemVer 2.0.0 has them: "1.2.3", "1.2.3-rc.1+host". Pure. */
#pragma once

#include <stdbool.h>

bool semver_is_valid(const char *text);
