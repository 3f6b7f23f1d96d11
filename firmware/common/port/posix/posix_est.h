/* One simplereenroll (RFC 7030, 4.2.2) over libcurl's multi interface: nothing in it waits. The new key is made here
 * and leaves this process for the device's own storage alone. */
#pragma once

#include "posix_curl.h"

#define POSIX_EST_TIMEOUT_MS 30000
#define POSIX_EST_ANSWER_MAX_BYTES 65536 /* a chain of ours is 2,000; beyond, the answer is refused */
#define POSIX_EST_WHY_MAX_CHARS 199

typedef struct {
    bool begun; /* false: it could not be, and `why` says why */
    CURLM *multi;
    CURL *easy;
    struct curl_slist *headers;
    EVP_PKEY *key;
    char *request; /* PKCS #10 in base64 */
    char code[CODE_MAX_CHARS + 1];
    posix_curl_t curl;
    char answer[POSIX_EST_ANSWER_MAX_BYTES];
    size_t answer_len;
    char why[POSIX_EST_WHY_MAX_CHARS + 1]; /* of a failure */
    uint32_t retry_after_s;                /* what the server asked for; 0: nothing */
    char *key_pem, *certificates_pem;      /* of a success: gone with posix_est_free() */
    int64_t not_before_unix_s, not_after_unix_s;
} posix_est_t;

typedef enum { EST_UNDER_WAY, EST_DONE, EST_FAILED } posix_est_state_t;

/* Makes key and request and begins. To be freed by posix_est_free(). NULL: out of memory. What is wrong with the URL
 * comes from the first step. `options->pair` and `pinned` must stay until then. */
posix_est_t *posix_est_begin(const char *url, const char *code, const posix_tls_options_t *options);
void posix_est_watch(posix_est_t *est, posix_watch_t *watch);
posix_est_state_t posix_est_step(posix_est_t *est);
void posix_est_free(posix_est_t *est);
