/*
 * Opens MQTT 5 connections as a fleet of gateways does, each with its own certificate, or without TLS for comparison.
 *
 * A connection counts from connect() to CONNACK. A bounded number is under way at a time, from one thread. Each is
 * closed as soon as it is accepted, or all are held until standard input ends: then memory can be looked at.
 */
#define _GNU_SOURCE
#include "box.h"
#include "latency.h"
#include "loopback.h"
#include "message.h"
#include "mqtt_wire.h"
#include "options.h"

#include <errno.h>
#include <inttypes.h>
#include <openssl/err.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define MAX_CONNECTIONS 1000000U
#define MAX_HELD 60000U
#define MAX_AT_ONCE 64U /* mosquitto listens with a backlog of 100; beyond it a connect() waits for a second */
#define MAX_TIMEOUT_S 86400U
#define EVENTS_AT_ONCE 64
#define WAIT_MS 100
#define IN_BYTES 64U /* a CONNACK of mosquitto has 11 */
#define CONNECT_BYTES 128U
#define SOCKET_BUFFER_BYTES 16384
#define KEEPALIVE_OFF 0U

typedef enum {
    STATE_FREE,
    STATE_HANDSHAKE,
    STATE_CONNACK,
    STATE_HELD,
} state_t;

typedef struct {
    state_t state;
    int fd;
    SSL *ssl; /* NULL: plain */
    char code[CODE_MAX_BYTES];
    uint64_t began_ns;
    uint8_t in[IN_BYTES];
    size_t in_bytes;
} connection_t;

static struct {
    const char *host;
    const char *box;
    const char *gateway_format;
    uint64_t port, gateways, connections, at_once, hold, tls, timeout_s;
} s_options = {
    .host = "localhost",
    .box = "",
    .gateway_format = "BENCH-%04d",
    .port = 8883,
    .gateways = 100,
    .connections = 1000,
    .at_once = 16,
    .hold = 0,
    .tls = 13,
    .timeout_s = 120,
};

static const uint8_t s_disconnect[] = {0xE0, 0};
static connection_t *s_connections;
static size_t s_places; /* of s_connections: as many as are open at a time */
static box_t s_box;
static SSL_CTX *s_context;
static code_format_t s_codes;
static latency_t s_latency;
static int s_epoll = -1;
static uint64_t s_opened, s_under_way, s_accepted, s_refused, s_failed, s_lost;
static uint64_t s_began_ns, s_last_ns;

static bool read_options(int argc, char **argv, int *exit_status)
{
    const option_t options[] = {
        {"--host", "a loopback address, or localhost", NULL, &s_options.host, 0, 0},
        {"--port", "of the broker", &s_options.port, NULL, 1, 65535},
        {"--box", "a folder with a gateway's key and certificate in each folder; none: no TLS", NULL, &s_options.box, 0,
         0},
        {"--gateways", "of the box, numbered from 0", &s_options.gateways, NULL, 1, MAX_CONNECTIONS},
        {"--gateway-format", "their codes", NULL, &s_options.gateway_format, 0, 0},
        {"--connections", "in all", &s_options.connections, NULL, 1, MAX_CONNECTIONS},
        {"--at-once", "connections under way", &s_options.at_once, NULL, 1, MAX_AT_ONCE},
        {"--hold", "1: keep all open until standard input ends", &s_options.hold, NULL, 0, 1},
        {"--tls", "12 for TLS 1.2, 13 for TLS 1.3", &s_options.tls, NULL, 12, 13},
        {"--timeout-s", "after that it ends in any case", &s_options.timeout_s, NULL, 1, MAX_TIMEOUT_S},
    };
    return options_read(options, sizeof(options) / sizeof(options[0]), argc, argv,
                        "Opens MQTT connections, with certificates or without, and prints one line of JSON about it.",
                        exit_status);
}

static bool prepare(void)
{
    uint64_t open_at_a_time = s_options.hold ? s_options.connections : s_options.at_once;
    if (open_at_a_time > MAX_HELD) {
        fprintf(stderr, "At most %u connections can be held: one address has no more ports.\n", MAX_HELD);
        return false;
    }
    if (s_options.gateways < open_at_a_time) {
        fprintf(stderr, "%" PRIu64 " connections are open at a time, and a gateway has one: give as many --gateways.\n",
                open_at_a_time);
        return false;
    }
    s_places = open_at_a_time;
    s_connections = calloc(s_places, sizeof(*s_connections));
    s_epoll = epoll_create1(EPOLL_CLOEXEC);
    if (!s_connections || s_epoll < 0) {
        fprintf(stderr, "Out of memory.\n");
        return false;
    }
    if (!allow_sockets(s_places) || !code_format_read(&s_codes, s_options.gateway_format, s_options.gateways)) {
        return false;
    }
    if (s_options.box[0] == '\0') {
        return true;
    }
    if (!box_read(&s_box, s_options.box, &s_codes, s_options.gateways)) {
        return false;
    }
    s_context = box_context(&s_box, s_options.box, s_options.host, (unsigned)s_options.tls);
    return s_context != NULL;
}

static void release(connection_t *connection)
{
    SSL_free(connection->ssl);
    if (connection->fd > 0) {
        close(connection->fd);
    }
    memset(connection, 0, sizeof(*connection));
}

static void fail(connection_t *connection, const char *doing)
{
    if (s_failed == 0) { /* one speaks for all */
        const char *reason = ERR_reason_error_string(ERR_peek_last_error());
        fprintf(stderr, "%s: %s failed (%s).\n", connection->code, doing,
                reason ? reason : "the broker closed the connection");
    }
    ERR_clear_error();
    s_failed++;
    s_under_way--;
    release(connection);
}

static bool watch(connection_t *connection, int operation, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = connection};
    return epoll_ctl(s_epoll, operation, connection->fd, &event) == 0;
}

static bool put(connection_t *connection, const uint8_t *bytes, size_t count_bytes)
{
    size_t written_bytes;
    if (connection->ssl) {
        return SSL_write(connection->ssl, bytes, (int)count_bytes) == (int)count_bytes;
    }
    return write_some(connection->fd, bytes, count_bytes, &written_bytes) == IO_OK && written_bytes == count_bytes;
}

static io_result_t get(connection_t *connection)
{
    size_t got_bytes;
    io_result_t result;
    uint8_t *to = connection->in + connection->in_bytes;
    size_t room_bytes = sizeof(connection->in) - connection->in_bytes;
    if (connection->ssl) {
        int rc = SSL_read_ex(connection->ssl, to, room_bytes, &got_bytes);
        int error = rc == 1 ? SSL_ERROR_NONE : SSL_get_error(connection->ssl, rc);
        result = rc == 1                                                         ? IO_OK
                 : error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? IO_WOULD_BLOCK
                                                                                 : IO_CLOSED;
    } else {
        result = read_some(connection->fd, to, room_bytes, &got_bytes);
    }
    connection->in_bytes += result == IO_OK ? got_bytes : 0;
    return result;
}

static void say_connect(connection_t *connection)
{
    uint8_t out[CONNECT_BYTES];
    size_t count_bytes = mqtt_write_connect(out, sizeof(out), true, connection->code, KEEPALIVE_OFF);
    connection->state = STATE_CONNACK;
    if (!put(connection, out, count_bytes) || !watch(connection, EPOLL_CTL_MOD, EPOLLIN)) {
        fail(connection, "sending CONNECT");
    }
}

static void shake_hands(connection_t *connection)
{
    uint32_t events;
    switch (box_shake_hands(connection->ssl, &events)) {
    case IO_OK:
        say_connect(connection);
        return;
    case IO_WOULD_BLOCK:
        if (watch(connection, EPOLL_CTL_MOD, events)) {
            return;
        }
        break;
    case IO_CLOSED:
        break;
    }
    fail(connection, "the TLS handshake");
}

static void take_connack(connection_t *connection)
{
    mqtt_packet_t packet;
    io_result_t result = get(connection);
    if (result == IO_WOULD_BLOCK) {
        return; /* a session ticket, which TLS 1.3 sends first */
    }
    mqtt_split_t split = mqtt_split(connection->in, connection->in_bytes, &packet);
    if (result == IO_CLOSED || split == MQTT_SPLIT_MALFORMED || connection->in_bytes == sizeof(connection->in)) {
        fail(connection, "waiting for CONNACK");
        return;
    }
    if (split == MQTT_SPLIT_INCOMPLETE) {
        return;
    }
    s_last_ns = now_ns();
    s_under_way--;
    if (packet.type != MQTT_CONNACK || mqtt_reason_code(&packet, true) != 0) {
        s_refused++;
        release(connection);
        return;
    }
    s_accepted++;
    latency_add(&s_latency, s_last_ns - connection->began_ns);
    if (s_options.hold) {
        connection->state = STATE_HELD;
        return;
    }
    (void)put(connection, s_disconnect, sizeof(s_disconnect));
    release(connection);
}

static void look_at_held(connection_t *connection)
{
    connection->in_bytes = 0;
    if (get(connection) == IO_CLOSED) {
        ERR_clear_error();
        s_lost++;
        release(connection);
    }
}

static void step(connection_t *connection)
{
    switch (connection->state) {
    case STATE_HANDSHAKE:
        shake_hands(connection);
        break;
    case STATE_CONNACK:
        take_connack(connection);
        break;
    case STATE_HELD:
        look_at_held(connection);
        break;
    case STATE_FREE:
        break;
    }
}

static void open_next(connection_t *connection)
{
    uint64_t number = s_opened++ % s_options.gateways;
    connection->began_ns = now_ns();
    connection->fd = loopback_connect(s_options.host, (uint16_t)s_options.port, SOCKET_BUFFER_BYTES);
    s_under_way++;
    if (!box_code(connection->code, &s_codes, number) || connection->fd < 0 ||
        !watch(connection, EPOLL_CTL_ADD, EPOLLIN)) {
        fail(connection, "connecting");
    } else if (!s_context) {
        say_connect(connection);
    } else {
        connection->ssl = box_connection(&s_box.identities[number], s_context, s_options.host, connection->fd);
        if (!connection->ssl) {
            fail(connection, "setting up TLS");
            return;
        }
        connection->state = STATE_HANDSHAKE;
        shake_hands(connection);
    }
}

static void open_more(void)
{
    static size_t s_next;
    for (size_t tried = 0; tried < s_places && s_under_way < s_options.at_once && s_opened < s_options.connections;
         tried++) {
        connection_t *place = &s_connections[s_next++ % s_places];
        if (place->state == STATE_FREE) {
            open_next(place);
        }
    }
}

static bool is_done(void)
{
    return s_accepted + s_refused + s_failed == s_options.connections;
}

static void handle_events(int wait_ms)
{
    struct epoll_event events[EVENTS_AT_ONCE];
    int count = epoll_wait(s_epoll, events, EVENTS_AT_ONCE, wait_ms);
    for (int n = 0; n < count; n++) {
        step(events[n].data.ptr);
    }
}

static void print_report(void)
{
    double seconds = s_last_ns > s_began_ns ? (double)(s_last_ns - s_began_ns) / 1e9 : 0;
    printf("{\"seconds\":%.6f,\"accepted\":%" PRIu64 ",\"refused\":%" PRIu64 ",\"failed\":%" PRIu64 ",\"per_s\":%.1f,",
           seconds, s_accepted, s_refused, s_failed, seconds > 0 ? (double)s_accepted / seconds : 0);
    printf("\"connack_ms\":{\"p50\":%.3f,\"p99\":%.3f,\"max\":%.3f},\"cpu_s\":%.3f,\"peak_mb\":%.1f,\"complete\":%s}\n",
           latency_percentile_ms(&s_latency, 0.5), latency_percentile_ms(&s_latency, 0.99),
           latency_longest_ms(&s_latency), cpu_s(), peak_mb(), s_accepted == s_options.connections ? "true" : "false");
    fflush(stdout);
}

static void hold_until_stdin_ends(uint64_t deadline_ns)
{
    struct pollfd ready[] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = s_epoll, .events = POLLIN}};
    char rest[64];
    while (now_ns() < deadline_ns) {
        if (poll(ready, 2, WAIT_MS) < 0 && errno != EINTR) {
            return;
        }
        if (ready[1].revents) {
            handle_events(0);
        }
        if (ready[0].revents && read(STDIN_FILENO, rest, sizeof(rest)) <= 0) {
            return;
        }
    }
}

static void close_all(void)
{
    for (size_t n = 0; s_connections && n < s_places; n++) {
        if (s_connections[n].state == STATE_HELD) {
            (void)put(&s_connections[n], s_disconnect, sizeof(s_disconnect));
        }
        release(&s_connections[n]);
    }
    free(s_connections);
    SSL_CTX_free(s_context);
    box_free(&s_box);
    if (s_epoll >= 0) {
        close(s_epoll);
    }
}

int main(int argc, char **argv)
{
    int exit_status;
    if (!read_options(argc, argv, &exit_status)) {
        return exit_status;
    }
    signal(SIGPIPE, SIG_IGN); /* OpenSSL writes without MSG_NOSIGNAL */
    if (!prepare()) {
        close_all();
        return 2;
    }
    s_began_ns = now_ns();
    uint64_t deadline_ns = s_began_ns + s_options.timeout_s * NS_PER_S;
    while (!is_done() && now_ns() < deadline_ns) {
        open_more();
        handle_events(WAIT_MS);
    }
    if (!is_done()) {
        fprintf(stderr, "Not all were answered within %" PRIu64 " s.\n", s_options.timeout_s);
    }
    bool complete = s_accepted == s_options.connections;
    print_report();
    if (s_options.hold) {
        hold_until_stdin_ends(deadline_ns);
        printf("{\"held\":%" PRIu64 ",\"lost\":%" PRIu64 "}\n", s_accepted, s_lost);
    }
    close_all();
    return complete && s_lost == 0 ? 0 : 1;
}
