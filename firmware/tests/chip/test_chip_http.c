/* Requests to the firmware server. ESP-IDF's client is played, and so is the device: it is done with an event when the
 * task waits for that. */
#include "chip_http.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "chip_clock.h"
#include "chip_events.h"
#include "chip_identity.h"
#include "chip_log.h"
#include "chip_tls.h"
#include "esp_http_client.h"
#include "esp_tls_errors.h"
#include "freertos/semphr.h"
#include "freertos/task.h"
#include "mbedtls/platform_util.h"

#define SOCKET 5
#define URL "https://server:8070/ota/v1/artifacts/0a.bin"
#define SILENT (-ESP_ERR_HTTP_EAGAIN)

static port_http_t s_http;
static uint64_t s_now_ms;

/* The server */
static struct {
    esp_err_t open, why;
    int silent_heads; /* so many looks for a head find none */
    const char *headers[8];
    int status;
    int64_t content_length;
    int steps[8]; /* what each read brings: bytes, SILENT, ESP_FAIL */
    int step_count, ms_per_byte, ms_per_silence;
    int fast_steps; /* before it drips */
    bool is_whole;
} s_server;
static esp_http_client_config_t s_config; /* its texts are gone with the transfer: */
static char s_host[64], s_path[64];
static int s_inits;
static char s_sent_headers[512], s_sent_body[64];
static int s_opened_with, s_reads, s_timeout_ms;
static bool s_shut, s_cleaned, s_pair_is_gone;

/* The device */
static void (*s_device)(void);
static uint32_t s_last_of;
static int s_full_for;
static char s_told[512]; /* a letter an event: A, P, E */
static http_answer_t s_answer;
static uint8_t s_body[16384];
static size_t s_body_len;
static http_end_t s_end;
static failure_t s_failure;

/* FreeRTOS */
static void (*s_code)(void *);
static bool s_locked, s_has_memory;
static int s_tasks, s_used;

static uint64_t since_boot_ms(void *ctx)
{
    (void)ctx;
    return s_now_ms;
}

const port_clock_t chip_clock = {.since_boot_ms = since_boot_ms};

static void say_nothing(void *ctx, log_level_t level, const char *tag, const char *text)
{
    (void)ctx, (void)level, (void)tag, (void)text;
}

const port_log_t chip_log = {.write = say_nothing};

SemaphoreHandle_t xSemaphoreCreateMutexStatic(StaticSemaphore_t *memory)
{
    return (SemaphoreHandle_t)(uintptr_t)memory;
}

BaseType_t xSemaphoreTake(SemaphoreHandle_t semaphore, TickType_t wait)
{
    (void)semaphore, (void)wait;
    assert_false(s_locked);
    s_locked = true;
    return pdTRUE;
}

BaseType_t xSemaphoreGive(SemaphoreHandle_t semaphore)
{
    (void)semaphore;
    assert_true(s_locked);
    s_locked = false;
    return pdTRUE;
}

BaseType_t xTaskCreate(TaskFunction_t code, const char *name, uint32_t stack_bytes, void *arg, UBaseType_t priority,
                       TaskHandle_t *out)
{
    (void)name, (void)stack_bytes, (void)arg, (void)priority;
    s_code = code;
    *out = (TaskHandle_t)(uintptr_t)&s_code;
    s_tasks += s_has_memory ? 1 : 0;
    return s_has_memory ? pdPASS : 0;
}

void vTaskDelete(TaskHandle_t task)
{
    assert_null(task);
    assert_false(s_locked);
}

void vTaskDelay(TickType_t ticks)
{
    assert_false(s_locked);
    s_now_ms += (uint64_t)ticks * 10;
}

BaseType_t xTaskNotifyGive(TaskHandle_t task)
{
    assert_ptr_equal(task, &s_code);
    return pdTRUE;
}

uint32_t ulTaskNotifyTake(BaseType_t clear, TickType_t wait)
{
    (void)clear, (void)wait;
    assert_false(s_locked);
    s_device();
    return 1;
}

static void device_is_done(void)
{
    chip_http_used(s_last_of);
    s_used++;
}

bool chip_events_post_of(uint32_t of, const event_t *event)
{
    event_t copy = *event;
    assert_false(s_locked);
    if (s_full_for > 0) {
        s_full_for--;
        return false;
    }
    assert_true(chip_http_accepts(of, &copy));
    s_last_of = of;
    switch (event->type) {
    case EVENT_HTTP_ANSWER:
        s_answer = *event->http_answer;
        strcat(s_told, "A");
        break;
    case EVENT_HTTP_PIECE:
        assert_true(s_body_len + event->http_piece.len_bytes <= sizeof(s_body));
        memcpy(s_body + s_body_len, event->http_piece.bytes, event->http_piece.len_bytes);
        s_body_len += event->http_piece.len_bytes;
        assert_int_equal(event->http_piece.number, 9);
        strcat(s_told, "P");
        break;
    case EVENT_HTTP_END:
        assert_true(s_cleaned || s_inits == 0); /* a connection less before the device may want another */
        s_end = event->http_end.end;
        s_failure = event->http_end.failure;
        assert_int_equal(event->http_end.number, 9);
        strcat(s_told, "E");
        break;
    default:
        fail();
    }
    return true;
}

static bool s_has_pair;

bool chip_identity_copy(chip_pair_t *out)
{
    (void)snprintf(out->key, sizeof(out->key), "key");
    (void)snprintf(out->certificate, sizeof(out->certificate), "certificate");
    return s_has_pair;
}

void mbedtls_platform_zeroize(void *buf, size_t len)
{
    memset(buf, 0, len);
    s_pair_is_gone = len >= sizeof(chip_pair_t);
}

esp_err_t chip_tls_attach(void *config)
{
    (void)config;
    return ESP_OK;
}

int shutdown(int fd, int how)
{
    assert_int_equal(fd, SOCKET);
    assert_int_equal(how, SHUT_RDWR);
    s_shut = true;
    return 0;
}

esp_http_client_handle_t esp_http_client_init(const esp_http_client_config_t *config)
{
    s_config = *config;
    s_inits++;
    (void)snprintf(s_host, sizeof(s_host), "%s", config->host);
    (void)snprintf(s_path, sizeof(s_path), "%s", config->path);
    assert_string_equal(config->client_key_pem, "key");
    assert_string_equal(config->client_cert_pem, "certificate");
    return (esp_http_client_handle_t)(uintptr_t)&s_config;
}

esp_err_t esp_http_client_set_header(esp_http_client_handle_t client, const char *key, const char *value)
{
    (void)client;
    const size_t len = strlen(s_sent_headers);
    (void)snprintf(s_sent_headers + len, sizeof(s_sent_headers) - len, "%s: %s\n", key, value);
    return ESP_OK;
}

esp_err_t esp_http_client_open(esp_http_client_handle_t client, int write_len)
{
    (void)client;
    assert_false(s_locked);
    s_opened_with = write_len;
    return s_server.open;
}

esp_err_t esp_http_client_get_and_clear_last_tls_error(esp_http_client_handle_t client, int *code, int *flags)
{
    (void)client, (void)code, (void)flags;
    return s_server.why;
}

int esp_http_client_get_socket(esp_http_client_handle_t client)
{
    (void)client;
    return SOCKET;
}

esp_err_t esp_http_client_set_timeout_ms(esp_http_client_handle_t client, int timeout_ms)
{
    (void)client;
    s_timeout_ms = timeout_ms;
    return ESP_OK;
}

int esp_http_client_write(esp_http_client_handle_t client, const char *buffer, int len)
{
    (void)client;
    (void)snprintf(s_sent_body, sizeof(s_sent_body), "%.*s", len, buffer);
    return len;
}

static void happens(esp_http_client_event_id_t id, char *key, char *value, int len)
{
    esp_http_client_event_t event = {
        .event_id = id, .user_data = s_config.user_data, .header_key = key, .header_value = value, .data_len = len};
    assert_int_equal(s_config.event_handler(&event), ESP_OK);
}

int64_t esp_http_client_fetch_headers(esp_http_client_handle_t client)
{
    (void)client;
    assert_true(s_pair_is_gone);
    if (s_shut) {
        return ESP_FAIL;
    }
    if (s_server.silent_heads > 0) {
        s_server.silent_heads--;
        s_now_ms += (uint64_t)s_timeout_ms;
        return SILENT;
    }
    for (size_t i = 0; i + 1 < sizeof(s_server.headers) / sizeof(s_server.headers[0]); i += 2) {
        char key[32], value[256];
        if (s_server.headers[i] != NULL) {
            (void)snprintf(key, sizeof(key), "%s", s_server.headers[i]);
            (void)snprintf(value, sizeof(value), "%s", s_server.headers[i + 1]);
            happens(HTTP_EVENT_ON_HEADER, key, value, 0);
        }
    }
    return s_server.content_length > 0 ? s_server.content_length : 0;
}

int esp_http_client_get_status_code(esp_http_client_handle_t client)
{
    (void)client;
    return s_server.status;
}

int64_t esp_http_client_get_content_length(esp_http_client_handle_t client)
{
    (void)client;
    return s_server.content_length;
}

/* As the client does: it comes back with all that it was asked for, with what there is when the server falls silent, or
 * at the end. */
int esp_http_client_read(esp_http_client_handle_t client, char *buffer, int len)
{
    (void)client;
    assert_false(s_locked);
    if (s_reads == s_server.step_count) {
        return 0;
    }
    const int step = s_server.steps[s_reads++];
    if (step == SILENT) {
        s_now_ms += (uint64_t)(s_server.ms_per_silence > 0 ? s_server.ms_per_silence : s_timeout_ms);
    }
    if (step < 0) {
        return step;
    }
    assert_true(step <= len);
    int done = 0;
    while (done < step && !s_shut) {
        const bool drips = s_server.ms_per_byte > 0 && s_reads > s_server.fast_steps;
        const int piece = drips ? 1 : step - done;
        memset(buffer + done, 'a' + s_reads, (size_t)piece);
        s_now_ms += drips ? (uint64_t)s_server.ms_per_byte : 0;
        done += piece;
        happens(HTTP_EVENT_ON_DATA, NULL, NULL, piece);
    }
    return done;
}

bool esp_http_client_is_complete_data_received(esp_http_client_handle_t client)
{
    (void)client;
    return s_server.is_whole;
}

esp_err_t esp_http_client_cleanup(esp_http_client_handle_t client)
{
    (void)client;
    assert_false(s_locked);
    s_cleaned = true;
    return ESP_OK;
}

static int begin(void **state)
{
    (void)state;
    memset(&s_server, 0, sizeof(s_server));
    s_server.status = 200;
    s_server.content_length = -1;
    s_server.is_whole = true;
    s_sent_headers[0] = s_sent_body[0] = s_told[0] = '\0';
    s_reads = s_tasks = s_inits = s_used = s_full_for = 0;
    s_body_len = 0;
    s_shut = s_pair_is_gone = s_locked = false;
    s_cleaned = true; /* of the one before */
    s_has_memory = s_has_pair = true;
    s_device = device_is_done;
    s_answer = (http_answer_t){0};
    s_code = NULL;
    chip_http_init(&s_http);
    return 0;
}

static http_request_t request_of(const char *url)
{
    return (http_request_t){.number = 9, .url = url, .etag = "", .max_bytes = 10000, .limit_ms = 600000};
}

static bool ask(const http_request_t *request)
{
    return s_http.begin(s_http.ctx, request);
}

static void run_task(void)
{
    void (*code)(void *) = s_code;
    s_code = NULL;
    s_cleaned = false;
    code(NULL);
}

static void exchange(void)
{
    const http_request_t request = request_of(URL);
    assert_true(ask(&request));
    run_task();
}

static void brings(int count, const int *steps)
{
    s_server.step_count = count;
    memcpy(s_server.steps, steps, (size_t)count * sizeof(*steps));
}

static void a_request_goes_to_the_server_as_this_device_reads_its_address(void **state)
{
    (void)state;
    exchange();
    assert_string_equal(s_host, "server");
    assert_int_equal(s_config.port, 8070);
    assert_string_equal(s_path, "/ota/v1/artifacts/0a.bin");
    assert_null(s_config.url);
    assert_int_equal(s_config.transport_type, HTTP_TRANSPORT_OVER_SSL);
    assert_int_equal(s_config.method, HTTP_METHOD_GET);
    assert_int_equal(s_opened_with, 0);
    assert_string_equal(s_sent_headers, "");
}

static void it_trusts_the_pinned_authorities_and_follows_no_redirect(void **state)
{
    (void)state;
    s_server.status = 302;
    exchange();
    assert_ptr_equal(s_config.crt_bundle_attach, chip_tls_attach);
    assert_true(s_config.disable_auto_redirect);
    assert_int_equal(s_answer.status, 302);
    assert_string_equal(s_told, "AE");
}

static void an_image_goes_on_where_it_was_left_if_it_is_the_same(void **state)
{
    (void)state;
    http_request_t request = request_of(URL);
    request.from_bytes = 65536;
    request.etag = "\"0a\"";
    assert_true(ask(&request));
    run_task();
    assert_string_equal(s_sent_headers, "Range: bytes=65536-\nIf-Range: \"0a\"\n");
}

static void what_is_there_already_is_named(void **state)
{
    (void)state;
    http_request_t request = request_of(URL);
    request.etag = "\"3\"";
    assert_true(ask(&request));
    run_task();
    assert_string_equal(s_sent_headers, "If-None-Match: \"3\"\n");
}

static void a_report_is_posted(void **state)
{
    (void)state;
    http_request_t request = request_of(URL);
    char body[] = "{\"a\":1}", url[] = URL;
    request.body = body;
    request.body_len_bytes = 7;
    request.url = url;
    s_server.status = 204;
    assert_true(ask(&request));
    memset(body, 'x', sizeof(body)); /* its texts are the asker's, for one step */
    memset(url, 'x', sizeof(url));
    run_task();
    assert_int_equal(s_config.method, HTTP_METHOD_POST);
    assert_string_equal(s_host, "server");
    assert_int_equal(s_opened_with, 7);
    assert_string_equal(s_sent_body, "{\"a\":1}");
    assert_string_equal(s_sent_headers, "Content-Type: application/json\n");
    assert_string_equal(s_told, "AE");
}

static void an_address_of_ipv6_is_bracketed(void **state)
{
    (void)state;
    const http_request_t request = request_of("https://[2001:db8::1]:8070/a");
    assert_true(ask(&request));
    run_task();
    assert_string_equal(s_host, "2001:db8::1");
    assert_string_equal(s_sent_headers, "Host: [2001:db8::1]:8070\n");
}

static void what_is_no_address_of_a_server_is_not_asked(void **state)
{
    (void)state;
    const char *const urls[] = {"http://server:8070/", "https://user@server:8070/", "https://server:8070/a\r\nX: y",
                                ""};
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        const http_request_t request = request_of(urls[i]);
        assert_false(ask(&request));
    }
    assert_int_equal(s_tasks, 0);
}

static void the_head_is_told_as_the_server_says_it(void **state)
{
    (void)state;
    s_server.status = 206;
    s_server.content_length = 35;
    const char *const headers[] = {"content-range", "bytes 65-99/100", "etag", "\"0a\"", "RETRY-AFTER", "7"};
    memcpy(s_server.headers, headers, sizeof(headers));
    exchange();
    assert_int_equal(s_answer.number, 9);
    assert_int_equal(s_answer.status, 206);
    assert_int_equal(s_answer.from_bytes, 65);
    assert_true(s_answer.whole_bytes == 100);
    assert_string_equal(s_answer.etag, "\"0a\"");
    assert_int_equal(s_answer.retry_after_s, 7);
}

static void a_whole_file_is_as_long_as_its_head_says(void **state)
{
    (void)state;
    s_server.content_length = 4096;
    s_server.headers[0] = "Content-Range"; /* has no place there */
    s_server.headers[1] = "bytes 65-99/100";
    exchange();
    assert_int_equal(s_answer.from_bytes, 0);
    assert_true(s_answer.whole_bytes == 4096);
}

static void a_range_or_etag_that_is_none_is_left_out(void **state)
{
    (void)state;
    char etag[HTTP_ETAG_MAX_CHARS + 2];
    memset(etag, 'e', sizeof(etag));
    etag[sizeof(etag) - 1] = '\0';
    s_server.status = 206;
    const char *const headers[] = {"Content-Range", "bytes 99-65/100", "ETag", etag};
    memcpy(s_server.headers, headers, sizeof(headers));
    exchange();
    assert_int_equal(s_answer.from_bytes, 0);
    assert_true(s_answer.whole_bytes == -1);
    assert_string_equal(s_answer.etag, "");
}

static void a_body_comes_in_pieces_and_then_its_end(void **state)
{
    (void)state;
    brings(2, (const int[]){4096, 904});
    exchange();
    assert_string_equal(s_told, "APPE");
    assert_int_equal(s_body_len, 5000);
    assert_int_equal(s_body[0], 'b');
    assert_int_equal(s_body[4999], 'c');
    assert_int_equal(s_end, HTTP_WHOLE);
    assert_true(s_cleaned);
}

static int s_reads_before;

static void device_looks_whether_anything_is_read_meanwhile(void)
{
    if (s_reads_before < 0) {
        s_reads_before = s_reads;
        return; /* it is not done yet, and the task wakes for another reason */
    }
    assert_int_equal(s_reads, s_reads_before);
    s_reads_before = -1;
    device_is_done();
}

static void nothing_is_read_while_the_device_is_busy_with_a_piece(void **state)
{
    (void)state;
    s_reads_before = -1;
    s_device = device_looks_whether_anything_is_read_meanwhile;
    brings(3, (const int[]){4096, 4096, 100});
    exchange();
    assert_string_equal(s_told, "APPPE");
    assert_int_equal(s_used, 4);
}

static void bodies_of_refusals_are_not_fetched(void **state)
{
    (void)state;
    s_server.status = 503;
    brings(1, (const int[]){4096});
    exchange();
    assert_int_equal(s_reads, 0);
    assert_string_equal(s_told, "AE");
    assert_int_equal(s_end, HTTP_WHOLE);
}

static void endless_data_ends_where_it_should(void **state)
{
    (void)state;
    brings(4, (const int[]){4096, 4096, 4096, 4096});
    exchange();
    assert_string_equal(s_told, "APPE");
    assert_int_equal(s_end, HTTP_TOO_LONG);
}

static void a_body_that_ends_early_was_cut(void **state)
{
    (void)state;
    s_server.is_whole = false;
    brings(1, (const int[]){4096});
    exchange();
    assert_int_equal(s_end, HTTP_CUT);
    assert_int_equal(s_failure, FAILURE_CLOSED);
    begin(NULL);
    brings(2, (const int[]){4096, ESP_FAIL});
    exchange();
    assert_string_equal(s_told, "APE");
    assert_int_equal(s_end, HTTP_CUT);
}

static void silence_is_waited_for_and_not_for_ever(void **state)
{
    (void)state;
    brings(4, (const int[]){100, SILENT, SILENT, 100});
    exchange();
    assert_string_equal(s_told, "APPE");
    assert_int_equal(s_end, HTTP_WHOLE);
    begin(NULL);
    s_server.ms_per_silence = 21000;
    brings(4, (const int[]){100, SILENT, SILENT, SILENT});
    exchange();
    assert_string_equal(s_told, "APE");
    assert_int_equal(s_end, HTTP_TOO_SLOW);
}

/* A byte now and then, within what the client takes for one read. */
static void a_slow_drip_is_cut(void **state)
{
    (void)state;
    const uint64_t began_ms = s_now_ms;
    s_server.ms_per_byte = 1000;
    brings(1, (const int[]){4096});
    exchange();
    assert_int_equal(s_end, HTTP_TOO_SLOW);
    assert_in_range(s_now_ms - began_ms, 60000, 62000);
}

static void a_drip_is_cut_also_behind_much_that_came_fast(void **state)
{
    (void)state;
    const uint64_t began_ms = s_now_ms;
    s_server.ms_per_byte = 1000;
    s_server.fast_steps = 1;
    brings(2, (const int[]){4096, 4096});
    exchange();
    assert_int_equal(s_end, HTTP_TOO_SLOW);
    assert_in_range(s_now_ms - began_ms, 60000, 122000);
}

static void a_line_that_is_bad_but_steady_goes_on(void **state)
{
    (void)state;
    s_server.ms_per_byte = 25; /* 40 bytes a second */
    brings(2, (const int[]){4096, 4000});
    exchange();
    assert_int_equal(s_end, HTTP_WHOLE);
    assert_int_equal(s_body_len, 8096);
}

static void what_takes_longer_than_its_limit_is_cut(void **state)
{
    (void)state;
    http_request_t request = request_of(URL);
    request.limit_ms = 30000;
    s_server.ms_per_byte = 10;
    brings(2, (const int[]){4096, 4096});
    assert_true(ask(&request));
    run_task();
    assert_int_equal(s_end, HTTP_TOO_SLOW);
}

static void a_head_that_never_comes_is_given_up(void **state)
{
    (void)state;
    s_server.silent_heads = 1000000;
    exchange();
    assert_string_equal(s_told, "E");
    assert_int_equal(s_end, HTTP_TOO_SLOW);
    assert_true(s_cleaned);
}

static void device_cancels(void)
{
    s_http.cancel(s_http.ctx);
}

static void of_a_request_that_is_cancelled_nothing_follows(void **state)
{
    (void)state;
    event_t event = {.type = EVENT_HTTP_ANSWER};
    s_device = device_cancels;
    brings(2, (const int[]){4096, 904});
    exchange();
    assert_string_equal(s_told, "A");
    assert_true(s_shut && s_cleaned);
    assert_int_equal(s_reads, 0);
    assert_false(chip_http_accepts(s_last_of, &event)); /* also not what waits in the queue */
}

static void a_request_that_was_cancelled_before_its_task_ran_is_not_made(void **state)
{
    (void)state;
    const http_request_t request = request_of(URL);
    assert_true(ask(&request));
    s_http.cancel(s_http.ctx);
    run_task();
    assert_int_equal(s_inits, 0);
    assert_string_equal(s_told, "");
}

static void device_asks_for_something_else(void)
{
    const http_request_t request = request_of("https://other:8070/");
    s_device = device_is_done;
    assert_true(ask(&request));
    s_shut = false;
}

static void the_next_request_waits_for_the_end_of_the_former(void **state)
{
    (void)state;
    s_device = device_asks_for_something_else;
    brings(1, (const int[]){4096});
    exchange();
    assert_string_equal(s_told, "AAPE");
    assert_string_equal(s_path, "/");
    assert_int_equal(s_tasks, 1); /* one connection at a time */
    exchange();
    assert_int_equal(s_tasks, 2);
}

static void a_late_word_that_the_former_is_done_with_does_not_free_the_next(void **state)
{
    (void)state;
    http_request_t request = request_of(URL);
    assert_true(ask(&request));
    run_task();
    const uint32_t former = s_last_of;
    assert_true(ask(&request));
    chip_http_used(former);
    s_used = 0;
    run_task();
    assert_int_equal(s_used, 1);
}

static void its_end_is_told_however_full_the_queue_is(void **state)
{
    (void)state;
    s_full_for = 500;
    exchange();
    assert_string_equal(s_told, "AE");
}

static void without_credentials_nobody_is_asked(void **state)
{
    (void)state;
    s_has_pair = false;
    exchange();
    assert_int_equal(s_inits, 0);
    assert_int_equal(s_end, HTTP_CUT);
    assert_int_equal(s_failure, FAILURE_CREDENTIALS);
    assert_true(s_pair_is_gone);
}

static void without_memory_for_a_task_it_can_not_begin(void **state)
{
    (void)state;
    const http_request_t request = request_of(URL);
    s_has_memory = false;
    assert_false(ask(&request));
    s_has_memory = true;
    exchange();
    assert_string_equal(s_told, "AE");
}

static void failures_are_told_apart(void **state)
{
    (void)state;
    static const struct {
        esp_err_t why;
        failure_t failure;
    } ROWS[] = {
        {ESP_ERR_ESP_TLS_CANNOT_RESOLVE_HOSTNAME, FAILURE_DNS},
        {ESP_ERR_MBEDTLS_SSL_HANDSHAKE_FAILED, FAILURE_TLS_OTHER},
        {ESP_ERR_MBEDTLS_PK_PARSE_KEY_FAILED, FAILURE_CREDENTIALS},
        {ESP_FAIL, FAILURE_TCP},
    };
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        begin(NULL);
        s_server.open = ESP_FAIL;
        s_server.why = ROWS[i].why;
        exchange();
        assert_string_equal(s_told, "E");
        assert_int_equal(s_end, HTTP_CUT);
        assert_int_equal(s_failure, ROWS[i].failure);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_request_goes_to_the_server_as_this_device_reads_its_address, begin),
        cmocka_unit_test_setup(it_trusts_the_pinned_authorities_and_follows_no_redirect, begin),
        cmocka_unit_test_setup(an_image_goes_on_where_it_was_left_if_it_is_the_same, begin),
        cmocka_unit_test_setup(what_is_there_already_is_named, begin),
        cmocka_unit_test_setup(a_report_is_posted, begin),
        cmocka_unit_test_setup(an_address_of_ipv6_is_bracketed, begin),
        cmocka_unit_test_setup(what_is_no_address_of_a_server_is_not_asked, begin),
        cmocka_unit_test_setup(the_head_is_told_as_the_server_says_it, begin),
        cmocka_unit_test_setup(a_whole_file_is_as_long_as_its_head_says, begin),
        cmocka_unit_test_setup(a_range_or_etag_that_is_none_is_left_out, begin),
        cmocka_unit_test_setup(a_body_comes_in_pieces_and_then_its_end, begin),
        cmocka_unit_test_setup(nothing_is_read_while_the_device_is_busy_with_a_piece, begin),
        cmocka_unit_test_setup(bodies_of_refusals_are_not_fetched, begin),
        cmocka_unit_test_setup(endless_data_ends_where_it_should, begin),
        cmocka_unit_test_setup(a_body_that_ends_early_was_cut, begin),
        cmocka_unit_test_setup(silence_is_waited_for_and_not_for_ever, begin),
        cmocka_unit_test_setup(a_slow_drip_is_cut, begin),
        cmocka_unit_test_setup(a_drip_is_cut_also_behind_much_that_came_fast, begin),
        cmocka_unit_test_setup(a_line_that_is_bad_but_steady_goes_on, begin),
        cmocka_unit_test_setup(what_takes_longer_than_its_limit_is_cut, begin),
        cmocka_unit_test_setup(a_head_that_never_comes_is_given_up, begin),
        cmocka_unit_test_setup(of_a_request_that_is_cancelled_nothing_follows, begin),
        cmocka_unit_test_setup(a_request_that_was_cancelled_before_its_task_ran_is_not_made, begin),
        cmocka_unit_test_setup(the_next_request_waits_for_the_end_of_the_former, begin),
        cmocka_unit_test_setup(a_late_word_that_the_former_is_done_with_does_not_free_the_next, begin),
        cmocka_unit_test_setup(its_end_is_told_however_full_the_queue_is, begin),
        cmocka_unit_test_setup(without_credentials_nobody_is_asked, begin),
        cmocka_unit_test_setup(without_memory_for_a_task_it_can_not_begin, begin),
        cmocka_unit_test_setup(failures_are_told_apart, begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
