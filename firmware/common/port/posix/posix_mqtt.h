/* MQTT 5 over libmosquitto 2.0, in the device's own thread.
 *
 * libmosquitto resolves names and, once, waits for a connection where it is asked in the ordinary way; it keeps what
 * was not acknowledged and sends it again by itself; and it tells nobody what TLS found wrong. So it gets an address of
 * ours (posix_resolver), connects without waiting, is made anew for each connection, since the outbox keeps what
 * counts, and uses an SSL_CTX that notes (posix_tls).
 */
#pragma once

#include <mosquitto.h>

#include "../port_log.h"
#include "../port_mqtt.h"
#include "posix_mqtt_queue.h"
#include "posix_network.h"
#include "posix_resolver.h"
#include "posix_source.h"
#include "posix_tls.h"

#define POSIX_MQTT_TCP_TIMEOUT_MS 8000 /* of one address; then the next */
#define POSIX_MQTT_MISC_MS 1000        /* libmosquitto counts keep-alive in seconds */
/* The broker is told to deliver none larger (MQTT 5, 3.1.2.11.4): a command with its topic, identifier and properties.
 */
#define POSIX_MQTT_PACKET_MAX_BYTES (COMMAND_MAX_BYTES + TOPIC_MAX_CHARS + 64)

typedef enum {
    POSIX_MQTT_IDLE,
    POSIX_MQTT_RESOLVING,
    POSIX_MQTT_CONNECTING, /* TCP */
    POSIX_MQTT_HANDSHAKE,  /* TLS */
    POSIX_MQTT_GREETING,   /* until CONNACK */
    POSIX_MQTT_ONLINE,
} posix_mqtt_state_t;

typedef struct {
    uint16_t mid;
    uint16_t token; /* 0: free */
} posix_in_flight_t;

typedef struct {
    const port_log_t *log;
    const posix_network_t *network;
    /* What to use in TLS now. False: no credentials. */
    bool (*tls_options)(void *ctx, posix_tls_options_t *out);
    void *tls_ctx;
    port_mqtt_t port;
    posix_mqtt_state_t state;
    char host[POSIX_NAME_MAX_CHARS + 1];
    uint16_t port_number;
    uint16_t keep_alive_s;
    char client_id[CODE_MAX_CHARS + 1];
    char will_topic[TOPIC_MAX_CHARS + 1];
    char will_payload[APP_PRESENCE_MAX_BYTES];
    posix_resolver_t resolver;
    uint8_t address; /* the one that is tried */
    uint8_t tried;   /* how many were */
    uint32_t turn;   /* with which to begin: one may lead nowhere without a word */
    uint64_t due_ms; /* the end of this address's time */
    uint64_t misc_at_ms;
    struct mosquitto *client;
    SSL_CTX *context; /* NULL: no TLS */
    posix_tls_t tls;
    int refused; /* CONNACK's reason; 0: none */
    int hung_up; /* DISCONNECT's reason or libmosquitto's error; 0: none */
    posix_in_flight_t in_flight[POSIX_MQTT_IN_FLIGHT_MAX];
    posix_mqtt_queue_t queue;
} posix_mqtt_t;

/* Once a process. False: out of memory. */
bool posix_mqtt_init(posix_mqtt_t *mqtt, const port_log_t *log, const posix_network_t *network,
                     bool (*tls_options)(void *ctx, posix_tls_options_t *out), void *tls_ctx);
/* Lets go of everything without a word to the broker, as when the power goes. */
void posix_mqtt_drop(posix_mqtt_t *mqtt);
posix_source_t posix_mqtt_source(posix_mqtt_t *mqtt);
