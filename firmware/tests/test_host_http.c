/* The HTTPS port against a server that says, over real TLS, the bytes that a test wrote down. */
#include "port/posix/posix_clock.h"
#include "port/posix/posix_http.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host_certificates.h"

#define LIMIT_MS 20000
#define BODY_MAX_BYTES 65536

typedef struct {
    const char *head, *body; /* that are sent; NULL: it hangs up instead */
    uint32_t repeat;         /* the body so often */
    uint32_t pause_ms;       /* before each */
    bool silent;             /* it accepts, and says nothing */
    const test_identity_t *shows;
    bool refuses_client;
} script_t;

/* What came of a request. */
typedef struct {
    bool has_answer, over;
    http_answer_t answer;
    http_end_t end;
    failure_t failure;
    uint8_t body[BODY_MAX_BYTES];
    size_t body_len;
    uint32_t pieces;
} outcome_t;

static test_identity_t s_root, s_server, s_stranger, s_device;
static STACK_OF(X509) * s_pinned;
static posix_pair_t s_pair;
static posix_http_t s_http;
static posix_network_t s_network;
static posix_source_t s_source;
static outcome_t s_outcome;
static script_t s_script;
static char s_asked[4096], s_url[64];
static int s_listener = -1;
static pthread_t s_thread;

static void say_nothing(void *ctx, log_level_t level, const char *tag, const char *text)
{
    (void)ctx;
    (void)level;
    (void)tag;
    (void)text;
}

static const port_log_t LOG = {.write = say_nothing};

static bool tls_options(void *ctx, posix_tls_options_t *out)
{
    (void)ctx;
    *out = (posix_tls_options_t){.pair = &s_pair, .pinned = s_pinned, .has_time = true, .unix_s = TEST_NOW_UNIX_S};
    return true;
}

static int accept_any(X509_STORE_CTX *store, void *ctx)
{
    if (*(const bool *)ctx) {
        X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REVOKED);
        return 0;
    }
    return 1;
}

static void say(SSL *ssl)
{
    int got = 0;
    size_t len = 0;
    while (len < sizeof(s_asked) - 1 && strstr(s_asked, "\r\n\r\n") == NULL &&
           (got = SSL_read(ssl, s_asked + len, (int)(sizeof(s_asked) - 1 - len))) > 0) {
        len += (size_t)got;
        s_asked[len] = '\0';
    }
    if (s_script.silent) {
        char byte;
        (void)SSL_read(ssl, &byte, 1); /* until the client leaves */
        return;
    }
    if (s_script.head == NULL || SSL_write(ssl, s_script.head, (int)strlen(s_script.head)) <= 0) {
        return;
    }
    for (uint32_t i = 0; i < s_script.repeat && s_script.body != NULL; i++) {
        usleep(s_script.pause_ms * 1000);
        if (SSL_write(ssl, s_script.body, (int)strlen(s_script.body)) <= 0) {
            return;
        }
    }
}

/* One connection. */
static void *serve(void *ctx)
{
    (void)ctx;
    const int peer = accept(s_listener, NULL, NULL);
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    SSL_CTX_use_certificate(context, s_script.shows->certificate);
    SSL_CTX_use_PrivateKey(context, s_script.shows->key);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set_cert_verify_callback(context, accept_any, &s_script.refuses_client);
    SSL *ssl = SSL_new(context);
    SSL_set_fd(ssl, peer);
    if (peer >= 0 && SSL_accept(ssl) == 1) {
        say(ssl);
    }
    SSL_free(ssl);
    SSL_CTX_free(context);
    if (peer >= 0) {
        close(peer);
    }
    return NULL;
}

static int make(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    const test_wanted_t root = {.name = "root", .from_s = -TEST_DAY_S, .to_s = TEST_DAY_S};
    const test_wanted_t server = {.name = "server",
                                  .subject_alt = "IP:127.0.0.1",
                                  .usage = "serverAuth",
                                  .from_s = -TEST_DAY_S,
                                  .to_s = TEST_DAY_S};
    const test_wanted_t device = {.name = "GW-1", .usage = "clientAuth", .from_s = -TEST_DAY_S, .to_s = TEST_DAY_S};
    s_root = test_identity(&root, NULL);
    s_server = test_identity(&server, &s_root);
    s_stranger = test_identity(&server, NULL);
    s_device = test_identity(&device, &s_root);
    s_pinned = sk_X509_new_null();
    sk_X509_push(s_pinned, s_root.certificate);
    s_pair = (posix_pair_t){.key = s_device.key, .leaf = s_device.certificate};
    return 0;
}

static int forget(void **state)
{
    (void)state;
    sk_X509_free(s_pinned);
    test_identity_free(&s_root);
    test_identity_free(&s_server);
    test_identity_free(&s_stranger);
    test_identity_free(&s_device);
    return 0;
}

static int begin(void **state)
{
    (void)state;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(at);
    s_listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(s_listener, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(s_listener, 4), 0);
    assert_int_equal(getsockname(s_listener, (struct sockaddr *)&at, &len), 0);
    (void)snprintf(s_url, sizeof(s_url), "https://127.0.0.1:%d/ota/v1/artifacts/a.bin", ntohs(at.sin_port));
    posix_network_init(&s_network, 1, false);
    s_network.port.start(s_network.port.ctx, "", "", "");
    posix_http_init(&s_http, &LOG, &s_network, tls_options, NULL);
    s_source = posix_http_source(&s_http);
    memset(&s_outcome, 0, sizeof(s_outcome));
    s_script = (script_t){.repeat = 1, .shows = &s_server};
    s_asked[0] = '\0';
    const posix_source_t network = posix_network_source(&s_network);
    const uint64_t until_ms = posix_now_ms() + LIMIT_MS;
    event_t event;
    while (!posix_network_is_up(&s_network) && posix_now_ms() < until_ms) {
        network.serve(network.ctx, posix_now_ms(), &(posix_watch_t){0});
        (void)network.take(network.ctx, &event);
        usleep(1000);
    }
    return posix_network_is_up(&s_network) ? 0 : 1;
}

static int end(void **state)
{
    (void)state;
    posix_http_end(&s_http);
    shutdown(s_listener, SHUT_RDWR);
    close(s_listener);
    return 0;
}

static http_request_t usual(void)
{
    return (http_request_t){.number = 7, .url = s_url, .etag = "", .max_bytes = BODY_MAX_BYTES, .limit_ms = 10000};
}

static void note(const event_t *event)
{
    switch (event->type) {
    case EVENT_HTTP_ANSWER:
        assert_false(s_outcome.has_answer);
        assert_int_equal(event->http_answer->number, 7);
        s_outcome.has_answer = true;
        s_outcome.answer = *event->http_answer;
        break;
    case EVENT_HTTP_PIECE:
        assert_true(s_outcome.has_answer);
        assert_in_range(event->http_piece.len_bytes, 1, HTTP_CHUNK_MAX_BYTES);
        assert_true(s_outcome.body_len + event->http_piece.len_bytes <= BODY_MAX_BYTES);
        memcpy(s_outcome.body + s_outcome.body_len, event->http_piece.bytes, event->http_piece.len_bytes);
        s_outcome.body_len += event->http_piece.len_bytes;
        s_outcome.pieces++;
        break;
    case EVENT_HTTP_END:
        assert_int_equal(event->http_end.number, 7);
        s_outcome.over = true;
        s_outcome.end = event->http_end.end;
        s_outcome.failure = event->http_end.failure;
        break;
    default:
        fail();
    }
}

static void turn(void)
{
    posix_watch_t watch = {.timeout_ms = 20};
    event_t event;
    s_source.watch(s_source.ctx, posix_now_ms(), &watch);
    if (poll(watch.fds, watch.count, (int)watch.timeout_ms) < 0) {
        fail();
    }
    s_source.serve(s_source.ctx, posix_now_ms(), &watch);
    while (s_source.take(s_source.ctx, &event)) {
        note(&event);
    }
}

static void ask(const http_request_t *request)
{
    assert_int_equal(pthread_create(&s_thread, NULL, serve, NULL), 0);
    assert_true(s_http.port.begin(s_http.port.ctx, request));
    const uint64_t until_ms = posix_now_ms() + LIMIT_MS;
    while (!s_outcome.over) {
        assert_true(posix_now_ms() < until_ms);
        turn();
    }
    assert_null(s_http.transfer);
    pthread_join(s_thread, NULL);
}

static void answered(const char *head, const char *body)
{
    const http_request_t request = usual();
    s_script.head = head;
    s_script.body = body;
    ask(&request);
}

static void assert_ended(http_end_t wanted, uint16_t status, const char *body)
{
    assert_true(s_outcome.has_answer);
    assert_int_equal(s_outcome.end, wanted);
    assert_int_equal(s_outcome.answer.status, status);
    assert_int_equal(s_outcome.body_len, strlen(body));
    assert_memory_equal(s_outcome.body, body, strlen(body));
}

static void a_whole_file_comes_with_its_length_and_etag(void **state)
{
    (void)state;
    answered("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag: \"abc\"\r\n\r\n", "bytes");
    assert_ended(HTTP_WHOLE, 200, "bytes");
    assert_int_equal(s_outcome.answer.whole_bytes, 5);
    assert_int_equal(s_outcome.answer.from_bytes, 0);
    assert_string_equal(s_outcome.answer.etag, "\"abc\"");
    assert_non_null(strstr(s_asked, "GET /ota/v1/artifacts/a.bin HTTP/1.1\r\n"));
    assert_null(strstr(s_asked, "Range:"));
    assert_null(strstr(s_asked, "If-"));
}

static void a_part_is_asked_for_by_range_and_if_range_and_says_where_it_begins(void **state)
{
    (void)state;
    http_request_t request = usual();
    request.from_bytes = 4096;
    request.etag = "\"abc\"";
    s_script.head = "HTTP/1.1 206 Partial Content\r\nContent-Length: 5\r\nContent-Range: bytes 4096-4100/4101\r\n"
                    "ETag: \"abc\"\r\n\r\n";
    s_script.body = "bytes";
    ask(&request);
    assert_ended(HTTP_WHOLE, 206, "bytes");
    assert_int_equal(s_outcome.answer.from_bytes, 4096);
    assert_int_equal(s_outcome.answer.whole_bytes, 4101);
    assert_non_null(strstr(s_asked, "\r\nRange: bytes=4096-\r\n"));
    assert_non_null(strstr(s_asked, "\r\nIf-Range: \"abc\"\r\n"));
}

static void a_file_that_changed_comes_whole_and_says_so(void **state)
{
    (void)state;
    http_request_t request = usual();
    request.from_bytes = 4096;
    request.etag = "\"abc\"";
    s_script.head = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag: \"other\"\r\n\r\n";
    s_script.body = "bytes";
    ask(&request);
    assert_ended(HTTP_WHOLE, 200, "bytes");
    assert_int_equal(s_outcome.answer.from_bytes, 0);
    assert_string_equal(s_outcome.answer.etag, "\"other\"");
}

static void a_part_that_is_not_there_is_416_without_a_body(void **state)
{
    (void)state;
    answered("HTTP/1.1 416 Range Not Satisfiable\r\nContent-Length: 3\r\nContent-Range: bytes */5\r\n\r\n", "no.");
    assert_ended(HTTP_WHOLE, 416, "");
    assert_int_equal(s_outcome.answer.from_bytes, 0);
}

static void what_is_known_already_is_asked_for_by_its_etag(void **state)
{
    (void)state;
    http_request_t request = usual();
    request.etag = "\"3\"";
    s_script.head = "HTTP/1.1 304 Not Modified\r\nETag: \"3\"\r\n\r\n";
    ask(&request);
    assert_ended(HTTP_WHOLE, 304, "");
    assert_non_null(strstr(s_asked, "\r\nIf-None-Match: \"3\"\r\n"));
}

static void a_redirect_is_an_answer_and_is_followed_by_nobody(void **state)
{
    (void)state;
    answered("HTTP/1.1 302 Found\r\nLocation: https://127.0.0.1:1/evil.bin\r\nContent-Length: 0\r\n\r\n", NULL);
    assert_ended(HTTP_WHOLE, 302, "");
}

static void retry_after_is_seconds_and_nothing_else(void **state)
{
    (void)state;
    answered("HTTP/1.1 503 Busy\r\nRetry-After: 17\r\nContent-Length: 0\r\n\r\n", NULL);
    assert_ended(HTTP_WHOLE, 503, "");
    assert_int_equal(s_outcome.answer.retry_after_s, 17);
    (void)end(state);
    assert_int_equal(begin(state), 0);
    answered("HTTP/1.1 503 Busy\r\nRetry-After: Fri, 31 Dec 1999 23:59:59 GMT\r\nContent-Length: 0\r\n\r\n", NULL);
    assert_ended(HTTP_WHOLE, 503, "");
    assert_int_equal(s_outcome.answer.retry_after_s, 0);
}

static void a_report_is_posted_as_json(void **state)
{
    (void)state;
    http_request_t request = usual();
    request.body = "{\"a\":1}";
    request.body_len_bytes = 7;
    s_script.head = "HTTP/1.1 204 No Content\r\n\r\n";
    ask(&request);
    assert_ended(HTTP_WHOLE, 204, "");
    assert_non_null(strstr(s_asked, "POST /ota/v1/artifacts/a.bin HTTP/1.1\r\n"));
    assert_non_null(strstr(s_asked, "\r\nContent-Type: application/json\r\n"));
    assert_non_null(strstr(s_asked, "\r\nContent-Length: 7\r\n"));
}

static void a_file_that_ends_too_early_is_cut_and_what_came_of_it_counts(void **state)
{
    (void)state;
    answered("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n", "bytes");
    assert_ended(HTTP_CUT, 200, "bytes");
}

static void a_chunked_file_without_an_end_is_left_where_more_comes_than_was_asked_for(void **state)
{
    (void)state;
    http_request_t request = usual();
    request.max_bytes = 1000;
    s_script.head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    s_script.body = "10\r\n0123456789abcdef\r\n";
    s_script.repeat = 1000000;
    ask(&request);
    assert_int_equal(s_outcome.end, HTTP_TOO_LONG);
    assert_int_equal(s_outcome.answer.whole_bytes, -1);
    assert_in_range(s_outcome.body_len, 0, 1000);
}

static void an_endless_body_of_an_error_is_left_too(void **state)
{
    (void)state;
    s_script.repeat = 1000000;
    answered("HTTP/1.1 500 Oops\r\n\r\n", "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef");
    assert_int_equal(s_outcome.end, HTTP_TOO_LONG);
    assert_int_equal(s_outcome.answer.status, 500);
    assert_int_equal(s_outcome.body_len, 0);
}

static void heads_without_an_end_are_left(void **state)
{
    (void)state;
    s_script.repeat = 1000000;
    answered("HTTP/1.1 200 OK\r\n", "X-Filler: 0123456789abcdef0123456789abcdef0123456789abcdef0123456789\r\n");
    assert_false(s_outcome.has_answer);
    assert_int_equal(s_outcome.end, HTTP_CUT);
}

static void a_drip_is_left_at_the_requests_limit(void **state)
{
    (void)state;
    http_request_t request = usual();
    request.limit_ms = 2000;
    s_script.head = "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n";
    s_script.body = "x";
    s_script.repeat = 1000;
    s_script.pause_ms = 50;
    const uint64_t from_ms = posix_now_ms();
    ask(&request);
    assert_int_equal(s_outcome.end, HTTP_TOO_SLOW);
    assert_in_range(posix_now_ms() - from_ms, 1900, 6300);
    assert_in_range(s_outcome.body_len, 1, 100);
}

static void a_server_that_says_nothing_is_left_at_the_requests_limit(void **state)
{
    (void)state;
    http_request_t request = usual();
    request.limit_ms = 500;
    s_script.silent = true;
    ask(&request);
    assert_false(s_outcome.has_answer);
    assert_int_equal(s_outcome.end, HTTP_TOO_SLOW);
    assert_int_equal(s_outcome.failure, FAILURE_TIMEOUT);
}

static void what_is_no_http_is_cut(void **state)
{
    (void)state;
    answered("\x16\x03\x01 no http at all\r\n\r\n", NULL);
    assert_int_equal(s_outcome.end, HTTP_CUT);
    assert_int_equal(s_outcome.body_len, 0);
}

static void a_server_of_another_authority_is_told_nothing(void **state)
{
    (void)state;
    s_script.shows = &s_stranger;
    answered("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n", "evil");
    assert_false(s_outcome.has_answer);
    assert_int_equal(s_outcome.end, HTTP_CUT);
    assert_int_equal(s_outcome.failure, FAILURE_TLS_AUTHORITY);
    assert_string_equal(s_asked, "");
}

static void a_server_that_refuses_our_certificate_is_a_failure_with_a_name(void **state)
{
    (void)state;
    s_script.refuses_client = true;
    answered("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n", "evil");
    assert_false(s_outcome.has_answer);
    assert_int_equal(s_outcome.end, HTTP_CUT);
    assert_int_not_equal(s_outcome.failure, FAILURE_NONE);
    assert_string_equal(s_asked, "");
}

static void nobody_listening_is_cut_with_that_failure(void **state)
{
    (void)state;
    http_request_t request = usual();
    request.url = "https://127.0.0.1:1/x";
    assert_true(s_http.port.begin(s_http.port.ctx, &request));
    while (!s_outcome.over) {
        turn();
    }
    assert_int_equal(s_outcome.end, HTTP_CUT);
    assert_int_equal(s_outcome.failure, FAILURE_TCP);
}

static void what_is_no_https_address_is_not_begun(void **state)
{
    static const char *const URLS[] = {
        "http://127.0.0.1:1/x", "ftp://127.0.0.1/x", "https://u:p@127.0.0.1:1/x", "x", "",
    };
    (void)state;
    http_request_t request = usual();
    for (size_t i = 0; i < sizeof(URLS) / sizeof(URLS[0]); i++) {
        request.url = URLS[i];
        assert_false(s_http.port.begin(s_http.port.ctx, &request));
        assert_null(s_http.transfer);
    }
    request = usual();
    posix_network_hold(&s_network, true);
    assert_false(s_http.port.begin(s_http.port.ctx, &request));
}

static void one_that_is_cancelled_says_nothing_any_more(void **state)
{
    (void)state;
    http_request_t request = usual();
    s_script.head = "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n";
    s_script.body = "x";
    s_script.repeat = 1000;
    s_script.pause_ms = 5;
    assert_int_equal(pthread_create(&s_thread, NULL, serve, NULL), 0);
    assert_true(s_http.port.begin(s_http.port.ctx, &request));
    while (s_outcome.pieces == 0) {
        turn();
    }
    s_http.port.cancel(s_http.port.ctx);
    const uint32_t pieces = s_outcome.pieces;
    for (int i = 0; i < 20; i++) {
        turn();
    }
    assert_int_equal(s_outcome.pieces, pieces);
    assert_false(s_outcome.over);
    pthread_join(s_thread, NULL);
}

static void a_network_that_goes_cuts_it(void **state)
{
    (void)state;
    http_request_t request = usual();
    s_script.silent = true;
    assert_int_equal(pthread_create(&s_thread, NULL, serve, NULL), 0);
    assert_true(s_http.port.begin(s_http.port.ctx, &request));
    for (int i = 0; i < 10; i++) {
        turn();
    }
    posix_network_hold(&s_network, true);
    while (!s_outcome.over) {
        turn();
    }
    assert_int_equal(s_outcome.end, HTTP_CUT);
    pthread_join(s_thread, NULL);
}

/* A device that is slow to write holds up the server, and no memory fills. */
static void a_body_larger_than_what_is_held_comes_in_pieces_and_whole(void **state)
{
    (void)state;
    s_script.repeat = 1000;
    answered("HTTP/1.1 200 OK\r\nContent-Length: 64000\r\n\r\n",
             "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef");
    assert_int_equal(s_outcome.end, HTTP_WHOLE);
    assert_int_equal(s_outcome.body_len, 64000);
    assert_in_range(s_outcome.pieces, 16, 1000);
    for (size_t i = 0; i < s_outcome.body_len; i++) {
        assert_int_equal(s_outcome.body[i], "0123456789abcdef"[i % 16]);
    }
}

#define FACT(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FACT(a_whole_file_comes_with_its_length_and_etag),
        FACT(a_part_is_asked_for_by_range_and_if_range_and_says_where_it_begins),
        FACT(a_file_that_changed_comes_whole_and_says_so),
        FACT(a_part_that_is_not_there_is_416_without_a_body),
        FACT(what_is_known_already_is_asked_for_by_its_etag),
        FACT(a_redirect_is_an_answer_and_is_followed_by_nobody),
        FACT(retry_after_is_seconds_and_nothing_else),
        FACT(a_report_is_posted_as_json),
        FACT(a_file_that_ends_too_early_is_cut_and_what_came_of_it_counts),
        FACT(a_chunked_file_without_an_end_is_left_where_more_comes_than_was_asked_for),
        FACT(an_endless_body_of_an_error_is_left_too),
        FACT(heads_without_an_end_are_left),
        FACT(a_drip_is_left_at_the_requests_limit),
        FACT(a_server_that_says_nothing_is_left_at_the_requests_limit),
        FACT(what_is_no_http_is_cut),
        FACT(a_server_of_another_authority_is_told_nothing),
        FACT(a_server_that_refuses_our_certificate_is_a_failure_with_a_name),
        FACT(nobody_listening_is_cut_with_that_failure),
        FACT(what_is_no_https_address_is_not_begun),
        FACT(one_that_is_cancelled_says_nothing_any_more),
        FACT(a_network_that_goes_cuts_it),
        FACT(a_body_larger_than_what_is_held_comes_in_pieces_and_whole),
    };
    return cmocka_run_group_tests(tests, make, forget);
}
