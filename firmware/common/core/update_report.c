#include "update_report.h"

#include <stdio.h>
#include <string.h>

#include "../port/port_reboot.h"
#include "json_out.h"

#define HASH_CHARS (2 * SHA256_BYTES)

static const char *boot_name(uint32_t reason)
{
    static const char *const NAMES[] = {
        [BOOT_UNKNOWN] = "unknown",       [BOOT_POWER_ON] = "power_on", [BOOT_EXTERNAL] = "external",
        [BOOT_SOFTWARE] = "software",     [BOOT_PANIC] = "panic",       [BOOT_WATCHDOG] = "watchdog",
        [BOOT_DEEP_SLEEP] = "deep_sleep", [BOOT_BROWNOUT] = "brownout", [BOOT_RECOVERY] = "recovery",
        [BOOT_CONSOLE] = "console",       [BOOT_UPDATE] = "update",     [BOOT_ROLLBACK] = "rollback",
    };
    return reason < sizeof(NAMES) / sizeof(NAMES[0]) ? NAMES[reason] : NAMES[BOOT_UNKNOWN];
}

static void text(json_out_t *out, const char *key, const char *value)
{
    json_out_raw(out, key);
    json_out_string(out, value, strlen(value));
}

static void number(json_out_t *out, const char *key, int64_t value)
{
    json_out_raw(out, key);
    json_out_int(out, value);
}

static void flag(json_out_t *out, const char *key, bool value)
{
    json_out_raw(out, key);
    json_out_raw(out, value ? "true" : "false");
}

static void hash(json_out_t *out, const char *key, const uint8_t sha256[SHA256_BYTES])
{
    static const char DIGITS[] = "0123456789abcdef";
    char hex[HASH_CHARS + 1];
    uint8_t any = 0;
    for (size_t i = 0; i < SHA256_BYTES; i++) {
        hex[2 * i] = DIGITS[sha256[i] >> 4];
        hex[2 * i + 1] = DIGITS[sha256[i] & 0xF];
        any = (uint8_t)(any | sha256[i]);
    }
    hex[any != 0 ? HASH_CHARS : 0] = '\0';
    text(out, key, hex);
}

static void running(json_out_t *out, const update_report_t *report)
{
    text(out, ",\"running\":{\"version\":", report->running.version);
    hash(out, ",\"sha256\":", report->running.sha256);
    number(out, ",\"slot\":", report->running.slot);
    number(out, ",\"counter\":", report->running.counter);
    flag(out, ",\"confirmed\":", report->running.confirmed);
    text(out, ",\"boot_reason\":", boot_name(report->running.boot_reason));
    text(out, ",\"family\":", report->running.family);
    text(out, ",\"hardware\":", report->running.hardware);
    text(out, ",\"chip\":", report->running.chip);
    number(out, ",\"trust_version\":", report->running.trust_version);
    flag(out, ",\"trust_expired\":", report->running.trust_expired);
    json_out_raw(out, "}");
}

static void execution(json_out_t *out, const update_report_t *report)
{
    if (report->execution_id == NULL) {
        json_out_raw(out, ",\"execution\":null");
        return;
    }
    text(out, ",\"execution\":{\"execution_id\":", report->execution_id);
    text(out, ",\"status\":", update_status_name(report->status));
    text(out, ",\"phase\":", update_phase_name(report->phase));
    text(out, ",\"reason\":", update_reason_name(report->reason));
    text(out, ",\"detail\":", report->detail);
    number(out, ",\"bytes\":", report->bytes);
    number(out, ",\"size\":", report->size);
    json_out_raw(out, "}");
}

size_t update_report_topic(const char *gateway_code, char *out, size_t cap_bytes)
{
    const int len = snprintf(out, cap_bytes, "ota/%s/status", gateway_code);
    return len > 0 && (size_t)len < cap_bytes ? (size_t)len : 0;
}

size_t update_report_print(const update_report_t *report, char *out, size_t cap_bytes)
{
    char life[8 + 1];
    json_out_t json;
    (void)snprintf(life, sizeof(life), "%08lx", (unsigned long)report->life);
    json_out_init(&json, out, cap_bytes);
    text(&json, "{\"gateway_code\":", report->gateway_code);
    text(&json, ",\"life\":", life);
    number(&json, ",\"boot\":", report->boot);
    number(&json, ",\"number\":", report->number);
    if (report->unix_s != 0) {
        number(&json, ",\"time\":", report->unix_s);
    } else {
        json_out_raw(&json, ",\"time\":null");
    }
    running(&json, report);
    execution(&json, report);
    json_out_raw(&json, "}");
    return json_out_end(&json) ? json.len_bytes : 0;
}
