#include "posix_network.h"

#include "posix_clock.h"
#include "sim_noise.h"

#define SIGNAL_BEST_DBM (-48)
#define SIGNAL_SPREAD_DB 30 /* how much worse a place can be */
#define SIGNAL_NOISE_DB 4
#define SIGNAL_CHANGES_MS 600000 /* who walks by, what is switched on */

static void start(void *ctx, const char *ssid, const char *password, const char *apn)
{
    (void)ssid;
    (void)password;
    (void)apn;
    posix_network_t *network = ctx;
    network->started = true;
}

static void begin_restart(posix_network_t *network, uint32_t takes_ms)
{
    network->restarting = true;
    network->up_at_ms = posix_now_ms() + takes_ms;
}

static void restart(void *ctx)
{
    posix_network_t *network = ctx;
    network->restarts++;
    begin_restart(network, POSIX_NETWORK_RESTART_MS);
}

static void restart_modem(void *ctx)
{
    posix_network_t *network = ctx;
    network->modem_restarts++;
    begin_restart(network, POSIX_NETWORK_MODEM_MS);
}

static bool signal_dbm(void *ctx, int32_t *out)
{
    const posix_network_t *network = ctx;
    if (!posix_network_is_up(network)) {
        return false;
    }
    int32_t place_db = (int32_t)(sim_hash(network->seed, 0) % SIGNAL_SPREAD_DB);
    int32_t change_milli = sim_noise_milli(network->seed + 1, posix_now_ms(), SIGNAL_CHANGES_MS);
    *out = SIGNAL_BEST_DBM - place_db + SIGNAL_NOISE_DB * change_milli / 1000;
    return true;
}

static void watch(void *ctx, uint64_t now_ms, posix_watch_t *watch)
{
    const posix_network_t *network = ctx;
    if (network->restarting) {
        posix_watch_within(watch, network->up_at_ms > now_ms ? network->up_at_ms - now_ms : 0);
    }
}

static void serve(void *ctx, uint64_t now_ms, const posix_watch_t *watch)
{
    (void)watch;
    posix_network_t *network = ctx;
    /* Not before the device heard that it went: take() says so first. */
    if (network->restarting && !network->said_up && now_ms >= network->up_at_ms) {
        network->restarting = false;
    }
}

static bool take(void *ctx, event_t *out)
{
    posix_network_t *network = ctx;
    bool up = posix_network_is_up(network);
    if (up == network->said_up) {
        return false;
    }
    network->said_up = up;
    *out = (event_t){.type = up ? EVENT_NETWORK_UP : EVENT_NETWORK_DOWN};
    return true;
}

void posix_network_init(posix_network_t *network, uint32_t seed, bool has_modem)
{
    *network = (posix_network_t){.seed = seed};
    network->port = (port_network_t){.ctx = network, .start = start, .restart = restart, .signal_dbm = signal_dbm};
    if (has_modem) {
        network->port.restart_modem = restart_modem;
    }
}

void posix_network_hold(posix_network_t *network, bool down)
{
    network->held_down = down;
}

bool posix_network_is_up(const posix_network_t *network)
{
    return network->started && !network->held_down && !network->restarting;
}

posix_source_t posix_network_source(posix_network_t *network)
{
    return (posix_source_t){.ctx = network, .watch = watch, .serve = serve, .take = take};
}
