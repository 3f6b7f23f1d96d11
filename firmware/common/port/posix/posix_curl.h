/* libcurl as this device uses it: HTTPS alone, with its own pair and its pinned authorities, nobody followed, nothing
 * of the host's settings, and no waiting. */
#pragma once

#include <curl/curl.h>

#include "posix_source.h"
#include "posix_tls.h"

#define POSIX_CURL_CONNECT_TIMEOUT_MS 10000

/* Lives as long as its `easy`. */
typedef struct {
    char host[POSIX_TLS_NAME_MAX_CHARS + 1];
    posix_tls_options_t options;
    posix_tls_t tls;
} posix_curl_t;

/* Of `easy`, all but what is asked for. `whole_path`: the URL may have a path. False: out of memory, or it is no
 * https://host[:port]. */
bool posix_curl_prepare(posix_curl_t *curl, CURL *easy, const char *url, bool whole_path,
                        const posix_tls_options_t *options);
/* What `multi` waits for. */
void posix_curl_watch(CURLM *multi, posix_watch_t *watch);
/* Why `result` is what it is, in a few words. */
const char *posix_curl_why(const posix_curl_t *curl, CURLcode result);
failure_t posix_curl_failure(const posix_curl_t *curl, CURLcode result);
