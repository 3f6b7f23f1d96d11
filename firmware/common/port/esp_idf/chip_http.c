#include "chip_http.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "../../core/bounds.h"
#include "../../core/est.h"
#include "chip_clock.h"
#include "chip_events.h"
#include "chip_identity.h"
#include "chip_log.h"
#include "chip_tls.h"
#include "esp_http_client.h"
#include "esp_tls_errors.h"
#include "freertos/FreeRTOS.h"
#include "freertos/semphr.h"
#include "freertos/task.h"
#include "mbedtls/platform_util.h"

#define STACK_BYTES 6144    /* a handshake on P-256, as the MQTT client's task has it */
#define PRIORITY 3          /* below those of MQTT: what was measured goes first */
#define STEP_MAX_MS 15000   /* of a connection: name and TCP, a read of the handshake, a write */
#define SILENCE_MAX_MS 1000 /* without a byte so long, and it looks whether it may go on */
#define POST_AGAIN_MS 20
#define SENT_BUFFER_BYTES 1024 /* the first line of a request, and each line of its head */
#define CAME_BUFFER_BYTES 2048
#define RANGE_MAX_BYTES 24
#define NO_SOCKET (-1)

static const char *TAG = "http";

/* A request, and how far it is. From the heap while it runs: devices ask for minutes in a day. */
typedef struct {
    uint32_t turn;
    http_request_t request; /* its texts are here: */
    char url[HTTP_URL_MAX_CHARS + 1], etag[HTTP_ETAG_MAX_CHARS + 1];
    char host[CONFIG_HOST_MAX_CHARS + 1];
    const char *path;
    uint16_t port;

    esp_http_client_handle_t client;
    http_answer_t answer;
    bool has_range;
    uint32_t range_from_bytes;
    int64_t range_whole_bytes;
    http_end_t end;
    failure_t failure;
    uint64_t began_ms, looked_ms;
    uint32_t lately_bytes; /* since it was looked at */
    uint64_t came_bytes;
    uint8_t piece[HTTP_CHUNK_MAX_BYTES];
    char body[]; /* that is sent */
} transfer_t;

/* Of the device's task: counted up by begin() and cancel(). Others look. */
static atomic_uint s_turn;

static SemaphoreHandle_t s_lock;
static StaticSemaphore_t s_lock_memory;
/* Under the lock: */
static transfer_t *s_wanted; /* the next one; the task takes it */
static bool s_running;       /* there is a task: */
static TaskHandle_t s_task;
static int s_socket = NO_SOCKET; /* of the transfer that runs */

static atomic_bool s_used; /* what was handed out last */

static void lock(void)
{
    (void)xSemaphoreTake(s_lock, portMAX_DELAY);
}

static void unlock(void)
{
    (void)xSemaphoreGive(s_lock);
}

static uint64_t now_ms(void)
{
    return chip_clock.since_boot_ms(chip_clock.ctx);
}

static bool is_current(const transfer_t *transfer)
{
    return transfer->turn == atomic_load(&s_turn);
}

/* Whatever waits for its bytes comes back at once. */
static void cut(void)
{
    lock();
    if (s_socket != NO_SOCKET) {
        (void)shutdown(s_socket, SHUT_RDWR);
    }
    unlock();
}

/* False: it was cancelled, or takes too long. */
static bool may_go_on(transfer_t *transfer)
{
    const uint64_t now = now_ms();
    if (transfer->end == HTTP_CUT && now - transfer->began_ms >= transfer->request.limit_ms) {
        transfer->end = HTTP_TOO_SLOW;
    }
    if (transfer->end == HTTP_CUT && now - transfer->looked_ms >= HTTP_SLOW_S * 1000) {
        transfer->end = transfer->lately_bytes < HTTP_SLOW_S * HTTP_SLOW_BYTES_PER_S ? HTTP_TOO_SLOW : HTTP_CUT;
        transfer->looked_ms = now;
        transfer->lately_bytes = 0;
    }
    return transfer->end == HTTP_CUT && is_current(transfer);
}

static void take_header(transfer_t *transfer, const char *key, const char *value)
{
    if (strcasecmp(key, "ETag") == 0 && strlen(value) < sizeof(transfer->answer.etag)) {
        (void)snprintf(transfer->answer.etag, sizeof(transfer->answer.etag), "%s", value);
    } else if (strcasecmp(key, "Retry-After") == 0) {
        transfer->answer.retry_after_s = est_retry_after_s(value);
    } else if (strcasecmp(key, "Content-Range") == 0) {
        transfer->has_range = http_read_range(value, &transfer->range_from_bytes, &transfer->range_whole_bytes);
    }
}

static esp_err_t on_http(esp_http_client_event_t *event)
{
    transfer_t *transfer = event->user_data;
    if (event->event_id == HTTP_EVENT_ON_HEADER) {
        take_header(transfer, event->header_key, event->header_value);
    } else if (event->event_id == HTTP_EVENT_ON_DATA) {
        transfer->lately_bytes += (uint32_t)event->data_len;
    } else {
        return ESP_OK;
    }
    /* The client itself comes back only with all that it was asked for, however slowly that drips. */
    if (!may_go_on(transfer)) {
        cut();
    }
    return ESP_OK;
}

static bool post(const transfer_t *transfer, const event_t *event)
{
    while (is_current(transfer)) {
        if (chip_events_post_of(transfer->turn, event)) {
            return true;
        }
        vTaskDelay(pdMS_TO_TICKS(POST_AGAIN_MS)); /* the core waits for this one */
    }
    return false;
}

/* Waits until the device has done with it. False: it wants nothing more of this request. */
static bool hand_out(const transfer_t *transfer, const event_t *event)
{
    atomic_store(&s_used, false);
    if (!post(transfer, event)) {
        return false;
    }
    while (is_current(transfer) && !atomic_load(&s_used)) {
        (void)ulTaskNotifyTake(pdTRUE, portMAX_DELAY);
    }
    return is_current(transfer);
}

static bool set_headers(const transfer_t *transfer, esp_http_client_handle_t client)
{
    const http_request_t *request = &transfer->request;
    char text[CONFIG_HOST_MAX_CHARS + sizeof("[]:65535")];
    bool good = true;
    if (strchr(transfer->host, ':') != NULL) { /* of IPv6; the client does not bracket it */
        (void)snprintf(text, sizeof(text), "[%s]:%u", transfer->host, (unsigned)transfer->port);
        good = esp_http_client_set_header(client, "Host", text) == ESP_OK;
    }
    if (good && request->from_bytes > 0) {
        (void)snprintf(text, sizeof(text), "bytes=%lu-", (unsigned long)request->from_bytes);
        good = esp_http_client_set_header(client, "Range", text) == ESP_OK;
    }
    if (good && request->etag[0] != '\0') {
        good = esp_http_client_set_header(client, request->from_bytes > 0 ? "If-Range" : "If-None-Match",
                                          request->etag) == ESP_OK;
    }
    if (good && request->body != NULL) {
        good = esp_http_client_set_header(client, "Content-Type", "application/json") == ESP_OK;
    }
    return good;
}

static failure_t failure_of(esp_err_t error)
{
    switch (error) {
    case ESP_ERR_ESP_TLS_CANNOT_RESOLVE_HOSTNAME:
        return FAILURE_DNS;
    case ESP_ERR_MBEDTLS_X509_CRT_PARSE_FAILED:
    case ESP_ERR_MBEDTLS_PK_PARSE_KEY_FAILED:
    case ESP_ERR_MBEDTLS_SSL_CONF_OWN_CERT_FAILED:
        return FAILURE_CREDENTIALS;
    case ESP_ERR_MBEDTLS_SSL_HANDSHAKE_FAILED:
    case ESP_ERR_MBEDTLS_SSL_SETUP_FAILED:
        return FAILURE_TLS_OTHER;
    default: /* refused, no route, reset; there are many more of them */
        return FAILURE_TCP;
    }
}

static esp_http_client_handle_t make_client(transfer_t *transfer, const chip_pair_t *pair)
{
    const esp_http_client_config_t config = {
        .host = transfer->host, /* apart, as this device reads an address, and not as somebody else does */
        .port = transfer->port,
        .path = transfer->path,
        .transport_type = HTTP_TRANSPORT_OVER_SSL,
        .method = transfer->request.body != NULL ? HTTP_METHOD_POST : HTTP_METHOD_GET,
        .crt_bundle_attach = chip_tls_attach,
        .client_cert_pem = pair->certificate,
        .client_key_pem = pair->key,
        .timeout_ms = STEP_MAX_MS,
        .buffer_size = CAME_BUFFER_BYTES,
        .buffer_size_tx = SENT_BUFFER_BYTES,
        .event_handler = on_http,
        .user_data = transfer,
        .disable_auto_redirect = true, /* a redirect would show our certificate to somebody who was not configured */
    };
    return esp_http_client_init(&config);
}

static bool open_client(transfer_t *transfer, const chip_pair_t *pair)
{
    const http_request_t *request = &transfer->request;
    transfer->client = make_client(transfer, pair);
    if (transfer->client == NULL || !set_headers(transfer, transfer->client)) {
        return false; /* no memory */
    }
    if (esp_http_client_open(transfer->client, request->body_len_bytes) == ESP_OK) {
        return true;
    }
    transfer->failure = failure_of(esp_http_client_get_and_clear_last_tls_error(transfer->client, NULL, NULL));
    return false;
}

/* The key is in memory no longer than until the handshake is over. */
static bool connect_to_server(transfer_t *transfer)
{
    chip_pair_t *pair = malloc(sizeof(*pair));
    bool connected = false;
    if (pair == NULL) {
        return false;
    }
    if (!chip_identity_copy(pair)) {
        transfer->failure = FAILURE_CREDENTIALS;
    } else {
        connected = open_client(transfer, pair);
    }
    mbedtls_platform_zeroize(pair, sizeof(*pair));
    free(pair);
    if (connected) {
        lock();
        s_socket = esp_http_client_get_socket(transfer->client);
        unlock();
    }
    return connected;
}

static bool send_body(const transfer_t *transfer)
{
    const http_request_t *request = &transfer->request;
    return request->body == NULL ||
           esp_http_client_write(transfer->client, request->body, request->body_len_bytes) == request->body_len_bytes;
}

static bool fetch_head(transfer_t *transfer)
{
    int64_t fetched = -ESP_ERR_HTTP_EAGAIN;
    (void)esp_http_client_set_timeout_ms(transfer->client, SILENCE_MAX_MS);
    while (fetched == -ESP_ERR_HTTP_EAGAIN && may_go_on(transfer)) {
        fetched = esp_http_client_fetch_headers(transfer->client);
    }
    return fetched >= 0 && may_go_on(transfer);
}

static bool tell_answer(transfer_t *transfer)
{
    http_answer_t *answer = &transfer->answer;
    answer->number = transfer->request.number;
    answer->status = (uint16_t)esp_http_client_get_status_code(transfer->client);
    answer->whole_bytes = -1;
    if (answer->status == HttpStatus_PartialContent && transfer->has_range) {
        answer->from_bytes = transfer->range_from_bytes;
        answer->whole_bytes = transfer->range_whole_bytes;
    } else if (answer->status == HttpStatus_Ok) {
        answer->whole_bytes = esp_http_client_get_content_length(transfer->client);
    }
    const event_t event = {.type = EVENT_HTTP_ANSWER, .http_answer = answer};
    return hand_out(transfer, &event);
}

static bool tell_piece(transfer_t *transfer, size_t len_bytes)
{
    event_t event = {.type = EVENT_HTTP_PIECE};
    event.http_piece.number = transfer->request.number;
    event.http_piece.bytes = transfer->piece;
    event.http_piece.len_bytes = len_bytes;
    return hand_out(transfer, &event);
}

/* Each time as much as a piece holds, or what came until the server fell silent. */
static http_end_t fetch_body(transfer_t *transfer)
{
    while (may_go_on(transfer)) {
        const int len = esp_http_client_read(transfer->client, (char *)transfer->piece, (int)sizeof(transfer->piece));
        if (len == -ESP_ERR_HTTP_EAGAIN) {
            continue;
        }
        if (len < 0) {
            break;
        }
        if (len == 0) {
            return esp_http_client_is_complete_data_received(transfer->client) ? HTTP_WHOLE : transfer->end;
        }
        transfer->came_bytes += (uint64_t)len;
        if (transfer->came_bytes > transfer->request.max_bytes) {
            return HTTP_TOO_LONG;
        }
        if (!tell_piece(transfer, (size_t)len)) {
            break;
        }
    }
    return transfer->end;
}

static bool has_body(const http_answer_t *answer)
{
    return answer->status == HttpStatus_Ok || answer->status == HttpStatus_PartialContent;
}

static http_end_t exchange(transfer_t *transfer)
{
    if (!connect_to_server(transfer)) {
        chip_log.write(NULL, LOG_WARNING, TAG,
                       "The firmware server can't be reached, or is none that this device trusts.");
        return transfer->end;
    }
    transfer->failure = FAILURE_CLOSED;
    if (!send_body(transfer) || !fetch_head(transfer) || !tell_answer(transfer)) {
        return transfer->end;
    }
    /* What other answers say in their bodies nobody reads: it is not fetched. */
    return has_body(&transfer->answer) ? fetch_body(transfer) : HTTP_WHOLE;
}

static void end_client(transfer_t *transfer)
{
    lock();
    s_socket = NO_SOCKET; /* before its number can be another's */
    unlock();
    if (transfer->client != NULL) {
        (void)esp_http_client_cleanup(transfer->client);
    }
}

static void run_transfer(transfer_t *transfer)
{
    event_t event = {.type = EVENT_HTTP_END};
    transfer->began_ms = transfer->looked_ms = now_ms();
    transfer->end = HTTP_CUT; /* until it is something else */
    transfer->failure = FAILURE_TCP;
    event.http_end.number = transfer->request.number;
    event.http_end.end = exchange(transfer);
    event.http_end.failure = event.http_end.end == HTTP_CUT ? transfer->failure : FAILURE_NONE;
    end_client(transfer);
    (void)post(transfer, &event);
}

static transfer_t *take_wanted(void)
{
    lock();
    transfer_t *transfer = s_wanted;
    s_wanted = NULL;
    s_running = transfer != NULL; /* begin() makes another task from here on */
    unlock();
    return transfer;
}

static void run(void *ctx)
{
    (void)ctx;
    for (transfer_t *transfer; (transfer = take_wanted()) != NULL;) {
        if (is_current(transfer)) {
            run_transfer(transfer);
        }
        free(transfer);
    }
    vTaskDelete(NULL);
}

static void copy_text(char *out, size_t cap_bytes, const char *text)
{
    (void)snprintf(out, cap_bytes, "%s", text);
}

/* NULL: there is no memory, or the address is none. */
static transfer_t *make_transfer(const http_request_t *request)
{
    transfer_t *transfer = calloc(1, sizeof(*transfer) + request->body_len_bytes + 1);
    if (transfer == NULL || strlen(request->url) >= sizeof(transfer->url) ||
        strlen(request->etag) >= sizeof(transfer->etag)) {
        free(transfer);
        return NULL;
    }
    transfer->request = *request;
    copy_text(transfer->url, sizeof(transfer->url), request->url);
    copy_text(transfer->etag, sizeof(transfer->etag), request->etag);
    transfer->request.url = transfer->url;
    transfer->request.etag = transfer->etag;
    if (request->body != NULL) {
        memcpy(transfer->body, request->body, request->body_len_bytes);
        transfer->request.body = transfer->body;
    } else {
        transfer->request.body_len_bytes = 0;
    }
    if (!http_split_url(transfer->url, transfer->host, sizeof(transfer->host), &transfer->port, &transfer->path)) {
        free(transfer);
        return NULL;
    }
    return transfer;
}

/* Whatever runs or waits is of the past. */
static void forget(void)
{
    (void)atomic_fetch_add(&s_turn, 1);
    lock();
    transfer_t *waiting = s_wanted;
    s_wanted = NULL;
    if (s_running) {
        (void)xTaskNotifyGive(s_task);
    }
    unlock();
    free(waiting);
    cut();
}

static void cancel(void *ctx)
{
    (void)ctx;
    forget();
}

/* Under the lock. A task that is still busy with the end of another request takes it next. */
static bool have_task(void)
{
    if (!s_running) {
        s_running = xTaskCreate(run, "http", STACK_BYTES, NULL, PRIORITY, &s_task) == pdPASS;
    }
    return s_running;
}

static bool begin(void *ctx, const http_request_t *request)
{
    (void)ctx;
    forget();
    transfer_t *transfer = make_transfer(request);
    if (transfer == NULL) {
        return false;
    }
    transfer->turn = atomic_load(&s_turn);
    lock();
    s_wanted = transfer;
    const bool taken = have_task();
    if (!taken) {
        s_wanted = NULL;
    }
    unlock();
    if (!taken) {
        free(transfer);
    }
    return taken;
}

bool chip_http_accepts(uint32_t request, event_t *event)
{
    (void)event;
    return request == atomic_load(&s_turn);
}

void chip_http_used(uint32_t request)
{
    if (request != atomic_load(&s_turn)) {
        return;
    }
    atomic_store(&s_used, true);
    lock();
    if (s_running) {
        (void)xTaskNotifyGive(s_task);
    }
    unlock();
}

void chip_http_init(port_http_t *port)
{
    s_lock = xSemaphoreCreateMutexStatic(&s_lock_memory);
    *port = (port_http_t){.begin = begin, .cancel = cancel};
}
