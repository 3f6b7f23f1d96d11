#define _GNU_SOURCE
#include "loopback.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SPARE_FILES 32U

uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static double seconds(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

double cpu_s(void)
{
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) != 0) {
        return 0;
    }
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

double peak_mb(void)
{
    /* Not ru_maxrss: that counts what the process was before exec(), the whole of its parent. */
    FILE *status = fopen("/proc/self/status", "r");
    char line[256];
    unsigned long kib = 0;
    while (status && fgets(line, sizeof(line), status) && sscanf(line, "VmHWM: %lu kB", &kib) != 1) {
    }
    if (status) {
        fclose(status);
    }
    return (double)kib * 1024 / 1e6;
}

void sleep_until_ns(uint64_t at_ns)
{
    struct timespec at = {.tv_sec = (time_t)(at_ns / NS_PER_S), .tv_nsec = (long)(at_ns % NS_PER_S)};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
}

/* 127.0.0.0/8 and ::1. Names are not looked up: one could lead anywhere. */
static socklen_t loopback_address(const char *host, uint16_t port, struct sockaddr_storage *address)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)address;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)address;
    memset(address, 0, sizeof(*address));
    if (strcmp(host, "localhost") == 0) {
        host = "127.0.0.1";
    }
    if (inet_pton(AF_INET, host, &v4->sin_addr) == 1 && ntohl(v4->sin_addr.s_addr) >> 24 == 127) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        return sizeof(*v4);
    }
    if (inet_pton(AF_INET6, host, &v6->sin6_addr) == 1 && IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr)) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(port);
        return sizeof(*v6);
    }
    return 0;
}

bool allow_sockets(size_t sockets)
{
    const size_t wanted = sockets + SPARE_FILES;
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0) {
        return false;
    }
    if (files.rlim_cur < wanted) {
        files.rlim_cur = files.rlim_max < wanted ? files.rlim_max : wanted;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    if (files.rlim_cur < wanted) {
        fprintf(stderr, "%zu open files are needed, and %ju are allowed; raise `ulimit -n`.\n", wanted,
                (uintmax_t)files.rlim_max);
        return false;
    }
    return true;
}

int loopback_connect(const char *host, uint16_t port, int buffer_bytes)
{
    struct sockaddr_storage address;
    socklen_t address_bytes = loopback_address(host, port, &address);
    if (address_bytes == 0) {
        fprintf(stderr, "%s is not this machine; give a loopback address such as 127.0.0.1.\n", host);
        return -1;
    }
    int fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        fprintf(stderr, "No socket could be made (%s).\n", strerror(errno));
        return -1;
    }
    const int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer_bytes, sizeof(buffer_bytes));
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer_bytes, sizeof(buffer_bytes));
    if (connect(fd, (const struct sockaddr *)&address, address_bytes) != 0) {
        fprintf(stderr, "Nothing answers at %s:%u (%s).\n", host, (unsigned)port, strerror(errno));
        close(fd);
        return -1;
    }
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0) {
        fprintf(stderr, "The socket could not be made non-blocking (%s).\n", strerror(errno));
        close(fd);
        return -1;
    }
    return fd;
}

io_result_t read_some(int fd, uint8_t *buffer, size_t capacity_bytes, size_t *count_bytes)
{
    ssize_t got_bytes;
    *count_bytes = 0;
    do {
        got_bytes = recv(fd, buffer, capacity_bytes, 0);
    } while (got_bytes < 0 && errno == EINTR);
    if (got_bytes > 0) {
        *count_bytes = (size_t)got_bytes;
        return IO_OK;
    }
    return got_bytes < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) ? IO_WOULD_BLOCK : IO_CLOSED;
}

io_result_t write_some(int fd, const uint8_t *bytes, size_t wanted_bytes, size_t *written_bytes)
{
    ssize_t put_bytes;
    *written_bytes = 0;
    do {
        put_bytes = send(fd, bytes, wanted_bytes, MSG_NOSIGNAL);
    } while (put_bytes < 0 && errno == EINTR);
    if (put_bytes >= 0) {
        *written_bytes = (size_t)put_bytes;
        return IO_OK;
    }
    return errno == EAGAIN || errno == EWOULDBLOCK ? IO_WOULD_BLOCK : IO_CLOSED;
}
