/*
 * Downloads one file as a fleet of gateways does, each with its own certificate on its own connection.
 *
 * A share of the connections can be broken off at a random byte: the gateway comes again and asks for the rest alone
 * (Range with If-Range). What came over the wire is counted by the kernel, TLS and lost bytes included. From one
 * thread.
 */
#define _GNU_SOURCE
#include "box.h"
#include "latency.h"
#include "loopback.h"
#include "message.h"
#include "options.h"

#include <inttypes.h>
#include <linux/tcp.h> /* for tcpi_bytes_received, which glibc's header lacks */
#include <netinet/in.h>
#include <openssl/err.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_GATEWAYS 20000U
#define MAX_TIMEOUT_S 3600U
#define MAX_FILE_BYTES (1ULL << 32)
#define MAX_CONNECTIONS_EACH 100U
#define MAX_HANDSHAKES 64U /* a listener's backlog is some hundreds; beyond it a connect() waits for a second */
#define EVENTS_AT_ONCE 64
#define WAIT_MS 100
#define HEAD_BYTES 2048U
#define REQUEST_BYTES 1024U
#define READ_BYTES 16384U
#define READS_A_TURN 8U /* so that one connection does not keep the others waiting */
#define ETAG_BYTES 100U

typedef enum {
    STATE_FREE,
    STATE_WAITING, /* for its turn, or for a time that the server said */
    STATE_HANDSHAKE,
    STATE_HEAD,
    STATE_BODY,
} state_t;

typedef struct {
    state_t state;
    int fd;
    SSL *ssl;
    uint64_t number; /* of the gateway */
    uint64_t began_ns;
    uint64_t again_ns;      /* not before: the server said so, or 0 */
    uint64_t got_bytes;     /* of the file */
    uint64_t drop_at_bytes; /* of the file; UINT64_MAX: not this time */
    unsigned connections;
    size_t head_bytes;
    char head[HEAD_BYTES];
    char etag[ETAG_BYTES];
} download_t;

static struct {
    const char *host, *box, *gateway_format, *path;
    uint64_t port, gateways, at_once, size, drop_percent, buffer, tls, seed, timeout_s;
} s_options = {
    .host = "localhost",
    .box = "",
    .gateway_format = "BENCH-%04d",
    .path = "/",
    .port = 8070,
    .gateways = 100,
    .at_once = 16,
    .size = 1048576,
    .drop_percent = 0,
    .buffer = 16384,
    .tls = 13,
    .seed = 1,
    .timeout_s = 120,
};

static download_t *s_downloads;
static box_t s_box;
static SSL_CTX *s_context;
static code_format_t s_codes;
static latency_t s_latency;
static int s_epoll = -1;
static uint64_t s_next, s_shaking, s_completed, s_failed, s_connections, s_dropped, s_turned_away, s_wire_bytes;
static uint64_t s_began_ns, s_last_ns, s_random;

static bool read_options(int argc, char **argv, int *exit_status)
{
    const option_t options[] = {
        {"--host", "a loopback address, or localhost", NULL, &s_options.host, 0, 0},
        {"--port", "of the server", &s_options.port, NULL, 1, 65535},
        {"--box", "a folder with a gateway's key and certificate in each folder", NULL, &s_options.box, 0, 0},
        {"--gateways", "of the box, numbered from 0: each downloads once", &s_options.gateways, NULL, 1, MAX_GATEWAYS},
        {"--gateway-format", "their codes", NULL, &s_options.gateway_format, 0, 0},
        {"--path", "of the file", NULL, &s_options.path, 0, 0},
        {"--size", "of the file, in bytes", &s_options.size, NULL, 1, MAX_FILE_BYTES},
        {"--at-once", "downloads under way", &s_options.at_once, NULL, 1, MAX_GATEWAYS},
        {"--drop-percent", "of connections that break off, at a random byte", &s_options.drop_percent, NULL, 0, 90},
        {"--buffer", "bytes that the kernel keeps for a connection", &s_options.buffer, NULL, 1024, 4194304},
        {"--tls", "12 for TLS 1.2, 13 for TLS 1.3", &s_options.tls, NULL, 12, 13},
        {"--seed", "of what is random", &s_options.seed, NULL, 1, UINT64_MAX / 2},
        {"--timeout-s", "after that it ends in any case", &s_options.timeout_s, NULL, 1, MAX_TIMEOUT_S},
    };
    return options_read(options, sizeof(options) / sizeof(options[0]), argc, argv,
                        "Downloads one file as many gateways, and prints one line of JSON about it.", exit_status);
}

/* xorshift64: the same breaks in each run with the same seed. */
static uint64_t random_below(uint64_t bound)
{
    s_random ^= s_random << 13;
    s_random ^= s_random >> 7;
    s_random ^= s_random << 17;
    return s_random % bound;
}

static bool prepare(void)
{
    s_random = s_options.seed;
    if (s_options.at_once > s_options.gateways) {
        s_options.at_once = s_options.gateways;
    }
    s_downloads = calloc(s_options.at_once, sizeof(*s_downloads));
    s_epoll = epoll_create1(EPOLL_CLOEXEC);
    if (!s_downloads || s_epoll < 0) {
        fprintf(stderr, "Out of memory.\n");
        return false;
    }
    if (!allow_sockets(s_options.at_once) ||
        !code_format_read(&s_codes, s_options.gateway_format, s_options.gateways) ||
        !box_read(&s_box, s_options.box, &s_codes, s_options.gateways)) {
        return false;
    }
    s_context = box_context(&s_box, s_options.box, s_options.host, (unsigned)s_options.tls);
    return s_context != NULL;
}

/* The connection's end, and not the download's. */
static void hang_up(download_t *download)
{
    struct tcp_info told;
    socklen_t told_bytes = sizeof(told);
    if (download->fd > 0) {
        if (getsockopt(download->fd, IPPROTO_TCP, TCP_INFO, &told, &told_bytes) == 0) {
            s_wire_bytes += told.tcpi_bytes_received;
        }
        close(download->fd);
    }
    SSL_free(download->ssl);
    ERR_clear_error();
    if (download->state == STATE_HANDSHAKE) {
        s_shaking--;
    }
    download->state = STATE_WAITING;
    download->ssl = NULL;
    download->fd = 0;
    download->head_bytes = 0;
}

static void end(download_t *download)
{
    hang_up(download);
    download->state = STATE_FREE;
    s_last_ns = now_ns();
}

static void fail(download_t *download, const char *doing)
{
    if (s_failed == 0) { /* one speaks for all */
        const char *reason = ERR_reason_error_string(ERR_peek_last_error());
        fprintf(stderr, "%s: %s failed (%s).\n", s_box.identities[download->number].code, doing,
                reason ? reason : "the server closed the connection, or answered something else");
    }
    s_failed++;
    end(download);
}

static bool watch(download_t *download, int operation, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = download};
    return epoll_ctl(s_epoll, operation, download->fd, &event) == 0;
}

static void shake_hands(download_t *download);

static void call(download_t *download)
{
    bool drops = s_options.drop_percent > random_below(100);
    download->drop_at_bytes =
        drops ? download->got_bytes + random_below(s_options.size - download->got_bytes) : UINT64_MAX;
    download->again_ns = 0;
    if (++download->connections > MAX_CONNECTIONS_EACH) {
        fail(download, "getting it in so many connections");
        return;
    }
    s_connections++;
    download->fd = loopback_connect(s_options.host, (uint16_t)s_options.port, (int)s_options.buffer);
    if (download->fd >= 0 && watch(download, EPOLL_CTL_ADD, EPOLLIN)) {
        download->ssl = box_connection(&s_box.identities[download->number], s_context, s_options.host, download->fd);
    }
    if (!download->ssl) {
        fail(download, "connecting");
        return;
    }
    download->state = STATE_HANDSHAKE;
    s_shaking++;
    shake_hands(download);
}

static void ask(download_t *download)
{
    char request[REQUEST_BYTES], range[REQUEST_BYTES / 2] = "";
    if (download->got_bytes > 0) {
        (void)snprintf(range, sizeof(range), "Range: bytes=%" PRIu64 "-\r\nIf-Range: %s\r\n", download->got_bytes,
                       download->etag);
    }
    int bytes = snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: %s\r\n%s\r\n", s_options.path,
                         s_options.host, range);
    if (bytes >= (int)sizeof(request) || SSL_write(download->ssl, request, bytes) != bytes) {
        fail(download, "asking");
        return;
    }
    if (!watch(download, EPOLL_CTL_MOD, EPOLLIN)) {
        fail(download, "asking");
    }
}

static void shake_hands(download_t *download)
{
    uint32_t events;
    switch (box_shake_hands(download->ssl, &events)) {
    case IO_OK:
        s_shaking--;
        download->state = STATE_HEAD;
        ask(download);
        return;
    case IO_WOULD_BLOCK:
        if (watch(download, EPOLL_CTL_MOD, events)) {
            return;
        }
        break;
    case IO_CLOSED:
        break;
    }
    fail(download, "the TLS handshake");
}

/* The value of a field, or NULL. The head ends with a zero. */
static const char *field(const char *head, const char *name)
{
    for (const char *line = strstr(head, "\r\n"); line; line = strstr(line, "\r\n")) {
        line += 2;
        if (strncasecmp(line, name, strlen(name)) == 0 && line[strlen(name)] == ':') {
            return line + strlen(name) + 1 + strspn(line + strlen(name) + 1, " ");
        }
    }
    return NULL;
}

static bool is_expected(download_t *download, unsigned status)
{
    const char *length = field(download->head, "Content-Length"), *range = field(download->head, "Content-Range");
    uint64_t from = 0;
    if (download->got_bytes == 0) {
        const char *etag = field(download->head, "ETag");
        (void)snprintf(download->etag, sizeof(download->etag), "%.*s", etag ? (int)strcspn(etag, "\r") : 0,
                       etag ? etag : "");
    }
    if (status == 206 && (!range || sscanf(range, "bytes %" SCNu64 "-", &from) != 1)) {
        return false;
    }
    return (status == 200 || status == 206) && from == download->got_bytes && length &&
           strtoull(length, NULL, 10) == s_options.size - from;
}

/* False when the connection is over. */
static bool take_body(download_t *download, uint64_t bytes)
{
    download->got_bytes += bytes;
    if (download->got_bytes >= s_options.size) {
        if (download->got_bytes > s_options.size) {
            fail(download, "getting no more than the file");
            return false;
        }
        s_completed++;
        latency_add(&s_latency, now_ns() - download->began_ns);
        end(download);
        return false;
    }
    if (download->got_bytes >= download->drop_at_bytes) {
        s_dropped++;
        hang_up(download);
        return false;
    }
    return true;
}

static bool take_head(download_t *download)
{
    unsigned status = 0;
    char *head_end = strstr(download->head, "\r\n\r\n");
    if (!head_end) {
        if (download->head_bytes + 1 == sizeof(download->head)) {
            fail(download, "reading the head");
            return false;
        }
        return true;
    }
    (void)sscanf(download->head, "HTTP/1.1 %u", &status);
    if (status == 503) {
        const char *wait = field(download->head, "Retry-After");
        download->again_ns = now_ns() + (wait ? strtoull(wait, NULL, 10) : 1) * NS_PER_S;
        s_turned_away++;
        hang_up(download);
        download->connections--;
        return false;
    }
    if (!is_expected(download, status)) {
        if (s_failed == 0) {
            fprintf(stderr, "%.*s\n", (int)strcspn(download->head, "\r"), download->head);
        }
        fail(download, "the request");
        return false;
    }
    download->state = STATE_BODY;
    return take_body(download, download->head_bytes - (size_t)(head_end + 4 - download->head));
}

static void take(download_t *download)
{
    static uint8_t s_buffer[READ_BYTES];
    for (unsigned n = 0; n < READS_A_TURN;) {
        bool in_head = download->state == STATE_HEAD;
        uint8_t *to = in_head ? (uint8_t *)download->head + download->head_bytes : s_buffer;
        size_t room_bytes = in_head ? sizeof(download->head) - 1 - download->head_bytes : sizeof(s_buffer),
               got_bytes = 0;
        int rc = SSL_read_ex(download->ssl, to, room_bytes, &got_bytes);
        if (rc != 1) {
            if (SSL_get_error(download->ssl, rc) != SSL_ERROR_WANT_READ) {
                fail(download, "reading");
            }
            return;
        }
        if (in_head) {
            download->head_bytes += got_bytes;
            download->head[download->head_bytes] = '\0';
        }
        if (!(in_head ? take_head(download) : take_body(download, got_bytes))) {
            return;
        }
        n += SSL_pending(download->ssl) == 0; /* what OpenSSL holds, epoll does not tell of */
    }
}

static void step(download_t *download)
{
    switch (download->state) {
    case STATE_HANDSHAKE:
        shake_hands(download);
        break;
    case STATE_HEAD:
    case STATE_BODY:
        take(download);
        break;
    case STATE_WAITING:
    case STATE_FREE:
        break;
    }
}

static void begin_more(void)
{
    for (size_t n = 0; n < s_options.at_once && s_shaking < MAX_HANDSHAKES; n++) {
        download_t *download = &s_downloads[n];
        if (download->state == STATE_FREE && s_next < s_options.gateways) {
            memset(download, 0, sizeof(*download));
            download->number = s_next++;
            download->began_ns = now_ns();
            call(download);
        } else if (download->state == STATE_WAITING && now_ns() >= download->again_ns) {
            call(download);
        }
    }
}

static bool is_done(void)
{
    return s_completed + s_failed == s_options.gateways;
}

static void print_report(void)
{
    double seconds = s_last_ns > s_began_ns ? (double)(s_last_ns - s_began_ns) / 1e9 : 0;
    printf("{\"seconds\":%.6f,\"completed\":%" PRIu64 ",\"failed\":%" PRIu64 ",\"connections\":%" PRIu64
           ",\"dropped\":%" PRIu64 ",\"turned_away\":%" PRIu64 ",\"wire_bytes\":%" PRIu64 ",\"mb_per_s\":%.1f,",
           seconds, s_completed, s_failed, s_connections, s_dropped, s_turned_away, s_wire_bytes,
           seconds > 0 ? (double)(s_completed * s_options.size) / 1e6 / seconds : 0);
    printf("\"download_ms\":{\"p50\":%.3f,\"p99\":%.3f,\"max\":%.3f},\"cpu_s\":%.3f,\"peak_mb\":%.1f}\n",
           latency_percentile_ms(&s_latency, 0.5), latency_percentile_ms(&s_latency, 0.99),
           latency_longest_ms(&s_latency), cpu_s(), peak_mb());
}

static void close_all(void)
{
    for (size_t n = 0; s_downloads && n < s_options.at_once; n++) {
        hang_up(&s_downloads[n]);
    }
    free(s_downloads);
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
        struct epoll_event events[EVENTS_AT_ONCE];
        begin_more();
        int count = epoll_wait(s_epoll, events, EVENTS_AT_ONCE, WAIT_MS);
        for (int n = 0; n < count; n++) {
            step(events[n].data.ptr);
        }
    }
    if (!is_done()) {
        fprintf(stderr, "Not all were done within %" PRIu64 " s.\n", s_options.timeout_s);
    }
    bool complete = s_completed == s_options.gateways;
    print_report();
    close_all();
    return complete ? 0 : 1;
}
