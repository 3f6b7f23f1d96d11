/*
 * Publishes telemetry with QoS 1 as fast as a broker takes it, or at a steady rate, from one thread.
 *
 * Every message is another reading: no two have the same device and microsecond. Connections write from a template and
 * keep a window of unacknowledged messages. At full speed the loop turns once a millisecond: enough messages are in
 * flight to keep a broker busy meanwhile, and a few large reads and writes leave the processor to the broker. At a
 * steady rate it also wakes for each acknowledgement, so that their latency is right to less than a millisecond.
 */
#define _GNU_SOURCE
#include "latency.h"
#include "loopback.h"
#include "message.h"
#include "mqtt_wire.h"
#include "options.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define MAX_CONNECTIONS 500U
#define MAX_WINDOW 10000U
#define MAX_MESSAGES 1000000000ULL
#define MAX_CODES 1000000U
#define MAX_RATE 10000000U
#define MAX_TIMEOUT_S 86400U
#define MAX_STEP_MS 86400000U
#define TICK_NS NS_PER_MS
#define EVENTS_AT_ONCE 64
#define IN_BYTES 16384U /* acknowledgements are 4 to 6 bytes; no packet that we expect is larger */
#define OUT_BYTES (4U * MESSAGE_MAX_BYTES)
#define SOCKET_BUFFER_BYTES (1 << 20)
#define KEEPALIVE_OFF 0U
#define HISTORY_S 1200 /* the default start: late enough for the platform, early enough not to run into the future */
#define US_PER_MS 1000

typedef struct {
    int fd;
    bool ready; /* CONNACK came */
    uint32_t window;
    uint32_t in_flight;
    uint64_t first_gateway; /* and every `connections`th from there */
    uint64_t slots;         /* its devices */
    uint64_t to_send;
    uint64_t sent;
    uint64_t *due_ns; /* by packet id - 1; 0: the id is free */
    uint8_t in[IN_BYTES];
    size_t in_bytes;
    uint8_t out[OUT_BYTES];
    size_t out_from;
    size_t out_to;
} connection_t;

static struct {
    const char *host;
    const char *gateway_format;
    const char *start_time;
    uint64_t port, version, connections, messages, rate, window, readings, gateways, devices, step_ms, timeout_s;
} s_options = {
    .host = "127.0.0.1",
    .gateway_format = "BENCH-%04d",
    .start_time = NULL,
    .port = 1883,
    .version = 5,
    .connections = 8,
    .messages = 200000,
    .rate = 0,
    .window = 500,
    .readings = 1,
    .gateways = 100,
    .devices = 10,
    .step_ms = 1,
    .timeout_s = 120,
};

static connection_t *s_connections;
static message_t s_message;
static latency_t s_latency;
static int64_t s_start_us;
static uint64_t s_began_ns; /* 0: not all are connected yet */
static uint64_t s_last_ack_ns;
static uint64_t s_sent;
static uint64_t s_acknowledged;
static uint64_t s_refused;
static uint64_t s_nobody;
static uint64_t s_ready;

static bool read_options(int argc, char **argv, int *exit_status)
{
    const option_t options[] = {
        {"--host", "a loopback address", NULL, &s_options.host, 0, 0},
        {"--port", "of the broker", &s_options.port, NULL, 1, 65535},
        {"--protocol", "5 for MQTT 5, 4 for MQTT 3.1.1", &s_options.version, NULL, 4, 5},
        {"--connections", "one gateway or more each", &s_options.connections, NULL, 1, MAX_CONNECTIONS},
        {"--messages", "in all", &s_options.messages, NULL, 1, MAX_MESSAGES},
        {"--rate", "messages a second, 0: as fast as possible", &s_options.rate, NULL, 0, MAX_RATE},
        {"--window", "unacknowledged messages of a connection", &s_options.window, NULL, 1, MAX_WINDOW},
        {"--readings", "in each message", &s_options.readings, NULL, 1, MESSAGE_MAX_READINGS},
        {"--gateways", "numbered from 0", &s_options.gateways, NULL, 1, MAX_CODES},
        {"--gateway-format", "their codes", NULL, &s_options.gateway_format, 0, 0},
        {"--devices", "of each gateway, D01, D02, ...", &s_options.devices, NULL, 1, 99},
        {"--start-time", "of each device's first reading, in UTC; none: 20 minutes ago", NULL, &s_options.start_time,
         0, 0},
        {"--step-ms", "between readings of a device", &s_options.step_ms, NULL, 1, MAX_STEP_MS},
        {"--timeout-s", "after that it ends in any case", &s_options.timeout_s, NULL, 1, MAX_TIMEOUT_S},
    };
    return options_read(options, sizeof(options) / sizeof(options[0]), argc, argv,
                        "Publishes distinct telemetry messages with QoS 1 and prints one line of JSON about it.",
                        exit_status);
}

static bool prepare(void)
{
    code_format_t gateway;
    code_format_t device = {.prefix = "D", .suffix = "", .digits = 2};
    if (s_options.connections > s_options.gateways) {
        s_options.connections = s_options.gateways;
    }
    if (s_options.start_time) {
        if (!time_read_us(s_options.start_time, &s_start_us)) {
            return false;
        }
    } else {
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        s_start_us = ((int64_t)now.tv_sec - HISTORY_S) * 1000000 + now.tv_nsec / 1000;
    }
    return code_format_read(&gateway, s_options.gateway_format, s_options.gateways) &&
           message_make(&s_message, s_options.version == 5, &gateway, &device, s_options.readings);
}

/* What a share of `total` number `n` of `parts` is, the remainder going to the first ones. */
static uint64_t share_of(uint64_t total, uint64_t n, uint64_t parts)
{
    return total / parts + (n < total % parts ? 1 : 0);
}

static bool open_connection(connection_t *connection, uint64_t number, int epoll)
{
    char client_id[CODE_MAX_BYTES];
    connection->fd = loopback_connect(s_options.host, (uint16_t)s_options.port, SOCKET_BUFFER_BYTES);
    if (connection->fd < 0) {
        return false;
    }
    connection->due_ns = calloc(s_options.window, sizeof(*connection->due_ns));
    if (!connection->due_ns) {
        fprintf(stderr, "Out of memory.\n");
        return false;
    }
    connection->window = (uint32_t)s_options.window;
    connection->first_gateway = number;
    connection->slots = share_of(s_options.gateways, number, s_options.connections) * s_options.devices;
    connection->to_send = share_of(s_options.messages, number, s_options.connections);
    snprintf(client_id, sizeof(client_id), "loadgen-%ld-%" PRIu64, (long)getpid(), number);
    connection->out_to = mqtt_write_connect(connection->out, sizeof(connection->out), s_options.version == 5,
                                            client_id, KEEPALIVE_OFF);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
    return epoll_ctl(epoll, EPOLL_CTL_ADD, connection->fd, &event) == 0;
}

/* How many may be out by now: all, or as many as the rate says. */
static uint64_t allowed_by(uint64_t at_ns)
{
    if (s_options.rate == 0) {
        return s_options.messages;
    }
    double allowed = (double)(at_ns - s_began_ns) * (double)s_options.rate / (double)NS_PER_S + 1.0;
    return allowed < (double)s_options.messages ? (uint64_t)allowed : s_options.messages;
}

static void add_message(connection_t *connection, uint64_t at_ns)
{
    uint64_t slot = connection->sent % connection->slots;
    uint64_t turn = connection->sent / connection->slots;
    uint32_t id_slot = (uint32_t)(connection->sent % connection->window);
    const message_numbers_t numbers = {
        .packet_id = (uint16_t)(id_slot + 1),
        .gateway = connection->first_gateway + slot / s_options.devices * s_options.connections,
        .device = slot % s_options.devices + 1,
        .time_us = s_start_us + (int64_t)(turn * s_options.step_ms) * US_PER_MS,
        .value_thousandths = turn,
    };
    message_write(&s_message, connection->out + connection->out_to, &numbers);
    connection->out_to += s_message.count_bytes;
    /* With a rate a message counts from when it was due: a broker that holds us up must not look quick for it. */
    connection->due_ns[id_slot] =
        s_options.rate == 0 ? at_ns : s_began_ns + (uint64_t)((double)s_sent * 1e9 / (double)s_options.rate);
    connection->in_flight++;
    connection->sent++;
    s_sent++;
}

static bool flush(connection_t *connection)
{
    while (connection->out_from < connection->out_to) {
        size_t written_bytes;
        io_result_t result = write_some(connection->fd, connection->out + connection->out_from,
                                        connection->out_to - connection->out_from, &written_bytes);
        if (result == IO_WOULD_BLOCK) {
            return true; /* the next tick goes on */
        }
        if (result == IO_CLOSED) {
            fprintf(stderr, "The broker closed a connection.\n");
            return false;
        }
        connection->out_from += written_bytes;
    }
    connection->out_from = connection->out_to = 0;
    return true;
}

/* Fills the buffer as far as window, rate and room go, and writes it. */
static bool send_more(connection_t *connection, uint64_t at_ns, uint64_t allowed)
{
    if (connection->out_from > 0 && connection->out_to + s_message.count_bytes > sizeof(connection->out)) {
        memmove(connection->out, connection->out + connection->out_from, connection->out_to - connection->out_from);
        connection->out_to -= connection->out_from;
        connection->out_from = 0;
    }
    /* An id is used again only when it is free, also should a broker acknowledge out of order. */
    while (connection->sent < connection->to_send && s_sent < allowed && connection->in_flight < connection->window &&
           connection->due_ns[connection->sent % connection->window] == 0 &&
           connection->out_to + s_message.count_bytes <= sizeof(connection->out)) {
        add_message(connection, at_ns);
    }
    return flush(connection);
}

static bool take_puback(connection_t *connection, const mqtt_packet_t *packet, uint64_t at_ns)
{
    uint16_t packet_id = packet->body_bytes >= 2 ? mqtt_read_u16(packet->body) : 0;
    if (packet_id == 0 || packet_id > connection->window || connection->due_ns[packet_id - 1] == 0) {
        fprintf(stderr, "The broker acknowledged packet %u, which is not in flight.\n", (unsigned)packet_id);
        return false;
    }
    uint8_t reason = mqtt_reason_code(packet, s_options.version == 5);
    uint64_t due_ns = connection->due_ns[packet_id - 1];
    latency_add(&s_latency, at_ns > due_ns ? at_ns - due_ns : 0);
    connection->due_ns[packet_id - 1] = 0;
    connection->in_flight--;
    s_last_ack_ns = at_ns;
    if (reason >= 0x80) {
        s_refused++;
    } else if (reason == 0x10) {
        s_nobody++;
    } else {
        s_acknowledged++;
    }
    return true;
}

static bool take_packet(connection_t *connection, const mqtt_packet_t *packet, uint64_t at_ns)
{
    if (packet->type == MQTT_PUBACK) {
        return take_puback(connection, packet, at_ns);
    }
    if (packet->type == MQTT_CONNACK && !connection->ready && mqtt_reason_code(packet, true) == 0) {
        uint16_t receive_maximum = s_options.version == 5 ? mqtt_receive_maximum(packet) : UINT16_MAX;
        connection->ready = true;
        connection->window = receive_maximum < connection->window ? receive_maximum : connection->window;
        s_ready++;
        return true;
    }
    fprintf(stderr, "The broker sent a packet of type %u with reason code 0x%02X.\n", (unsigned)packet->type,
            (unsigned)mqtt_reason_code(packet, true));
    return false;
}

static bool receive(connection_t *connection, uint64_t at_ns)
{
    for (;;) {
        size_t got_bytes;
        io_result_t result = read_some(connection->fd, connection->in + connection->in_bytes,
                                       sizeof(connection->in) - connection->in_bytes, &got_bytes);
        if (result == IO_WOULD_BLOCK) {
            return true;
        }
        if (result == IO_CLOSED) {
            fprintf(stderr, "The broker closed a connection.\n");
            return false;
        }
        connection->in_bytes += got_bytes;
        size_t taken_bytes = 0;
        mqtt_packet_t packet;
        mqtt_split_t split;
        while ((split = mqtt_split(connection->in + taken_bytes, connection->in_bytes - taken_bytes, &packet)) ==
               MQTT_SPLIT_PACKET) {
            if (!take_packet(connection, &packet, at_ns)) {
                return false;
            }
            taken_bytes += packet.total_bytes;
        }
        connection->in_bytes -= taken_bytes;
        memmove(connection->in, connection->in + taken_bytes, connection->in_bytes);
        if (split == MQTT_SPLIT_MALFORMED || connection->in_bytes == sizeof(connection->in)) {
            fprintf(stderr, "The broker sent what is no acknowledgement.\n");
            return false;
        }
    }
}

static bool is_done(void)
{
    return s_acknowledged + s_refused + s_nobody == s_options.messages;
}

/* False when the run is over before its time. */
static bool tick(int epoll)
{
    struct epoll_event events[EVENTS_AT_ONCE];
    int wait_ms = s_options.rate > 0 ? 1 : 0;
    int count;
    uint64_t at_ns;
    do {
        count = epoll_wait(epoll, events, EVENTS_AT_ONCE, wait_ms);
        at_ns = now_ns();
        wait_ms = 0;
        for (int n = 0; n < count; n++) {
            if (!receive(events[n].data.ptr, at_ns)) {
                return false;
            }
        }
    } while (count == EVENTS_AT_ONCE);
    if (s_began_ns == 0 && s_ready == s_options.connections) {
        s_began_ns = at_ns;
    }
    uint64_t allowed = s_began_ns > 0 ? allowed_by(at_ns) : 0;
    /* Each tick begins with another connection: with a rate, the first one would otherwise take all there is. */
    static uint64_t s_first;
    for (uint64_t n = 0; n < s_options.connections; n++) {
        if (!send_more(&s_connections[(s_first + n) % s_options.connections], at_ns, allowed)) {
            return false;
        }
    }
    s_first++;
    return true;
}

static void print_report(double cpu)
{
    double seconds = s_last_ack_ns > s_began_ns ? (double)(s_last_ack_ns - s_began_ns) / 1e9 : 0;
    uint64_t answered = s_acknowledged + s_refused + s_nobody;
    printf("{\"seconds\":%.6f,\"messages\":%" PRIu64 ",\"acked\":%" PRIu64 ",\"refused\":%" PRIu64
           ",\"no_subscriber\":%" PRIu64 ",\"msg_per_s\":%.1f,",
           seconds, s_sent, s_acknowledged, s_refused, s_nobody, seconds > 0 ? (double)answered / seconds : 0);
    printf("\"puback_ms\":{\"p50\":%.3f,\"p90\":%.3f,\"p99\":%.3f,\"p999\":%.3f,\"max\":%.3f},",
           latency_percentile_ms(&s_latency, 0.5), latency_percentile_ms(&s_latency, 0.9),
           latency_percentile_ms(&s_latency, 0.99), latency_percentile_ms(&s_latency, 0.999),
           latency_longest_ms(&s_latency));
    printf("\"message_bytes\":%zu,\"readings\":%zu,\"connections\":%" PRIu64 ",\"cpu_s\":%.3f,\"cpu_share\":%.3f,"
           "\"peak_mb\":%.1f,\"complete\":%s}\n",
           s_message.count_bytes, s_message.readings, s_options.connections, cpu, seconds > 0 ? cpu / seconds : 0,
           peak_mb(), is_done() ? "true" : "false");
}

static void close_all(void)
{
    static const uint8_t s_disconnect[] = {0xE0, 0};
    for (uint64_t n = 0; n < s_options.connections; n++) {
        size_t written_bytes;
        if (s_connections[n].fd > 0) {
            (void)write_some(s_connections[n].fd, s_disconnect, sizeof(s_disconnect), &written_bytes);
            close(s_connections[n].fd);
        }
        free(s_connections[n].due_ns);
    }
    free(s_connections);
}

int main(int argc, char **argv)
{
    int exit_status;
    if (!read_options(argc, argv, &exit_status)) {
        return exit_status;
    }
    if (!prepare()) {
        return 2;
    }
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    s_connections = calloc(s_options.connections, sizeof(*s_connections));
    bool going = epoll >= 0 && s_connections;
    for (uint64_t n = 0; going && n < s_options.connections; n++) {
        going = open_connection(&s_connections[n], n, epoll);
    }
    if (!going) {
        if (s_connections) {
            close_all();
        }
        return 2;
    }
    uint64_t tick_ns = now_ns();
    uint64_t deadline_ns = tick_ns + s_options.timeout_s * NS_PER_S;
    while (going && !is_done() && now_ns() < deadline_ns) {
        going = tick(epoll);
        if (s_options.rate == 0) {
            /* After a turn that took longer than its tick the next one begins at once, without making up for it. */
            tick_ns = tick_ns + TICK_NS > now_ns() ? tick_ns + TICK_NS : now_ns();
            sleep_until_ns(tick_ns);
        }
    }
    if (going && !is_done()) {
        fprintf(stderr, "Not all was acknowledged within %" PRIu64 " s.\n", s_options.timeout_s);
    }
    print_report(cpu_s());
    close_all();
    close(epoll);
    return is_done() ? 0 : 1;
}
