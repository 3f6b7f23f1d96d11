/* What the device asks of its firmware server, and what comes of it. One request at a time: each has a number, and what
 * a former one still has to say is dropped. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP_CHUNK_MAX_BYTES 4096 /* of one EVENT_HTTP_DATA */
#define HTTP_ETAG_MAX_CHARS 79    /* with its quotes; of a longer one nothing is kept */
#define HTTP_URL_MAX_CHARS 383
/* Slower than this for so long: it is cut (HTTP_TOO_SLOW). NB-IoT has a hundred times as much when it is bad. */
#define HTTP_SLOW_BYTES_PER_S 32
#define HTTP_SLOW_S 60
#define HTTP_RETRY_AFTER_MAX_S 86400

/* Texts are the asker's, and stay until its next step. */
typedef struct {
    uint16_t number;
    const char *url;     /* https://host[:port]/path */
    const char *etag;    /* If-None-Match; with from_bytes If-Range. "": neither is sent */
    uint32_t from_bytes; /* Range: bytes=N-. 0: all of it */
    const char *body;    /* POST of application/json; NULL: GET */
    uint16_t body_len_bytes;
    uint32_t max_bytes; /* of what may come: more ends it (HTTP_TOO_LONG) */
    uint32_t limit_ms;  /* for all of it (HTTP_TOO_SLOW) */
} http_request_t;

/* The head of an answer. A redirect is an answer like any other: it is followed by nobody. */
typedef struct {
    uint16_t number;
    uint16_t status;
    uint32_t from_bytes;    /* where its body begins, of 206 (Content-Range); otherwise 0 */
    int64_t whole_bytes;    /* of all of the file (Content-Range, Content-Length); -1: not said */
    uint32_t retry_after_s; /* 0: not said, or no number */
    char etag[HTTP_ETAG_MAX_CHARS + 1];
} http_answer_t;

typedef enum {
    HTTP_WHOLE,    /* the answer and all of its body came */
    HTTP_CUT,      /* no connection, or it ended in the middle; .failure */
    HTTP_TOO_SLOW, /* a drip, or longer than limit_ms */
    HTTP_TOO_LONG,
} http_end_t;

/* An https:// address apart: whom to ask, and for what. The same reading decides whether a server is this device's own
 * and whom the chip connects to. False: it is none, names a user, or has a character that has no place in a line of a
 * request. `path` points into it; "/" where it has none. */
bool http_split_url(const char *url, char *host, size_t cap_bytes, uint16_t *port, const char **path);

/* Content-Range: bytes 100-199/200 (RFC 9110, 14.4). False: it is none, and nothing is filled in. `whole_bytes` is -1
 * where an asterisk says that it is not known. */
bool http_read_range(const char *value, uint32_t *from_bytes, int64_t *whole_bytes);
