#include "posix_est.h"

#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "../../core/est.h"
#include "posix_request.h"

#define SHOWN_MAX_CHARS 140 /* of what a server says when it refuses */

static posix_est_state_t failed(posix_est_t *est, const char *why)
{
    snprintf(est->why, sizeof(est->why), "%s", why);
    return EST_FAILED;
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
    int len = snprintf(whole, sizeof(whole), "%.*s%s", (int)url_len, url, EST_PATH);
    est->headers = curl_slist_append(NULL, "Content-Type: application/pkcs10");
    struct curl_slist *all =
        est->headers == NULL ? NULL : curl_slist_append(est->headers, "Content-Transfer-Encoding: base64");
    if (len <= 0 || (size_t)len >= sizeof(whole) || all == NULL) {
        return false;
    }
    CURL *easy = est->easy;
    return curl_easy_setopt(easy, CURLOPT_URL, whole) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)POSIX_EST_TIMEOUT_MS) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_HTTPHEADER, est->headers) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_POSTFIELDS, est->request) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_answer) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_WRITEDATA, est) == CURLE_OK;
}

static bool begin(posix_est_t *est, const char *url, const char *code, const posix_tls_options_t *options)
{
    est->easy = curl_easy_init();
    if (est->easy == NULL || strlen(code) > CODE_MAX_CHARS ||
        !posix_curl_prepare(&est->curl, est->easy, url, false, options)) {
        failed(est, "the server that renews certificates must be given as https://host[:port]");
        return false;
    }
    strcpy(est->code, code);
    failed(est, "out of memory");
    est->key = posix_new_key();
    est->request = est->key == NULL ? NULL : posix_request(est->key, code);
    est->multi = curl_multi_init();
    return est->request != NULL && est->multi != NULL && prepare(est, url) &&
           curl_multi_add_handle(est->multi, est->easy) == CURLM_OK;
}

posix_est_t *posix_est_begin(const char *url, const char *code, const posix_tls_options_t *options)
{
    posix_est_t *est = calloc(1, sizeof(*est));
    if (est == NULL) {
        return NULL;
    }
    est->begun = begin(est, url, code, options);
    return est;
}

void posix_est_watch(posix_est_t *est, posix_watch_t *watch)
{
    if (est->begun) {
        posix_curl_watch(est->multi, watch);
    } else {
        posix_watch_within(watch, 0);
    }
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
    struct curl_header *retry_after = NULL;
    if (curl_easy_header(est->easy, "Retry-After", 0, CURLH_HEADER, -1, &retry_after) == CURLHE_OK) {
        est->retry_after_s = est_retry_after_s(retry_after->value);
    }
    snprintf(est->why, sizeof(est->why), "the server issues none (status %ld: %.*s)", status, first_line_len(est),
             est->answer);
    return EST_FAILED;
}

static posix_est_state_t judge(posix_est_t *est)
{
    est->certificates_pem = posix_issued(est->answer, est->answer_len, est->key, est->code,
                                         est->curl.options.pair == NULL ? NULL : est->curl.options.pair->issuers,
                                         &est->not_before_unix_s, &est->not_after_unix_s);
    if (est->certificates_pem == NULL) {
        return failed(est, "what came is no certificate of this gateway");
    }
    if (est->curl.options.has_time &&
        !est_is_valid_now(est->not_before_unix_s, est->not_after_unix_s, est->curl.options.unix_s)) {
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
        return failed(est, posix_curl_why(&est->curl, result));
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
