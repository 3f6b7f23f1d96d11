#include "posix_curl.h"

#include <openssl/err.h>
#include <stdio.h>
#include <string.h>

#define LOOK_AGAIN_MS 1000

/* Whom we show our certificate to is no accident. */
static bool read_host(posix_curl_t *curl, const char *url, bool whole_path)
{
    CURLU *parts = curl_url();
    char *host = NULL, *path = NULL, *user = NULL;
    bool good = parts != NULL && strncmp(url, "https://", strlen("https://")) == 0 &&
                curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK &&
                curl_url_get(parts, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
                curl_url_get(parts, CURLUPART_PATH, &path, 0) == CURLUE_OK && (whole_path || strcmp(path, "/") == 0) &&
                curl_url_get(parts, CURLUPART_USER, &user, 0) == CURLUE_NO_USER;
    if (good) {
        size_t len = strlen(host);
        bool bracketed = host[0] == '[' && len > 2; /* of IPv6 */
        int written = snprintf(curl->host, sizeof(curl->host), "%.*s", (int)(bracketed ? len - 2 : len),
                               bracketed ? host + 1 : host);
        good = written > 0 && (size_t)written < sizeof(curl->host);
    }
    curl_free(host);
    curl_free(path);
    curl_free(user);
    curl_url_cleanup(parts);
    return good;
}

static CURLcode on_context(CURL *easy, void *context, void *ctx)
{
    (void)easy;
    posix_curl_t *curl = ctx;
    curl->options.host = curl->host;
    bool good = posix_tls_configure(context, &curl->options, &curl->tls);
    ERR_clear_error();
    return good ? CURLE_OK : CURLE_SSL_CERTPROBLEM;
}

bool posix_curl_prepare(posix_curl_t *curl, CURL *easy, const char *url, bool whole_path,
                        const posix_tls_options_t *options)
{
    *curl = (posix_curl_t){.options = *options, .tls = {.alert = -1, .version = ""}};
    return read_host(curl, url, whole_path) && curl_easy_setopt(easy, CURLOPT_URL, url) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "https") == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_PROXY, "") == CURLE_OK && /* whatever the host's environment says */
           curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           /* A look-up that hangs goes on by itself: to free what is around it would wait for it. */
           curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)POSIX_CURL_CONNECT_TIMEOUT_MS) == CURLE_OK &&
           /* Nobody of the system's list is trusted, nor is it read. */
           curl_easy_setopt(easy, CURLOPT_CAINFO, NULL) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_CAPATH, NULL) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, on_context) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_SSL_CTX_DATA, curl) == CURLE_OK;
}

void posix_curl_watch(CURLM *multi, posix_watch_t *watch)
{
    fd_set readable, writable, broken;
    FD_ZERO(&readable);
    FD_ZERO(&writable);
    FD_ZERO(&broken);
    int most = -1;
    long timeout_ms = -1;
    curl_multi_fdset(multi, &readable, &writable, &broken, &most);
    curl_multi_timeout(multi, &timeout_ms);
    for (int fd = 0; fd <= most; fd++) {
        short events = (short)((FD_ISSET(fd, &readable) ? POLLIN : 0) | (FD_ISSET(fd, &writable) ? POLLOUT : 0));
        if (events != 0) {
            posix_watch_add(watch, fd, events);
        }
    }
    /* While it resolves a name there is nothing to wait for: curl_multi_fdset(3) says to look again soon. */
    uint64_t at_most_ms = most < 0 ? POSIX_WATCH_CROWDED_MS : LOOK_AGAIN_MS;
    posix_watch_within(watch, timeout_ms >= 0 && (uint64_t)timeout_ms < at_most_ms ? (uint64_t)timeout_ms : at_most_ms);
}

const char *posix_curl_why(const posix_curl_t *curl, CURLcode result)
{
    const char *tls_why = posix_tls_why(&curl->tls);
    return tls_why[0] != '\0' ? tls_why : curl_easy_strerror(result);
}

failure_t posix_curl_failure(const posix_curl_t *curl, CURLcode result)
{
    failure_t failure = posix_tls_failure(&curl->tls);
    if (failure != FAILURE_NONE) {
        return failure;
    }
    switch (result) {
    case CURLE_COULDNT_RESOLVE_HOST:
        return FAILURE_DNS;
    case CURLE_COULDNT_CONNECT:
        return FAILURE_TCP;
    case CURLE_OPERATION_TIMEDOUT:
        return FAILURE_TIMEOUT;
    case CURLE_SSL_CERTPROBLEM:
        return FAILURE_CREDENTIALS;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
        return FAILURE_TLS_OTHER;
    default: /* of a hundred: it was cut in one way or another */
        return FAILURE_CLOSED;
    }
}
