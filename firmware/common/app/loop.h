/* The loop of a device: events in, actions performed. The only place that knows ports and app. */
#pragma once

#include "../port/board.h"
#include "../port/port_clock.h"
#include "../port/port_events.h"
#include "../port/port_http.h"
#include "../port/port_identity.h"
#include "../port/port_log.h"
#include "../port/port_mqtt.h"
#include "../port/port_network.h"
#include "../port/port_random.h"
#include "../port/port_reboot.h"
#include "app.h"

#define LOOP_WAIT_MAX_MS 60000       /* at most so long without a look at the clock */
#define LOOP_SAY_AGAIN_S 3600        /* a failure that lasts is logged again after so long */
#define LOOP_LINE_MAX_BYTES 256      /* of the log; longer ones are cut */
#define LOOP_DEVICES_MAX UINT8_C(64) /* of a board; a board that has no end is a bug, and no endless loop */

typedef struct {
    const port_clock_t *clock;
    const port_random_t *random;
    const port_log_t *log;
    const port_events_t *events;
    const port_mqtt_t *mqtt;
    const port_network_t *network;
    const port_reboot_t *reboot;
    const port_identity_t *identity;
    const port_http_t *http; /* of updates; NULL: there are none */
    const port_ota_t *ota;   /* NULL: it has no slots */
    const board_t *board;
    void (*say)(void *ctx, const char *line); /* the console's output; NULL: there is none */
    void *say_ctx;
} loop_ports_t;

/* What the log was told, so that it is told each thing once. */
typedef struct {
    link_state_t state;
    failure_t failure;
    uint64_t failure_ms; /* when */
    uint32_t failures, acknowledged, undone, commands, commands_refused, clock_steps, of_former;
    bool clock_known, storage_failed, run_out, renewed, on_trial, lost_memory;
} loop_said_t;

typedef struct {
    app_t *app;
    const loop_ports_t *ports;
    sample_t sample;
    bool measuring; /* the board is asked, device by device */
    uint8_t device;
    bool no_request; /* one could not begin */
    uint16_t request_number;
    bool no_broker; /* a connection was wanted, and none is configured */
    bool lit;
    led_t run, fault;
    loop_said_t said;
} loop_t;

void loop_init(loop_t *loop, app_t *app, const loop_ports_t *ports);
/* One event, or the time until the next is due, and what follows from it. Called for ever. */
void loop_turn(loop_t *loop);
/* The program ends: says goodbye where there is somebody to hear it. */
void loop_end(loop_t *loop);
