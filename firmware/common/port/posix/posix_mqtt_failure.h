/* What a broker's answer means for a device. Pure. */
#pragma once

#include "../../core/step.h"

failure_t posix_mqtt_failure_of_connack(int reason);
