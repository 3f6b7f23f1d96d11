#include "step.h"

const char *failure_name(failure_t failure)
{
    switch (failure) {
    case FAILURE_NONE:
        return "none";
    case FAILURE_NETWORK:
        return "network";
    case FAILURE_DNS:
        return "dns";
    case FAILURE_TCP:
        return "tcp";
    case FAILURE_TLS_EXPIRED:
        return "tls_expired";
    case FAILURE_TLS_HOST:
        return "tls_host";
    case FAILURE_TLS_AUTHORITY:
        return "tls_authority";
    case FAILURE_TLS_OTHER:
        return "tls_other";
    case FAILURE_MQTT_REFUSED:
        return "mqtt_refused";
    case FAILURE_MQTT_UNAVAILABLE:
        return "mqtt_unavailable";
    case FAILURE_TIMEOUT:
        return "timeout";
    case FAILURE_CLOSED:
        return "closed";
    case FAILURE_CREDENTIALS:
        return "credentials";
    case FAILURE_NO_BROKER:
        return "no_broker";
    }
    return "unknown";
}

action_t *actions_add(actions_t *actions, action_type_t type)
{
    if (actions->count >= ACTIONS_MAX) {
        return NULL;
    }
    action_t *action = &actions->items[actions->count++];
    action->type = type;
    return action;
}
