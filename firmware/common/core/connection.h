/* Gets and keeps the broker: waits with full jitter, gives up on who never answers, and climbs the recovery ladder.
 *
 * The ladder (architecture.md of the firmware has a picture) is counted from the last sign that all was well, or from
 * power-up: the radio is restarted after RECOVERY_RADIO_S, the modem after RECOVERY_MODEM_S (boards that have one), the
 * device after RECOVERY_REBOOT_S. Radio and modem are restarted again at each multiple of their time. Well is: the
 * broker answered a publish, be it with a refusal (no restart of ours makes it change its mind), or it is connected and
 * there is nothing to publish.
 *
 * The backoff begins anew only with an acknowledged publish: a broker that accepts and hangs up is not hammered.
 */
#pragma once

#include "backoff.h"
#include "step.h"

typedef enum { LINK_NO_NETWORK, LINK_WAITING, LINK_CONNECTING, LINK_ONLINE } link_state_t;

typedef struct {
    link_state_t state;
    failure_t last_failure;
    uint64_t due_ms;  /* the end of a wait, of CONNECT_TIMEOUT_MS; UINT64_MAX: none */
    uint64_t well_ms; /* the last time that all was well, or power-up */
    uint64_t radio_due_ms, modem_due_ms;
    backoff_t backoff;
    uint32_t reconnects; /* connections after the first */
    uint32_t failures;
    bool was_online;
    bool has_modem;
    bool restarting; /* the network goes because of a rung of ours, which is no failure of its own */
    bool clockless;  /* a reboot would cost readings: RECOVERY_REBOOT_CLOCKLESS_S counts */
} connection_t;

void connection_init(connection_t *connection, uint64_t now_ms, bool has_modem);

/* Takes EVENT_NETWORK_*, MQTT_CONNECTED, MQTT_FAILED, MQTT_CLOSED; of any other event only that time went by. At most
 * two actions a step. */
void connection_step(connection_t *connection, uint64_t now_ms, uint32_t random, const event_t *event,
                     actions_t *actions);

/* A publish was acknowledged: ladder and backoff begin anew. */
void connection_acknowledged(connection_t *connection, uint64_t now_ms);
/* All is well in the sense above: the ladder begins anew. */
void connection_well(connection_t *connection, uint64_t now_ms);
/* It stands and is of no use (no PUBACK comes): closed, and tried again after a wait. */
void connection_give_up(connection_t *connection, uint64_t now_ms, uint32_t random, failure_t failure,
                        actions_t *actions);
/* Somebody changed where or as whom to connect: closed, and tried again at once. */
void connection_renew(connection_t *connection, uint64_t now_ms, actions_t *actions);
uint64_t connection_next_due_ms(const connection_t *connection);
