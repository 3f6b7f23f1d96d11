/*
 * Subscribes with QoS 1 and counts: what a broker can deliver when nobody does anything with it.
 * It reads in large pieces, once a millisecond, and acknowledges each piece in one write.
 */
#include "loopback.h"
#include "mqtt_wire.h"
#include "options.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define IN_BYTES (1U << 20)
#define OUT_BYTES (1U << 18)
#define PUBACK_BYTES 4U
#define SOCKET_BUFFER_BYTES (1 << 22)
#define MAX_MESSAGES 1000000000ULL
#define MAX_SECONDS 86400U
#define TICK_NS NS_PER_MS
#define KEEPALIVE_OFF 0U
#define CLIENT_ID_BYTES 64

static struct {
    const char *host;
    const char *topic;
    uint64_t port, version, qos, messages, idle_s, timeout_s;
} s_options = {
    .host = "127.0.0.1",
    .topic = "telemetry/+/+/data",
    .port = 1883,
    .version = 5,
    .qos = 1,
    .messages = 0,
    .idle_s = 10,
    .timeout_s = 120,
};

static uint8_t s_in[IN_BYTES];
static size_t s_in_bytes;
static uint8_t s_out[OUT_BYTES];
static size_t s_out_from;
static size_t s_out_to;
static uint64_t s_received;
static uint64_t s_first_ns;
static uint64_t s_last_ns;
static bool s_subscribed;

static bool read_options(int argc, char **argv, int *exit_status)
{
    const option_t options[] = {
        {"--host", "a loopback address", NULL, &s_options.host, 0, 0},
        {"--port", "of the broker", &s_options.port, NULL, 1, 65535},
        {"--protocol", "5 for MQTT 5, 4 for MQTT 3.1.1", &s_options.version, NULL, 4, 5},
        {"--topic", "what to subscribe to", NULL, &s_options.topic, 0, 0},
        {"--qos", "of the subscription", &s_options.qos, NULL, 0, 1},
        {"--messages", "end after so many, 0: when idle", &s_options.messages, NULL, 0, MAX_MESSAGES},
        {"--idle-s", "end so long after the last message", &s_options.idle_s, NULL, 1, MAX_SECONDS},
        {"--timeout-s", "after that it ends in any case", &s_options.timeout_s, NULL, 1, MAX_SECONDS},
    };
    return options_read(options, sizeof(options) / sizeof(options[0]), argc, argv,
                        "Prints \"ready\" when it is subscribed, and in the end one line of JSON about what came.",
                        exit_status);
}

static bool flush(int fd)
{
    while (s_out_from < s_out_to) {
        size_t written_bytes;
        io_result_t result = write_some(fd, s_out + s_out_from, s_out_to - s_out_from, &written_bytes);
        if (result != IO_OK) {
            return result == IO_WOULD_BLOCK; /* the next tick goes on */
        }
        s_out_from += written_bytes;
    }
    s_out_from = s_out_to = 0;
    return true;
}

/* False: the PUBLISH is malformed. */
static bool take_publish(const mqtt_packet_t *packet, uint64_t at_ns)
{
    uint8_t qos = (packet->flags >> 1) & 3;
    size_t topic_bytes = packet->body_bytes >= 2 ? mqtt_read_u16(packet->body) : 0;
    if (qos > 1 || 2 + topic_bytes + 2 > packet->body_bytes) {
        return false;
    }
    if (qos == 1) {
        uint8_t *puback = s_out + s_out_to;
        puback[0] = MQTT_PUBACK << 4;
        puback[1] = 2;
        memcpy(puback + 2, packet->body + 2 + topic_bytes, 2);
        s_out_to += PUBACK_BYTES;
    }
    s_received++;
    s_first_ns = s_first_ns > 0 ? s_first_ns : at_ns;
    s_last_ns = at_ns;
    return true;
}

static bool take_packet(const mqtt_packet_t *packet, uint64_t at_ns)
{
    const uint8_t reason = mqtt_reason_code(packet, s_options.version == 5);
    switch (packet->type) {
    case MQTT_PUBLISH:
        return take_publish(packet, at_ns);
    case MQTT_CONNACK:
        s_out_to += mqtt_write_subscribe(s_out + s_out_to, sizeof(s_out) - s_out_to, s_options.version == 5,
                                         s_options.topic, (uint8_t)s_options.qos);
        return reason == 0 && s_out_to > 0;
    case MQTT_SUBACK:
        s_subscribed = reason <= 1;
        puts("ready");
        fflush(stdout);
        return s_subscribed;
    default:
        return false;
    }
}

/* Takes what is whole, as long as there is room for its acknowledgement. */
static bool take_packets(uint64_t at_ns)
{
    size_t taken_bytes = 0;
    mqtt_packet_t packet;
    mqtt_split_t split = MQTT_SPLIT_INCOMPLETE;
    while (s_out_to + PUBACK_BYTES <= sizeof(s_out) &&
           (split = mqtt_split(s_in + taken_bytes, s_in_bytes - taken_bytes, &packet)) == MQTT_SPLIT_PACKET) {
        if (!take_packet(&packet, at_ns)) {
            fprintf(stderr, "The broker sent a packet of type %u that was not expected.\n", (unsigned)packet.type);
            return false;
        }
        taken_bytes += packet.total_bytes;
    }
    s_in_bytes -= taken_bytes;
    memmove(s_in, s_in + taken_bytes, s_in_bytes);
    bool has_room = s_out_to + PUBACK_BYTES <= sizeof(s_out);
    if (split == MQTT_SPLIT_MALFORMED || (has_room && taken_bytes == 0 && s_in_bytes == sizeof(s_in))) {
        fprintf(stderr, "The broker sent what is no packet, or one too large.\n");
        return false;
    }
    return true;
}

static bool is_done(uint64_t at_ns)
{
    if (s_options.messages > 0 && s_received >= s_options.messages) {
        return true;
    }
    return s_received > 0 && at_ns > s_last_ns + s_options.idle_s * NS_PER_S;
}

static bool is_complete(void)
{
    return s_received > 0 && s_received >= s_options.messages;
}

static bool tick(int fd, uint64_t at_ns)
{
    io_result_t result;
    do {
        size_t got_bytes = 0;
        result = s_in_bytes < sizeof(s_in)
                     ? read_some(fd, s_in + s_in_bytes, sizeof(s_in) - s_in_bytes, &got_bytes)
                     : IO_OK; /* full of messages whose acknowledgements have no room yet */
        if (result == IO_CLOSED) {
            fprintf(stderr, "The broker closed the connection.\n");
            return false;
        }
        s_in_bytes += got_bytes;
        if (!take_packets(at_ns) || !flush(fd)) {
            return false;
        }
    } while (result == IO_OK && s_out_to == 0);
    return true;
}

static void print_report(double cpu)
{
    double seconds = s_last_ns > s_first_ns ? (double)(s_last_ns - s_first_ns) / 1e9 : 0;
    printf("{\"seconds\":%.6f,\"messages\":%" PRIu64 ",\"msg_per_s\":%.1f,\"cpu_s\":%.3f,\"cpu_share\":%.3f,"
           "\"peak_mb\":%.1f,\"complete\":%s}\n",
           seconds, s_received, seconds > 0 ? (double)(s_received - 1) / seconds : 0, cpu,
           seconds > 0 ? cpu / seconds : 0, peak_mb(), is_complete() ? "true" : "false");
}

int main(int argc, char **argv)
{
    int exit_status;
    char client_id[CLIENT_ID_BYTES];
    if (!read_options(argc, argv, &exit_status)) {
        return exit_status;
    }
    int fd = loopback_connect(s_options.host, (uint16_t)s_options.port, SOCKET_BUFFER_BYTES);
    if (fd < 0) {
        return 2;
    }
    snprintf(client_id, sizeof(client_id), "sink-%ld", (long)getpid());
    s_out_to = mqtt_write_connect(s_out, sizeof(s_out), s_options.version == 5, client_id, KEEPALIVE_OFF);
    uint64_t tick_ns = now_ns();
    uint64_t deadline_ns = tick_ns + s_options.timeout_s * NS_PER_S;
    bool going = flush(fd);
    while (going && !is_done(now_ns()) && now_ns() < deadline_ns) {
        tick_ns = tick_ns + TICK_NS > now_ns() ? tick_ns + TICK_NS : now_ns();
        sleep_until_ns(tick_ns);
        going = tick(fd, now_ns());
    }
    static const uint8_t s_disconnect[] = {0xE0, 0};
    size_t written_bytes;
    (void)write_some(fd, s_disconnect, sizeof(s_disconnect), &written_bytes);
    close(fd);
    print_report(cpu_s());
    return is_complete() ? 0 : 1;
}
