/* libmosquitto's object for one connection, and its callbacks, which note and never call it. Of posix_mqtt. */
#pragma once

#include "posix_mqtt.h"

/* NULL: out of memory. */
struct mosquitto *posix_mqtt_client_new(posix_mqtt_t *mqtt);
