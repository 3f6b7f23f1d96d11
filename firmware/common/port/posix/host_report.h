/* A device's state for programs: one line of JSON in a file that is replaced whole. */
#pragma once

#include "../../app/app.h"
#include "posix_network.h"

#define HOST_REPORT_EVERY_MS 1000
#define HOST_REPORT_MAX_BYTES 3072

typedef struct {
    const app_t *app;
    const posix_network_t *network;
    const char *path; /* NULL: there is none */
    uint64_t due_ms;
    uint32_t acknowledged; /* when it was last looked at */
    int64_t acknowledged_unix_ms;
    uint64_t first_acknowledged_ms; /* since boot; 0: none was */
} host_report_t;

void host_report_init(host_report_t *report, const app_t *app, const posix_network_t *network, const char *path);
/* Notes what there is to note, and writes when it is due. */
void host_report_step(host_report_t *report, uint64_t since_boot_ms, int64_t unix_ms);
/* For tests, and for who wants it elsewhere. Length, or 0 when it does not fit. */
size_t host_report_print(const host_report_t *report, uint64_t since_boot_ms, char *out, size_t cap_bytes);
