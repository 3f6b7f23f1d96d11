/* A whole device in a world that is scripted: network, broker, clock, board and power. Its time is the test's; of a
 * seed comes all that is random, so that what happened once happens again.
 *
 * A test changes a field, lets time go by with fake_world_run(), and looks. The device is the real app in the real
 * loop; all its ports are here. It lives on flash and kv over a reboot and a power cut; what it does after the power
 * went in the middle of a step reaches nobody.
 */
#pragma once

#include "../../app/loop.h"
#include "fake_broker.h"
#include "fake_flash.h"
#include "fake_kv.h"

#define FAKE_WORLD_EVENTS_MAX 64
#define FAKE_WORLD_LOG_BYTES 16384
#define FAKE_WORLD_DEVICES_MAX 3
#define FAKE_WORLD_KEEP_ALIVE_MS 90000 /* a connection that leads nowhere ends after so long: 1.5 × KEEP_ALIVE_S */
#define FAKE_WORLD_UNIX_MS INT64_C(1780000000000) /* what time it is as the world begins */

typedef enum {
    FAKE_BROKER_GOOD,
    FAKE_BROKER_DOWN,      /* refuses the connection, or `failure` if that is set */
    FAKE_BROKER_SILENT,    /* accepts, and never answers */
    FAKE_BROKER_DROPS,     /* accepts, and hangs up at once */
    FAKE_BROKER_NEVER_ACKS /* takes publishes, and never answers them */
} fake_broker_mood_t;

typedef struct {
    uint64_t at_ms, order;
    uint32_t of; /* of which boot, or which connection: others are not delivered any more */
    event_t event;
} fake_world_event_t;

typedef struct {
    /* Script. Times are the world's, in ms since it began. */
    bool network_up;     /* whether there is one to be had */
    bool radio_stuck;    /* nothing comes up until the radio is restarted; */
    bool modem_stuck;    /* the modem; */
    bool device_stuck;   /* the device */
    bool black_hole;     /* the network seems up, and nothing goes through */
    uint32_t network_ms; /* from its start until it is up */
    fake_broker_mood_t mood;
    failure_t failure;
    const char *host; /* the broker's name; another leads nowhere */
    uint32_t connect_ms, ack_ms;
    uint32_t refuse_every; /* each so many-th publish is refused with `reason`; 0: none */
    uint8_t reason;
    bool loses_publish_call;    /* the client takes no publish (its buffer is full) */
    bool sntp;                  /* whether somebody tells the time; */
    uint32_t sntp_after_ms;     /* so long after the network came, */
    uint32_t sntp_every_ms;     /* and then so often, */
    int64_t clock_off_ms;       /* wrong by so much, */
    uint32_t clock_noise_ms;    /* and by up to so much more, either way; */
    bool clock_garbage;         /* or garbage */
    bool keeps_rtc;             /* the time survives a reboot that is no power cut */
    uint32_t drift_ppm;         /* of the device's own clock, which runs fast */
    uint64_t base_ms;           /* what the device's clock says at power-up: near 2^32, for what goes wrong there */
    uint8_t devices;            /* of the board */
    uint32_t health_every_s;    /* 1 at first: with every round, so that what goes wrong with a second sample is seen */
    bool renews;                /* whether a renewal succeeds */
    bool refuses_pair[2];       /* by pair_t: the broker turns away who shows it, with tls_other or `failure` */
    uint32_t next_cut_in;       /* after a cut, once: power goes again at so many-th write from then on; 0: no */
    uint32_t reboot_ms, cut_ms; /* how long a reboot takes, and how long power is away after a cut */

    /* The world. */
    uint64_t now_ms, stop_ms;
    uint64_t random;
    fake_broker_t broker;
    fake_power_t power;           /* of flash and settings */
    struct fake_updates *updates; /* fake_updates.h; NULL: it has none */
    fake_flash_t flash;
    fake_kv_t kv, factory;
    uint8_t *medium;
    uint64_t powered_ms;
    uint32_t boots, reboots, power_cuts, radio_restarts, modem_restarts, renewals;
    bool rtc_known;
    int64_t rtc_off_ms;
    boot_reason_t reason_of_boot;
    bool to_reboot, has_power;
    uint64_t turns, order;

    bool network_told, network_started;
    uint32_t network_starts;
    char ssid[33];
    bool connected, hears_connect;
    uint32_t connection; /* its number */
    uint64_t connects;   /* tries */
    uint64_t last_connect_ms;
    char will[320];
    uint8_t subscribed; /* bits: own, all */
    uint32_t publishes;

    fake_world_event_t events[FAKE_WORLD_EVENTS_MAX];
    size_t event_count;
    char line[CONSOLE_LINE_MAX_BYTES + 1]; /* typed; what an event points to is good until the next */
    uint8_t message[COMMAND_MAX_BYTES + 2];
    char message_topic[TOPIC_MAX_CHARS + 1];

    uint32_t next_serial;  /* of the board's samples; from 1 */
    uint32_t rounds;       /* times that the board was asked */
    uint32_t *cut_serials; /* of samples that were measured in the step in which power went: they may be lost */
    size_t cut_count, cut_cap;
    uint32_t first_serial_of_step;
    led_t run, fault;
    uint32_t lights;
    char log[FAKE_WORLD_LOG_BYTES];
    size_t log_bytes;
    bool keeps_log;
    char said[FAKE_WORLD_LOG_BYTES]; /* at the console */
    size_t said_bytes;
    char renew_url[256];
    int64_t not_before_unix_s, not_after_unix_s; /* of the factory's certificate; the renewed one is in `kv` */
    pair_t pair;                                 /* in use */

    /* The device. */
    app_t app;
    loop_t loop;
    loop_ports_t ports;
    port_clock_t clock_port;
    port_random_t random_port;
    port_log_t log_port;
    port_events_t events_port;
    port_mqtt_t mqtt_port;
    port_network_t network_port;
    port_reboot_t reboot_port;
    port_identity_t identity_port;
    board_t board;
} fake_world_t;

/* A good world, and a new device without power. `samples`: how many it will measure at most. */
void fake_world_init(fake_world_t *world, uint64_t seed, uint32_t sectors, size_t samples);
void fake_world_free(fake_world_t *world);

void fake_world_power_up(fake_world_t *world, boot_reason_t reason);
void fake_world_run(fake_world_t *world, uint64_t for_ms);
/* Until `done` says so; false: it did not within that time. */
bool fake_world_run_until(fake_world_t *world, uint64_t for_ms, bool (*done)(const fake_world_t *world));
void fake_world_cut_power(fake_world_t *world); /* now, and back after cut_ms */

void fake_world_network(fake_world_t *world, bool up);
void fake_world_black_hole(fake_world_t *world, bool on);       /* what was on its way is lost */
void fake_world_kill_broker(fake_world_t *world);               /* it is down from now on */
void fake_world_hang_up(fake_world_t *world);                   /* the broker ends the connection, and is there */
void fake_world_set_clock(fake_world_t *world, int64_t off_ms); /* the device is told now */
void fake_world_type(fake_world_t *world, const char *line);
void fake_world_message(fake_world_t *world, const char *topic, const void *payload, size_t len_bytes);

uint64_t fake_world_device_ms(const fake_world_t *world); /* since its boot, by its own clock */
int64_t fake_world_unix_ms(const fake_world_t *world);    /* the true time */
uint32_t fake_world_random(fake_world_t *world);
uint32_t fake_world_below(fake_world_t *world, uint32_t bound);
bool fake_world_logged(const fake_world_t *world, const char *text);
size_t fake_world_logged_times(const fake_world_t *world, const char *text);
bool fake_world_was_said(const fake_world_t *world, const char *text);
/* Samples of the board that are not on the broker's disk, those that power took in the step left out. */
uint32_t fake_world_missing(const fake_world_t *world);
