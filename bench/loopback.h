/* Sockets to this machine and to no other, and the clocks. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NS_PER_S 1000000000ULL
#define NS_PER_MS 1000000ULL

uint64_t now_ns(void); /* monotonic */
double cpu_s(void);    /* user and system time of this process so far */
double peak_mb(void);  /* the most memory it held so far, in megabytes */
void sleep_until_ns(uint64_t at_ns);

/* So many at a time: the soft limit is often 1,024 where the hard one is much more. False after a sentence on standard
 * error. */
bool allow_sockets(size_t sockets);

/* A connected, non-blocking socket, or -1 after a sentence on standard error. */
int loopback_connect(const char *host, uint16_t port, int buffer_bytes);

typedef enum {
    IO_OK,
    IO_WOULD_BLOCK,
    IO_CLOSED, /* by the other side, or by an error */
} io_result_t;

io_result_t read_some(int fd, uint8_t *buffer, size_t capacity_bytes, size_t *count_bytes);
io_result_t write_some(int fd, const uint8_t *bytes, size_t wanted_bytes, size_t *written_bytes);
