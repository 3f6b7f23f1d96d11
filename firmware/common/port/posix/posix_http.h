/* port_http over libcurl's multi interface, in the device's own thread. What came is held by libcurl and the kernel
 * until the device has taken what came before it. */
#pragma once

#include "../port_http.h"
#include "../port_log.h"
#include "posix_curl.h"
#include "posix_network.h"

typedef struct posix_transfer posix_transfer_t;

typedef struct {
    const port_log_t *log;
    const posix_network_t *network;
    /* What to use in TLS now. False: no credentials. */
    bool (*tls_options)(void *ctx, posix_tls_options_t *out);
    void *tls_ctx;
    const char *via; /* HOST:PORT where connections are made to instead; NULL: to the server */
    port_http_t port;
    posix_transfer_t *transfer; /* NULL: none runs */
} posix_http_t;

void posix_http_init(posix_http_t *http, const port_log_t *log, const posix_network_t *network,
                     bool (*tls_options)(void *ctx, posix_tls_options_t *out), void *tls_ctx);
void posix_http_end(posix_http_t *http);
posix_source_t posix_http_source(posix_http_t *http);
