#include "posix_http.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../core/est.h"
#include "posix_log.h"

#define HEADER_MAX_BYTES 160
#define OTHER_BODY_MAX_BYTES 65536 /* of an answer that has no body for the device: then it is cut */

static const char *TAG = "http";

struct posix_transfer {
    CURLM *multi;
    CURL *easy;
    struct curl_slist *headers, *via;
    posix_curl_t curl;
    uint16_t number;
    uint32_t max_bytes;
    char *body; /* that is sent */
    uint8_t held[CURL_MAX_WRITE_SIZE];
    size_t held_len, handed_len; /* bytes of it; how many were handed out already */
    uint64_t came_bytes;
    bool paused, has_answer, answer_told, too_long, over;
    http_answer_t answer;
    CURLcode result;
};

static void free_transfer(posix_transfer_t *transfer)
{
    if (transfer == NULL) {
        return;
    }
    if (transfer->multi != NULL && transfer->easy != NULL) {
        curl_multi_remove_handle(transfer->multi, transfer->easy);
    }
    curl_easy_cleanup(transfer->easy);
    curl_multi_cleanup(transfer->multi);
    curl_slist_free_all(transfer->headers);
    curl_slist_free_all(transfer->via);
    free(transfer->body);
    free(transfer);
}

static const char *header(const posix_transfer_t *transfer, const char *name)
{
    struct curl_header *found = NULL;
    return curl_easy_header(transfer->easy, name, 0, CURLH_HEADER, -1, &found) == CURLHE_OK ? found->value : NULL;
}

static void read_answer(posix_transfer_t *transfer)
{
    http_answer_t *answer = &transfer->answer;
    long status = 0;
    curl_off_t len = -1;
    curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(transfer->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &len);
    *answer = (http_answer_t){.number = transfer->number, .status = (uint16_t)status, .whole_bytes = -1};
    const char *range = header(transfer, "Content-Range"), *etag = header(transfer, "ETag");
    const char *retry_after = header(transfer, "Retry-After");
    if (status == 206 && range != NULL) {
        (void)http_read_range(range, &answer->from_bytes, &answer->whole_bytes);
    } else if (status == 200) {
        answer->whole_bytes = len;
    }
    if (etag != NULL && strlen(etag) < sizeof(answer->etag)) {
        strcpy(answer->etag, etag);
    }
    answer->retry_after_s = retry_after != NULL ? est_retry_after_s(retry_after) : 0;
    transfer->has_answer = true;
}

static size_t on_body(char *data, size_t size, size_t count, void *ctx)
{
    posix_transfer_t *transfer = ctx;
    const size_t len = size * count;
    if (!transfer->has_answer) {
        read_answer(transfer);
    }
    const bool is_wanted = transfer->answer.status == 200 || transfer->answer.status == 206;
    const uint64_t most_bytes = is_wanted ? transfer->max_bytes : OTHER_BODY_MAX_BYTES;
    if (transfer->came_bytes + len > most_bytes) {
        transfer->too_long = true;
        return 0; /* ends the transfer */
    }
    if (!is_wanted) {
        transfer->came_bytes += len;
        return len;
    }
    if (transfer->held_len > 0) {
        transfer->paused = true;
        return CURL_WRITEFUNC_PAUSE; /* it comes again */
    }
    memcpy(transfer->held, data, len); /* no more than CURL_MAX_WRITE_SIZE */
    transfer->held_len = len;
    transfer->came_bytes += len;
    return len;
}

static bool add_header(posix_transfer_t *transfer, const char *name, const char *value)
{
    char line[HEADER_MAX_BYTES];
    const int len = snprintf(line, sizeof(line), "%s: %s", name, value);
    struct curl_slist *all = len > 0 && (size_t)len < sizeof(line) ? curl_slist_append(transfer->headers, line) : NULL;
    transfer->headers = all != NULL ? all : transfer->headers;
    return all != NULL;
}

static bool prepare_range(posix_transfer_t *transfer, const http_request_t *request)
{
    char range[16];
    const bool has_etag = request->etag[0] != '\0';
    if (request->from_bytes == 0) {
        return !has_etag || add_header(transfer, "If-None-Match", request->etag);
    }
    (void)snprintf(range, sizeof(range), "%lu-", (unsigned long)request->from_bytes);
    return curl_easy_setopt(transfer->easy, CURLOPT_RANGE, range) == CURLE_OK &&
           (!has_etag || add_header(transfer, "If-Range", request->etag));
}

static bool prepare_body(posix_transfer_t *transfer, const http_request_t *request)
{
    if (request->body == NULL) {
        return true;
    }
    transfer->body = malloc((size_t)request->body_len_bytes + 1);
    if (transfer->body == NULL) {
        return false;
    }
    memcpy(transfer->body, request->body, request->body_len_bytes);
    transfer->body[request->body_len_bytes] = '\0';
    return add_header(transfer, "Content-Type", "application/json") && add_header(transfer, "Expect", "") &&
           curl_easy_setopt(transfer->easy, CURLOPT_POSTFIELDSIZE, (long)request->body_len_bytes) == CURLE_OK &&
           curl_easy_setopt(transfer->easy, CURLOPT_POSTFIELDS, transfer->body) == CURLE_OK;
}

static bool prepare_way(posix_transfer_t *transfer, const char *via)
{
    char line[HEADER_MAX_BYTES];
    if (via == NULL) {
        return true;
    }
    const int len = snprintf(line, sizeof(line), "::%s", via); /* whatever host and port the request names */
    transfer->via = len > 0 && (size_t)len < sizeof(line) ? curl_slist_append(NULL, line) : NULL;
    return transfer->via != NULL && curl_easy_setopt(transfer->easy, CURLOPT_CONNECT_TO, transfer->via) == CURLE_OK;
}

static bool prepare(posix_transfer_t *transfer, const http_request_t *request, const posix_tls_options_t *options,
                    const char *via)
{
    CURL *easy = transfer->easy;
    return posix_curl_prepare(&transfer->curl, easy, request->url, true, options) && prepare_way(transfer, via) &&
           curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)HTTP_CHUNK_MAX_BYTES) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)request->limit_ms) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, (long)HTTP_SLOW_BYTES_PER_S) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, (long)HTTP_SLOW_S) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer) == CURLE_OK && prepare_range(transfer, request) &&
           prepare_body(transfer, request) &&
           (transfer->headers == NULL || curl_easy_setopt(easy, CURLOPT_HTTPHEADER, transfer->headers) == CURLE_OK);
}

static void cancel(void *ctx)
{
    posix_http_t *http = ctx;
    free_transfer(http->transfer);
    http->transfer = NULL;
}

static bool begin(void *ctx, const http_request_t *request)
{
    posix_http_t *http = ctx;
    posix_tls_options_t options = {0};
    cancel(http);
    if (!posix_network_is_up(http->network) || !http->tls_options(http->tls_ctx, &options)) {
        return false;
    }
    posix_transfer_t *transfer = calloc(1, sizeof(*transfer));
    if (transfer == NULL) {
        return false;
    }
    transfer->number = request->number;
    transfer->max_bytes = request->max_bytes;
    transfer->multi = curl_multi_init();
    transfer->easy = curl_easy_init();
    if (transfer->multi == NULL || transfer->easy == NULL || !prepare(transfer, request, &options, http->via) ||
        curl_multi_add_handle(transfer->multi, transfer->easy) != CURLM_OK) {
        free_transfer(transfer);
        return false;
    }
    http->transfer = transfer;
    return true;
}

static void watch(void *ctx, uint64_t now_ms, posix_watch_t *watch)
{
    (void)now_ms;
    const posix_http_t *http = ctx;
    const posix_transfer_t *transfer = http->transfer;
    if (transfer == NULL) {
        return;
    }
    if (transfer->over || transfer->has_answer != transfer->answer_told || transfer->held_len > 0) {
        posix_watch_within(watch, 0);
    } else {
        posix_curl_watch(transfer->multi, watch);
    }
}

/* What was handed out last is done with. */
static void go_on(posix_transfer_t *transfer)
{
    if (transfer->held_len > 0 && transfer->handed_len == transfer->held_len) {
        transfer->held_len = transfer->handed_len = 0;
    }
    if (transfer->paused && transfer->held_len == 0) {
        transfer->paused = false;
        curl_easy_pause(transfer->easy, CURLPAUSE_CONT);
    }
}

static void say_why(const posix_http_t *http, const posix_transfer_t *transfer)
{
    if (transfer->result != CURLE_OK && !transfer->too_long) {
        posix_log(http->log, LOG_WARNING, TAG, "the firmware server: %s",
                  posix_curl_why(&transfer->curl, transfer->result));
    }
}

static void serve(void *ctx, uint64_t now_ms, const posix_watch_t *watch)
{
    (void)now_ms;
    (void)watch;
    posix_http_t *http = ctx;
    posix_transfer_t *transfer = http->transfer;
    int running = 0, left = 0;
    if (transfer == NULL || transfer->over) {
        return;
    }
    go_on(transfer);
    if (!posix_network_is_up(http->network)) {
        transfer->over = true;
        transfer->result = CURLE_RECV_ERROR;
        return;
    }
    if (curl_multi_perform(transfer->multi, &running) != CURLM_OK) {
        transfer->over = true;
        transfer->result = CURLE_FAILED_INIT;
    }
    for (const CURLMsg *news; (news = curl_multi_info_read(transfer->multi, &left)) != NULL;) {
        if (news->msg == CURLMSG_DONE) {
            transfer->over = true;
            transfer->result = news->data.result;
        }
    }
    if (transfer->over) {
        if (!transfer->has_answer && transfer->result == CURLE_OK) {
            read_answer(transfer);
        }
        say_why(http, transfer);
    }
}

static http_end_t end_of(const posix_transfer_t *transfer)
{
    if (transfer->too_long) {
        return HTTP_TOO_LONG;
    }
    if (transfer->result == CURLE_OK) {
        return HTTP_WHOLE;
    }
    return transfer->result == CURLE_OPERATION_TIMEDOUT ? HTTP_TOO_SLOW : HTTP_CUT;
}

static bool take(void *ctx, event_t *out)
{
    posix_http_t *http = ctx;
    posix_transfer_t *transfer = http->transfer;
    if (transfer == NULL) {
        return false;
    }
    if (transfer->has_answer && !transfer->answer_told) {
        transfer->answer_told = true;
        *out = (event_t){.type = EVENT_HTTP_ANSWER, .http_answer = &transfer->answer};
        return true;
    }
    if (transfer->handed_len < transfer->held_len) {
        const size_t left = transfer->held_len - transfer->handed_len;
        const size_t len = left < HTTP_CHUNK_MAX_BYTES ? left : HTTP_CHUNK_MAX_BYTES;
        *out = (event_t){
            .type = EVENT_HTTP_PIECE,
            .http_piece = {transfer->number, transfer->held + transfer->handed_len, len},
        };
        transfer->handed_len += len;
        return true;
    }
    if (!transfer->over) {
        return false;
    }
    *out = (event_t){.type = EVENT_HTTP_END,
                     .http_end = {.number = transfer->number,
                                  .end = end_of(transfer),
                                  .failure = posix_curl_failure(&transfer->curl, transfer->result)}};
    cancel(http);
    return true;
}

void posix_http_init(posix_http_t *http, const port_log_t *log, const posix_network_t *network,
                     bool (*tls_options)(void *ctx, posix_tls_options_t *out), void *tls_ctx)
{
    *http = (posix_http_t){.log = log, .network = network, .tls_options = tls_options, .tls_ctx = tls_ctx};
    http->port = (port_http_t){.ctx = http, .begin = begin, .cancel = cancel};
}

void posix_http_end(posix_http_t *http)
{
    cancel(http);
}

posix_source_t posix_http_source(posix_http_t *http)
{
    return (posix_source_t){.ctx = http, .watch = watch, .serve = serve, .take = take};
}
