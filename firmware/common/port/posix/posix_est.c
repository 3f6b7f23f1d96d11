#include "posix_est.h"

#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "posix_request.h"

#define PATH "/.well-known/est/simplereenroll"
#define SHOWN_MAX_CHARS 140     /* of what a server says when it refuses */
#define CLOCK_TOLERANCE_S 86400 /* a new certificate may begin so much later than our clock says it is */

static posix_est_state_t failed(posix_est_t *est, const char *why)
{
    snprintf(est->why, sizeof(est->why), "%s", why);
    return EST_FAILED;
}

/* https://host[:port] and nothing more: whom we show our certificate to is no accident. */
static bool read_url(posix_est_t *est, const char *url)
{
    CURLU *parts = curl_url();
    char *host = NULL, *path = NULL, *user = NULL;
    bool good = parts != NULL && strncmp(url, "https://", strlen("https://")) == 0 &&
                curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK &&
                curl_url_get(parts, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
                curl_url_get(parts, CURLUPART_PATH, &path, 0) == CURLUE_OK && strcmp(path, "/") == 0 &&
                curl_url_get(parts, CURLUPART_USER, &user, 0) == CURLUE_NO_USER;
    if (good) {
        size_t len = strlen(host);
        bool bracketed = host[0] == '[' && len > 2; /* of IPv6 */
        int written = snprintf(est->host, sizeof(est->host), "%.*s", (int)(bracketed ? len - 2 : len),
                               bracketed ? host + 1 : host);
        good = written > 0 && (size_t)written < sizeof(est->host);
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
    posix_est_t *est = ctx;
    est->options.host = est->host;
    bool good = posix_tls_configure(context, &est->options, &est->tls);
    ERR_clear_error();
    return good ? CURLE_OK : CURLE_SSL_CERTPROBLEM;
}

static size_t on_answer(char *data, size_t size, size_t count, void *ctx)
{
    posix_est_t *est = ctx;
    size_t len = size * count;
    if (len > sizeof(est->answer) - est->answer_len) {
        return 0; /* ends the transfer */
    }
    memcpy(est->answer + est->answer_len, data, len);
    est->answer_len += len;
    return len;
}

static bool prepare(posix_est_t *est, const char *url)
{
    char whole[512];
    size_t url_len = strlen(url);
    url_len -= url[url_len - 1] == '/';
    int len = snprintf(whole, sizeof(whole), "%.*s%s", (int)url_len, url, PATH);
    est->headers = curl_slist_append(NULL, "Content-Type: application/pkcs10");
    struct curl_slist *all =
        est->headers == NULL ? NULL : curl_slist_append(est->headers, "Content-Transfer-Encoding: base64");
    if (len <= 0 || (size_t)len >= sizeof(whole) || all == NULL) {
        return false;
    }
    CURL *easy = est->easy;
    return curl_easy_setopt(easy, CURLOPT_URL, whole) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "https") == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_PROXY, "") == CURLE_OK && /* whatever the host's environment says */
           curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           /* A look-up that hangs goes on by itself: to free what is around it would wait for it. */
           curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)POSIX_EST_TIMEOUT_MS) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)POSIX_EST_CONNECT_TIMEOUT_MS) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_HTTPHEADER, est->headers) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_POSTFIELDS, est->request) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_answer) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_WRITEDATA, est) == CURLE_OK &&
           /* Nobody of the system's list is trusted, nor is it read. */
           curl_easy_setopt(easy, CURLOPT_CAINFO, NULL) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_CAPATH, NULL) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, on_context) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_SSL_CTX_DATA, est) == CURLE_OK;
}

static bool begin(posix_est_t *est, const char *url, const char *code)
{
    if (strlen(code) > CODE_MAX_CHARS || !read_url(est, url)) {
        failed(est, "the server that renews certificates must be given as https://host[:port]");
        return false;
    }
    strcpy(est->code, code);
    failed(est, "out of memory");
    est->key = posix_new_key();
    est->request = est->key == NULL ? NULL : posix_request(est->key, code);
    est->multi = curl_multi_init();
    est->easy = curl_easy_init();
    return est->request != NULL && est->multi != NULL && est->easy != NULL && prepare(est, url) &&
           curl_multi_add_handle(est->multi, est->easy) == CURLM_OK;
}

posix_est_t *posix_est_begin(const char *url, const char *code, const posix_tls_options_t *options)
{
    posix_est_t *est = calloc(1, sizeof(*est));
    if (est == NULL) {
        return NULL;
    }
    est->options = *options;
    est->tls = (posix_tls_t){.alert = -1, .version = ""};
    est->begun = begin(est, url, code);
    return est;
}

void posix_est_watch(posix_est_t *est, posix_watch_t *watch)
{
    if (!est->begun) {
        posix_watch_within(watch, 0);
        return;
    }
    fd_set readable, writable, broken;
    FD_ZERO(&readable);
    FD_ZERO(&writable);
    FD_ZERO(&broken);
    int most = -1;
    long timeout_ms = -1;
    curl_multi_fdset(est->multi, &readable, &writable, &broken, &most);
    curl_multi_timeout(est->multi, &timeout_ms);
    for (int fd = 0; fd <= most; fd++) {
        short events = (short)((FD_ISSET(fd, &readable) ? POLLIN : 0) | (FD_ISSET(fd, &writable) ? POLLOUT : 0));
        if (events != 0) {
            posix_watch_add(watch, fd, events);
        }
    }
    /* While it resolves a name there is nothing to wait for: curl_multi_fdset(3) says to look again soon. */
    uint64_t at_most_ms = most < 0 ? POSIX_WATCH_CROWDED_MS : 1000;
    posix_watch_within(watch, timeout_ms >= 0 && (uint64_t)timeout_ms < at_most_ms ? (uint64_t)timeout_ms : at_most_ms);
}

/* How much of the answer is its first line. */
static int first_line_len(const posix_est_t *est)
{
    int len = 0;
    while (len < SHOWN_MAX_CHARS && (size_t)len < est->answer_len && (unsigned char)est->answer[len] >= ' ') {
        len++;
    }
    return len;
}

static posix_est_state_t refused(posix_est_t *est, long status)
{
    curl_off_t seconds = 0;
    curl_easy_getinfo(est->easy, CURLINFO_RETRY_AFTER, &seconds);
    est->retry_after_s = (uint32_t)(seconds > POSIX_EST_RETRY_AFTER_MAX_S ? POSIX_EST_RETRY_AFTER_MAX_S
                                    : seconds > 0                         ? seconds
                                                                          : 0);
    snprintf(est->why, sizeof(est->why), "the server issues none (status %ld: %.*s)", status, first_line_len(est),
             est->answer);
    return EST_FAILED;
}

static posix_est_state_t judge(posix_est_t *est)
{
    est->certificates_pem = posix_issued(est->answer, est->answer_len, est->key, est->code,
                                         est->options.pair == NULL ? NULL : est->options.pair->issuers,
                                         &est->not_before_unix_s, &est->not_after_unix_s);
    if (est->certificates_pem == NULL) {
        return failed(est, "what came is no certificate of this gateway");
    }
    /* A platform whose clock is wrong must not take from its gateways what they have. */
    if (est->options.has_time && (est->options.unix_s < est->not_before_unix_s - CLOCK_TOLERANCE_S ||
                                  est->options.unix_s >= est->not_after_unix_s)) {
        return failed(est, "the certificate that came is not valid now");
    }
    est->key_pem = posix_key_pem(est->key);
    return est->key_pem == NULL ? failed(est, "out of memory") : EST_DONE;
}

static posix_est_state_t ended(posix_est_t *est, CURLcode result)
{
    long status = 0;
    if (result == CURLE_WRITE_ERROR) {
        return failed(est, "what came is longer than any certificate");
    }
    if (result != CURLE_OK) {
        const char *tls_why = posix_tls_why(&est->tls);
        return failed(est, tls_why[0] != '\0' ? tls_why : curl_easy_strerror(result));
    }
    curl_easy_getinfo(est->easy, CURLINFO_RESPONSE_CODE, &status);
    return status == 200 ? judge(est) : refused(est, status);
}

posix_est_state_t posix_est_step(posix_est_t *est)
{
    int running = 0, left = 0;
    if (!est->begun) {
        return EST_FAILED;
    }
    if (curl_multi_perform(est->multi, &running) != CURLM_OK) {
        return failed(est, "libcurl can't go on");
    }
    for (const CURLMsg *news; (news = curl_multi_info_read(est->multi, &left)) != NULL;) {
        if (news->msg == CURLMSG_DONE) {
            return ended(est, news->data.result);
        }
    }
    return EST_UNDER_WAY;
}

void posix_est_free(posix_est_t *est)
{
    if (est == NULL) {
        return;
    }
    if (est->begun) {
        curl_multi_remove_handle(est->multi, est->easy);
    }
    curl_easy_cleanup(est->easy);
    curl_multi_cleanup(est->multi);
    curl_slist_free_all(est->headers);
    EVP_PKEY_free(est->key);
    free(est->request);
    posix_wipe_text(est->key_pem);
    free(est->certificates_pem);
    free(est);
}
