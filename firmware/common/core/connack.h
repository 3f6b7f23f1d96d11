/* What a broker's answer to CONNECT means for a device. Pure. */
#pragma once

#include "step.h"

/* FAILURE_MQTT_UNAVAILABLE or FAILURE_MQTT_REFUSED. `reason` is the byte from the wire (MQTT 5, 3.2.2.2; MQTT 3.1.1,
 * 3.2.2.3), and not 0, which is success. */
failure_t connack_failure(int reason);
