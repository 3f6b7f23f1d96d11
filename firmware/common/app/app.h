/* A device, whole: what its machines do together. Pure like them: no clock, no network; storage by the ports that it is
 * given. */
#pragma once

#include "../core/command.h"
#include "../core/config.h"
#include "../core/connection.h"
#include "../core/console.h"
#include "../core/health.h"
#include "../core/outbox.h"
#include "../core/pair_choice.h"
#include "../core/presence.h"
#include "../core/renewal.h"
#include "../core/sampling.h"
#include "../core/sender.h"
#include "../core/wall_clock.h"
#include "app_update.h"

#define APP_PRESENCE_MAX_BYTES 320
#define APP_TEST_S 60            /* the console's `test` waits so long for an acknowledgement */
#define APP_RECONNECT_MAX_S 3600 /* a new certificate is used after so long, calm moment or not */

/* Tokens of publishes that are not the sender's (SENDER_TOKEN_MAX). */
#define APP_TOKEN_PRESENCE 0x8000
#define APP_TOKEN_UNKEPT 0x8001
#define APP_TOKEN_REPORT 0x8100 /* and the report's number, as far as it fits: */
#define APP_TOKEN_REPORT_MASK 0xFF

/* What is fixed from power-up on. Texts are the caller's and stay. */
typedef struct {
    const char *gateway_code;                 /* of the factory image */
    const char *family, *hardware, *firmware; /* firmware: its version */
    uint32_t boot;                            /* counted over the device's life */
    uint32_t boot_reason;                     /* port_reboot.h */
    uint32_t place;                           /* this device's own, for spreading */
    pair_times_t factory_pair, renewed_pair;  /* of those that are there; the renewed one is in use */
    uint32_t pair_refused_s;                  /* 0: PAIR_REFUSED_S */
    bool has_modem;
    uint32_t health_every_s; /* its own readings, at most so often; 0: HEALTH_EVERY_S */
    const port_flash_t *flash;
    const port_kv_t *kv;
    const port_kv_t *factory;

    /* Of updates. */
    const port_crypto_t *crypto; /* NULL: there are none */
    const port_ota_t *ota;       /* NULL: it has no slots; commands are refused, and it says what it is */
    const char *product;         /* of releases; NULL: not asked for */
    const char *chip;            /* as esptool names it, or `host` */
    uint16_t chip_id;            /* image.h */
    uint32_t trial_s;            /* 0: UPDATE_TRIAL_S */
    uint32_t update_spread_s;    /* 0: POLL_SPREAD_S */
    /* NULL, or what is wrong with what this image finds around it. NULL: it has none. */
    const char *(*self_test)(void *ctx);
    void *self_test_ctx;
} app_options_t;

typedef struct {
    app_options_t options;
    config_t config;
    outbox_t outbox;
    sender_t sender; /* its topic, payload and scratch also serve what is said and measured: one at a time a step */
    connection_t connection;
    sampling_t sampling;
    wall_clock_t clock;
    renewal_t renewal;
    pair_choice_t pairs;
    health_t health;
    app_updates_t updates;
    command_t command; /* the last one that was well-formed; what it pointed to is gone after its step */

    bool has_outbox;
    bool storage_failed;    /* the last sample could not be kept */
    uint64_t measured_ms;   /* the moment of the samples that are coming in */
    uint64_t health_due_ms; /* its own readings, with the first sample from then on */
    uint32_t steps_back;    /* of the clock, in this boot */
    uint32_t acknowledged;  /* publishes of telemetry, in this boot */
    uint32_t lost;          /* samples that were neither kept nor acknowledged */
    uint32_t unkept;        /* samples that could not be kept and are on their way */
    uint32_t of_former;     /* samples of the unit that this board was before: discarded at this start */
    uint32_t undone;        /* trials of settings that ended badly */
    uint32_t commands, commands_refused;
    const char *refusal; /* of the last command that was; a sentence */

    pair_times_t pair_times[2]; /* by pair_t */
    bool renewed;               /* a new certificate waits for a calm moment to be used */
    uint64_t renewed_until_ms;
    bool testing; /* somebody at the console waits for an acknowledgement */
    uint64_t testing_until_ms;

    /* What is to be said as soon as there is room in a step. */
    bool to_start_network, to_measure, to_renew, to_announce, to_use_pair;
    uint8_t to_subscribe; /* bits: APP_TOPIC_OWN, APP_TOPIC_ALL */

    bool busy; /* in this step the sender's payload holds something already */
    size_t said_bytes;
    char presence_topic[TOPIC_MAX_CHARS + 1];
    char presence_payload[APP_PRESENCE_MAX_BYTES];
    char will_payload[APP_PRESENCE_MAX_BYTES];
    char update_topic[TOPIC_MAX_CHARS + 1];
} app_t;

#define APP_TOPIC_OWN 1 /* ota/<gateway_code>/update */
#define APP_TOPIC_ALL 2 /* ota/update */

typedef struct {
    char host[CONFIG_VALUE_MAX_BYTES + 1];
    uint16_t port;
    bool tls;
    const char *client_id; /* the gateway code */
    uint16_t keep_alive_s;
    const char *will_topic, *will_payload; /* QoS 1, retained */
} app_mqtt_options_t;

/* False: the outbox can't be kept; the device goes on and says so in health, with what it measures sent only while it
 * is connected. */
bool app_init(app_t *app, const app_options_t *options, uint64_t now_ms, uint32_t random);
/* Adds what to do now, in this order; what finds no room any more is said in the next step. */
void app_step(app_t *app, uint64_t now_ms, uint32_t random, const event_t *event, actions_t *actions);
uint64_t app_next_due_ms(const app_t *app, uint64_t now_ms);
/* Says goodbye where there is somebody to hear it, and closes the connection; it is made again at once if the device
 * goes on. */
void app_leave(app_t *app, uint64_t now_ms, actions_t *actions);

bool app_mqtt_options(const app_t *app, app_mqtt_options_t *out); /* false: no broker is configured */
#define APP_OTA_URL_MAX_BYTES (CONFIG_VALUE_MAX_BYTES + 1) /* of the firmware server: CONFIG_OTA_URL, and its NUL */
/* What the board and port know, before ACTION_MEASURE's samples are handed in. */
void app_set_signal(app_t *app, bool known, int32_t signal_dbm);
void app_set_memory(app_t *app, uint32_t free_bytes, uint32_t free_min_bytes);
/* Not acknowledged on the connection that stands, or else all that is kept: what waits for its resend window alone is
 * no backlog. */
uint32_t app_backlog(const app_t *app);
int64_t app_unix_s(const app_t *app, uint64_t now_ms); /* 0: not known */
bool app_is_confirmed(const app_t *app);               /* the image that runs is not on trial */
