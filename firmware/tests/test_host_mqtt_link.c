/* The MQTT port against a broker that is these few bytes: no thread, no TLS. */
#include "port/posix/posix_clock.h"
#include "port/posix/posix_mqtt.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LIMIT_MS 20000
#define LEN(bytes) (bytes), sizeof(bytes)

static posix_mqtt_t s_mqtt;
static posix_network_t s_network;
static posix_source_t s_source;
static int s_listener = -1, s_peer = -1;
static uint16_t s_port;
static uint8_t s_got[8192]; /* what the broker was sent */
static size_t s_got_len;

static const uint8_t CONNACK[] = {0x20, 3, 0, 0, 0};
static const uint8_t CONNACK_SMALL[] = {0x20, 8, 0, 0, 5, 0x27, 0, 0, 0, 64}; /* packets of at most 64 bytes */

static void say_nothing(void *ctx, log_level_t level, const char *tag, const char *text)
{
    (void)ctx;
    (void)level;
    (void)tag;
    (void)text;
}

static const port_log_t LOG = {.write = say_nothing};

static bool no_credentials(void *ctx, posix_tls_options_t *out)
{
    (void)ctx;
    (void)out;
    return false;
}

static int listen_somewhere(uint16_t *port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(fd, 4), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    *port = ntohs(at.sin_port);
    return fd;
}

static int begin(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    s_listener = listen_somewhere(&s_port);
    posix_network_init(&s_network, 1, false);
    s_network.port.start(s_network.port.ctx, "", "", "");
    s_got_len = 0;
    s_source = posix_mqtt_source(&s_mqtt);
    return posix_mqtt_init(&s_mqtt, &LOG, &s_network, no_credentials, NULL) ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    posix_mqtt_drop(&s_mqtt);
    close(s_listener);
    if (s_peer >= 0) {
        close(s_peer);
    }
    s_peer = -1;
    return 0;
}

static void serve_broker(void)
{
    if (s_peer < 0) {
        s_peer = accept4(s_listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    }
    if (s_peer >= 0) {
        ssize_t got = recv(s_peer, s_got + s_got_len, sizeof(s_got) - s_got_len, 0);
        s_got_len += got > 0 ? (size_t)got : 0;
    }
}

static void turn(void)
{
    posix_watch_t watch = {.timeout_ms = 10};
    serve_broker();
    s_source.watch(s_source.ctx, posix_now_ms(), &watch);
    if (poll(watch.fds, watch.count, (int)watch.timeout_ms) < 0) {
        fail();
    }
    s_source.serve(s_source.ctx, posix_now_ms(), &watch);
}

static event_t next_event(void)
{
    event_t event = {.type = EVENT_TICK};
    const uint64_t until_ms = posix_now_ms() + LIMIT_MS;
    while (!s_source.take(s_source.ctx, &event)) {
        assert_true(posix_now_ms() < until_ms);
        turn();
    }
    return event;
}

static void wait_for_bytes(size_t len)
{
    const uint64_t until_ms = posix_now_ms() + LIMIT_MS;
    while (s_got_len < len) {
        assert_true(posix_now_ms() < until_ms);
        turn();
    }
}

static app_mqtt_options_t options(void)
{
    app_mqtt_options_t out = {.host = "127.0.0.1",
                              .port = s_port,
                              .client_id = "GW-1",
                              .keep_alive_s = 60,
                              .will_topic = "status/GW-1",
                              .will_payload = "{}"};
    return out;
}

static void connect_to_broker(void)
{
    const app_mqtt_options_t wanted = options();
    s_mqtt.port.connect(s_mqtt.port.ctx, &wanted);
    wait_for_bytes(2);
}

static void answer(const uint8_t *bytes, size_t len)
{
    assert_int_equal(send(s_peer, bytes, len, 0), (ssize_t)len);
}

static void come_online(const uint8_t *connack, size_t len)
{
    connect_to_broker();
    answer(connack, len);
    assert_int_equal(next_event().type, EVENT_MQTT_CONNECTED);
    s_got_len = 0;
}

static bool publish(const char *payload, uint16_t token)
{
    return s_mqtt.port.publish(s_mqtt.port.ctx, "t", payload, (uint16_t)strlen(payload), false, token);
}

static void assert_fails(failure_t failure)
{
    const event_t event = next_event();
    assert_int_equal(event.type, EVENT_MQTT_FAILED);
    assert_int_equal(event.failure, failure);
    assert_int_equal(s_mqtt.state, POSIX_MQTT_IDLE);
}

static void assert_closed(void)
{
    const event_t event = next_event();
    assert_int_equal(event.type, EVENT_MQTT_CLOSED);
    assert_int_equal(event.failure, FAILURE_CLOSED);
}

static void it_connects_with_mqtt_5_a_clean_start_a_will_and_no_session(void **state)
{
    (void)state;
    /* 3.1.2: name, version 5, flags: user name, will retained at QoS 1, clean start; 60 s; of properties how large
     * a packet it takes and a receive maximum, so no session outlasts the connection (3.1.2.11.2) */
    const uint8_t max_high = POSIX_MQTT_PACKET_MAX_BYTES >> 8, max_low = POSIX_MQTT_PACKET_MAX_BYTES & 0xFF;
    const uint8_t head[] = {0, 4,        'M',     'Q',  'T', 'T', 5, 0xAE, 0,   60,  8,   0x27, 0,
                            0, max_high, max_low, 0x21, 0,   20,  0, 4,    'G', 'W', '-', '1'};
    connect_to_broker();
    assert_int_equal(s_got[0], 0x10);
    wait_for_bytes((size_t)s_got[1] + 2);
    assert_memory_equal(s_got + 2, head, sizeof(head));
}

static void an_answer_is_one_whatever_it_says(void **state)
{
    (void)state;
    const uint8_t refused[] = {0x20, 3, 0, 0x87, 0};
    const uint8_t busy[] = {0x20, 3, 0, 0x89, 0};
    const uint8_t of_mqtt_3[] = {0x20, 2, 0, 1};
    const uint8_t garbage[] = {'H', 'T', 'T', 'P', '/', '1', '.', '1', ' ', '4', '0', '0', '\r', '\n'};
    const struct {
        const uint8_t *bytes;
        size_t len;
        failure_t failure;
    } cases[] = {{LEN(refused), FAILURE_MQTT_REFUSED},
                 {LEN(busy), FAILURE_MQTT_UNAVAILABLE},
                 {LEN(of_mqtt_3), FAILURE_MQTT_REFUSED}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        connect_to_broker();
        answer(cases[i].bytes, cases[i].len);
        assert_fails(cases[i].failure);
        close(s_peer);
        s_peer = -1;
        s_got_len = 0;
    }
    connect_to_broker();
    answer(garbage, sizeof(garbage));
    close(s_peer);
    s_peer = -1;
    const event_t event = next_event();
    assert_int_equal(event.type, EVENT_MQTT_FAILED);
}

static void a_broker_that_hangs_up_before_it_answers_is_a_matter_of_tcp(void **state)
{
    (void)state;
    connect_to_broker();
    close(s_peer);
    s_peer = -1;
    assert_fails(FAILURE_TCP);
}

static void acknowledgements_come_with_their_tokens_and_reasons(void **state)
{
    (void)state;
    come_online(LEN(CONNACK));
    assert_true(publish("a", 101));
    assert_true(publish("b", 102));
    wait_for_bytes(2 * 9);
    /* PUBLISH, QoS 1, 7 bytes: topic "t", identifier, no properties, payload */
    assert_int_equal(s_got[0], 0x32);
    const uint8_t acks[] = {0x40, 3, s_got[14], s_got[15], 0x87, 0x40, 2, s_got[5], s_got[6]};
    answer(acks, sizeof(acks));
    event_t event = next_event();
    assert_int_equal(event.type, EVENT_MQTT_ACKED);
    assert_int_equal(event.ack.token, 102);
    assert_int_equal(event.ack.reason, 0x87);
    event = next_event();
    assert_int_equal(event.ack.token, 101);
    assert_int_equal(event.ack.reason, 0);
    answer(acks, sizeof(acks)); /* a second time they are nobody's */
    turn();
    assert_false(s_source.take(s_source.ctx, &event));
}

static void what_the_broker_takes_no_packets_of_is_refused_as_too_large(void **state)
{
    (void)state;
    char large[100];
    memset(large, 'x', sizeof(large) - 1);
    large[sizeof(large) - 1] = '\0';
    come_online(LEN(CONNACK_SMALL));
    assert_true(publish(large, 7));
    const event_t event = next_event();
    assert_int_equal(event.ack.token, 7);
    assert_int_equal(event.ack.reason, 0x95);
    assert_true(event.ack.local); /* the broker said nothing */
    assert_true(publish("small", 8));
}

static void beyond_what_may_be_in_flight_nothing_is_taken(void **state)
{
    (void)state;
    assert_false(publish("not connected", 1));
    assert_false(s_mqtt.port.subscribe(s_mqtt.port.ctx, "ota/update"));
    come_online(LEN(CONNACK));
    for (uint16_t token = 1; token <= POSIX_MQTT_IN_FLIGHT_MAX; token++) {
        assert_true(publish("x", token));
    }
    assert_false(publish("x", 1000));
}

static void a_message_comes_as_it_was_sent_and_is_acknowledged(void **state)
{
    (void)state;
    const uint8_t message[] = {0x32, 16, 0, 10, 'o', 't', 'a', '/', 'u', 'p', 'd', 'a', 't', 'e', 0, 9, 0, '!'};
    come_online(LEN(CONNACK));
    assert_true(s_mqtt.port.subscribe(s_mqtt.port.ctx, "ota/update"));
    wait_for_bytes(5);
    assert_int_equal(s_got[0], 0x82);
    s_got_len = 0;
    answer(message, 1); /* byte by byte on a slow line */
    turn();
    answer(message + 1, sizeof(message) - 1);
    event_t event = next_event();
    assert_int_equal(event.type, EVENT_MQTT_MESSAGE);
    assert_string_equal(event.message.topic, "ota/update");
    assert_int_equal(event.message.len_bytes, 1);
    assert_int_equal(event.message.payload[0], '!');
    wait_for_bytes(4);
    assert_int_equal(s_got[0], 0x40);
}

static void a_connection_that_ends_is_told_with_acknowledgements_before_it(void **state)
{
    (void)state;
    come_online(LEN(CONNACK));
    assert_true(publish("a", 101));
    wait_for_bytes(9);
    const uint8_t bytes[] = {0x40, 2, s_got[5], s_got[6], 0xE0, 2, 0x8B, 0}; /* PUBACK, then: shutting down */
    answer(bytes, sizeof(bytes));
    assert_int_equal(next_event().type, EVENT_MQTT_ACKED);
    assert_closed();
    assert_false(publish("late", 3));
}

static void a_reset_ends_a_connection(void **state)
{
    (void)state;
    const struct linger reset = {.l_onoff = 1};
    come_online(LEN(CONNACK));
    setsockopt(s_peer, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    close(s_peer);
    s_peer = -1;
    assert_closed();
}

static void a_close_says_goodbye_and_nothing_follows_it(void **state)
{
    (void)state;
    event_t event;
    come_online(LEN(CONNACK));
    s_mqtt.port.close(s_mqtt.port.ctx);
    for (int i = 0; i < 20 && s_got_len < 2; i++) {
        turn();
    }
    assert_int_equal(s_got[0], 0xE0); /* DISCONNECT */
    assert_false(s_source.take(s_source.ctx, &event));
    s_mqtt.port.close(s_mqtt.port.ctx);
}

static void without_a_network_there_is_no_goodbye(void **state)
{
    (void)state;
    come_online(LEN(CONNACK));
    posix_network_hold(&s_network, true);
    s_mqtt.port.close(s_mqtt.port.ctx);
    uint8_t byte;
    ssize_t got = -1;
    for (int i = 0; i < 100 && got < 0 && (i == 0 || errno == EAGAIN); i++) {
        errno = 0;
        got = recv(s_peer, &byte, 1, 0);
        turn();
    }
    assert_int_equal(got, -1);
    assert_int_equal(errno, ECONNRESET);
}

static void a_new_connection_knows_nothing_of_the_former(void **state)
{
    (void)state;
    come_online(LEN(CONNACK));
    assert_true(publish("a", 101));
    const app_mqtt_options_t wanted = options();
    s_mqtt.port.connect(s_mqtt.port.ctx, &wanted);
    close(s_peer);
    s_peer = -1;
    s_got_len = 0;
    wait_for_bytes(2);
    wait_for_bytes((size_t)s_got[1] + 2);
    answer(LEN(CONNACK));
    assert_int_equal(next_event().type, EVENT_MQTT_CONNECTED);
    turn();
    assert_int_equal(s_got_len, (size_t)s_got[1] + 2); /* CONNECT, and no PUBLISH of before behind it */
}

static void of_two_addresses_the_second_is_tried_when_the_first_says_nothing(void **state)
{
    (void)state;
    uint16_t full;
    const int listener = listen_somewhere(&full);
    const struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_port = htons(full), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int waiting[4];
    assert_int_equal(listen(listener, 0), 0); /* one may wait; whoever comes then is not answered */
    for (size_t i = 0; i < 4; i++) {
        waiting[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)connect(waiting[i], (const struct sockaddr *)&at, sizeof(at));
    }
    app_mqtt_options_t wanted = options();
    posix_watch_t none = {.timeout_ms = 0};
    wanted.port = full;
    s_mqtt.port.connect(s_mqtt.port.ctx, &wanted);
    assert_int_equal(s_mqtt.state, POSIX_MQTT_CONNECTING);
    s_mqtt.resolver.count = 2; /* as if the name had two */
    strcpy(s_mqtt.resolver.addresses[1], "127.0.0.1");
    s_mqtt.port_number = s_port;
    s_source.serve(s_source.ctx, posix_now_ms() + POSIX_MQTT_TCP_TIMEOUT_MS + 1, &none);
    wait_for_bytes(2);
    for (size_t i = 0; i < 4; i++) {
        close(waiting[i]);
    }
    close(listener);
}

static void where_nobody_listens_it_fails_and_begins_with_the_next_address_then(void **state)
{
    (void)state;
    uint16_t closed;
    close(listen_somewhere(&closed));
    app_mqtt_options_t wanted = options();
    wanted.port = closed;
    const uint32_t before = s_mqtt.turn;
    s_mqtt.port.connect(s_mqtt.port.ctx, &wanted);
    assert_fails(FAILURE_TCP);
    assert_int_equal(s_mqtt.turn, before + 1);
}

static void an_address_that_leads_nowhere_is_given_up_in_time(void **state)
{
    (void)state;
    app_mqtt_options_t wanted = options();
    posix_watch_t none = {.timeout_ms = 0};
    event_t event;
    strcpy(wanted.host, "192.0.2.1"); /* RFC 5737: nobody's */
    s_mqtt.port.connect(s_mqtt.port.ctx, &wanted);
    if (s_mqtt.state == POSIX_MQTT_CONNECTING) { /* no route: it failed at once */
        s_source.serve(s_source.ctx, posix_now_ms() + POSIX_MQTT_TCP_TIMEOUT_MS + 1, &none);
    }
    assert_true(s_source.take(s_source.ctx, &event));
    assert_int_equal(event.failure, FAILURE_TCP);
}

static void without_credentials_there_is_no_tls(void **state)
{
    (void)state;
    app_mqtt_options_t wanted = options();
    wanted.tls = true;
    s_mqtt.port.connect(s_mqtt.port.ctx, &wanted);
    assert_fails(FAILURE_CREDENTIALS);
}

static void a_name_that_is_none_is_a_matter_of_dns(void **state)
{
    (void)state;
    app_mqtt_options_t wanted = options();
    strcpy(wanted.host, "nowhere.invalid");
    s_mqtt.port.connect(s_mqtt.port.ctx, &wanted);
    assert_fails(FAILURE_DNS);
}

static void a_silent_broker_costs_no_more_than_keep_alive_allows(void **state)
{
    (void)state;
    posix_watch_t none = {.timeout_ms = 0};
    app_mqtt_options_t wanted = options();
    wanted.keep_alive_s = 0xFFFF;
    s_mqtt.port.connect(s_mqtt.port.ctx, &wanted);
    wait_for_bytes(2);
    s_source.serve(s_source.ctx, posix_now_ms() + POSIX_MQTT_MISC_MS + 1, &none); /* no word yet: nothing to do */
    assert_int_equal(s_mqtt.state, POSIX_MQTT_GREETING);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(it_connects_with_mqtt_5_a_clean_start_a_will_and_no_session, begin, end),
        cmocka_unit_test_setup_teardown(an_answer_is_one_whatever_it_says, begin, end),
        cmocka_unit_test_setup_teardown(a_broker_that_hangs_up_before_it_answers_is_a_matter_of_tcp, begin, end),
        cmocka_unit_test_setup_teardown(acknowledgements_come_with_their_tokens_and_reasons, begin, end),
        cmocka_unit_test_setup_teardown(what_the_broker_takes_no_packets_of_is_refused_as_too_large, begin, end),
        cmocka_unit_test_setup_teardown(beyond_what_may_be_in_flight_nothing_is_taken, begin, end),
        cmocka_unit_test_setup_teardown(a_message_comes_as_it_was_sent_and_is_acknowledged, begin, end),
        cmocka_unit_test_setup_teardown(a_connection_that_ends_is_told_with_acknowledgements_before_it, begin, end),
        cmocka_unit_test_setup_teardown(a_reset_ends_a_connection, begin, end),
        cmocka_unit_test_setup_teardown(a_close_says_goodbye_and_nothing_follows_it, begin, end),
        cmocka_unit_test_setup_teardown(without_a_network_there_is_no_goodbye, begin, end),
        cmocka_unit_test_setup_teardown(a_new_connection_knows_nothing_of_the_former, begin, end),
        cmocka_unit_test_setup_teardown(of_two_addresses_the_second_is_tried_when_the_first_says_nothing, begin, end),
        cmocka_unit_test_setup_teardown(where_nobody_listens_it_fails_and_begins_with_the_next_address_then, begin,
                                        end),
        cmocka_unit_test_setup_teardown(an_address_that_leads_nowhere_is_given_up_in_time, begin, end),
        cmocka_unit_test_setup_teardown(without_credentials_there_is_no_tls, begin, end),
        cmocka_unit_test_setup_teardown(a_name_that_is_none_is_a_matter_of_dns, begin, end),
        cmocka_unit_test_setup_teardown(a_silent_broker_costs_no_more_than_keep_alive_allows, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
