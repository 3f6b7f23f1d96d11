/* `ota/<gateway_code>/status`, and the body of POST /ota/v1/report (docs/firmware-updates.md, "Report"). Pure. */
#pragma once

#include "update_memory.h"

#define UPDATE_REPORT_MAX_BYTES 2048
#define UPDATE_DETAIL_MAX_BYTES 160

typedef struct {
    const char *gateway_code;
    uint32_t life, boot, number;
    int64_t unix_s; /* 0: not known */
    struct {
        const char *version;
        uint8_t sha256[SHA256_BYTES]; /* zeros: not known, as of a program that runs without slots */
        uint8_t slot;
        uint32_t counter;
        bool confirmed;
        uint32_t boot_reason; /* boot_reason_t */
        const char *family, *hardware, *chip;
        uint32_t trust_version;
        bool trust_expired;
    } running;
    const char *execution_id; /* NULL: there is none */
    update_status_t status;
    update_phase_t phase;
    update_reason_t reason;
    const char *detail;
    uint32_t bytes, size;
} update_report_t;

size_t update_report_topic(const char *gateway_code, char *out, size_t cap_bytes);
/* Length without the NUL; 0: it does not fit. */
size_t update_report_print(const update_report_t *report, char *out, size_t cap_bytes);
