#include "posix_mqtt_failure.h"

#include <mqtt_protocol.h>

failure_t posix_mqtt_failure_of_connack(int reason)
{
    switch (reason) {
    case MQTT_RC_UNSPECIFIED:
    case MQTT_RC_IMPLEMENTATION_SPECIFIC:
    case MQTT_RC_SERVER_UNAVAILABLE:
    case MQTT_RC_SERVER_BUSY:
    case MQTT_RC_SERVER_SHUTTING_DOWN:
    case MQTT_RC_QUOTA_EXCEEDED:
    case MQTT_RC_USE_ANOTHER_SERVER:
    case MQTT_RC_SERVER_MOVED:
    case MQTT_RC_CONNECTION_RATE_EXCEEDED:
    case CONNACK_REFUSED_SERVER_UNAVAILABLE: /* a broker of MQTT 3.1.1 that answers in its own words */
        return FAILURE_MQTT_UNAVAILABLE;
    default: /* a byte from the wire */
        return FAILURE_MQTT_REFUSED;
    }
}
