/* What happens to a device, and what it then does. The core's machines all have the form step(state, now, event) ->
 * actions: nothing in them waits, and only the loop at the edge (app/loop.c) performs an action.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bounds.h"
#include "http.h"
#include "sample.h"

/* Why there is no connection, told apart in the log and in health readings. The numbers are on the wire
 * (`falha_conexao`): never reuse one. */
typedef enum {
    FAILURE_NONE = 0,
    FAILURE_NETWORK = 1,          /* no Wi-Fi, no registration, no address */
    FAILURE_DNS = 2,              /* the broker's name leads nowhere */
    FAILURE_TCP = 3,              /* refused, reset, no route */
    FAILURE_TLS_EXPIRED = 4,      /* the server's certificate is out of its time: or the device's clock is wrong */
    FAILURE_TLS_HOST = 5,         /* it is another host's */
    FAILURE_TLS_AUTHORITY = 6,    /* no authority that is pinned: another CA, or self-signed */
    FAILURE_TLS_OTHER = 7,        /* no TLS, no common version, the server turned our certificate away */
    FAILURE_MQTT_REFUSED = 8,     /* CONNACK: not authorised, bad user name, banned */
    FAILURE_MQTT_UNAVAILABLE = 9, /* CONNACK: busy, unavailable, use another server */
    FAILURE_TIMEOUT = 10,         /* accepted, and never answered */
    FAILURE_CLOSED = 11,          /* a connection that stood was lost */
    FAILURE_CREDENTIALS = 12,     /* key or certificate of this device are missing or can't be read */
    FAILURE_NO_BROKER = 13,       /* none is configured */
} failure_t;

const char *failure_name(failure_t failure); /* "tls_expired"; for logs */

/* A device has up to two pairs of key and certificate. */
typedef enum { PAIR_FACTORY, PAIR_RENEWED } pair_t;

typedef enum {
    EVENT_TICK, /* time went by */
    EVENT_NETWORK_UP,
    EVENT_NETWORK_DOWN,
    EVENT_MQTT_CONNECTED,
    EVENT_MQTT_FAILED,  /* could not be connected; .failure */
    EVENT_MQTT_CLOSED,  /* .failure */
    EVENT_MQTT_ACKED,   /* PUBACK; .ack */
    EVENT_MQTT_MESSAGE, /* .message */
    EVENT_CLOCK,        /* .unix_ms, from SNTP, the modem or GPS */
    EVENT_SAMPLE,       /* .sample, of the board; its moment is set by the app */
    EVENT_MEASURED,     /* the board has no more samples of this ACTION_MEASURE */
    EVENT_CONSOLE_LINE, /* .line */
    EVENT_RENEWAL_DONE, /* .renewal: a new certificate is kept, or why not */
    EVENT_HTTP_ANSWER,  /* .http_answer: the head of what the firmware server says */
    EVENT_HTTP_PIECE,   /* .http_piece: bytes of its body, good until the next event */
    EVENT_HTTP_END,     /* .http_end */
} event_type_t;

typedef struct {
    event_type_t type;
    union {
        failure_t failure;
        struct {
            uint16_t token; /* as ACTION_MQTT_PUBLISH had it */
            uint8_t reason; /* MQTT 5, 3.4.2.1; 0 of MQTT 3.1.1 */
            bool local;     /* the client's own word, as for what is larger than the broker takes: proves no broker */
        } ack;
        struct {
            const char *topic;
            const uint8_t *payload;
            size_t len_bytes;
        } message;
        int64_t unix_ms;
        sample_t *sample;
        const char *line; /* without its end */
        struct {
            bool ok;
            int64_t not_before_unix_s, not_after_unix_s; /* of the new one, when ok */
            uint32_t retry_after_s;                      /* 0: not said */
        } renewal;
        const http_answer_t *http_answer;
        struct {
            uint16_t number; /* of its request */
            const uint8_t *bytes;
            size_t len_bytes;
        } http_piece;
        struct {
            uint16_t number;
            http_end_t end;
            failure_t failure; /* of HTTP_CUT */
        } http_end;
    };
} event_t;

typedef enum {
    ACTION_NETWORK_START,   /* with the settings as they are now; again after a change of them */
    ACTION_NETWORK_RESTART, /* the radio: Wi-Fi off and on, or the modem's context */
    ACTION_MODEM_RESTART,   /* by its power key; boards without a modem are never told */
    ACTION_REBOOT,          /* .reason */
    ACTION_MQTT_CONNECT,    /* with the options that app_mqtt_options() gives */
    ACTION_MQTT_CLOSE,
    ACTION_MQTT_PUBLISH,   /* .publish; QoS 1; topic and payload are good until the next step */
    ACTION_MQTT_SUBSCRIBE, /* .topic, QoS 1 */
    ACTION_MEASURE,        /* ask the board; come back with EVENT_SAMPLE once a device, then EVENT_MEASURED */
    ACTION_RENEW,          /* by EST, with the certificate in use */
    ACTION_USE_PAIR,       /* .pair: it is shown from the next connection on */
    ACTION_HTTP_BEGIN,     /* .http: texts of it are good until the next step */
    ACTION_HTTP_CANCEL,    /* the one that runs */
    ACTION_GO_BACK,        /* the image that runs is given up: restarts into the former one */
    ACTION_SAY,            /* .text for who sits at the console: lines, each with its \n; good until the next step */
} action_type_t;

typedef enum {
    REBOOT_RECOVERY = 1,
    REBOOT_CONSOLE = 2,
    REBOOT_UPDATE = 3,
} reboot_reason_t;

typedef struct {
    action_type_t type;
    union {
        reboot_reason_t reason;
        pair_t pair;
        const char *topic;
        const char *text;
        const http_request_t *http;
        struct {
            const char *topic;
            const char *payload;
            uint16_t len_bytes;
            uint16_t token;
            bool retain;
        } publish;
    };
} action_t;

typedef struct {
    action_t items[ACTIONS_MAX];
    uint8_t count;
} actions_t;

/* The next free one, or NULL at ACTIONS_MAX: the caller keeps what it wanted for its next step. */
action_t *actions_add(actions_t *actions, action_type_t type);
