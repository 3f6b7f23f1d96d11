/* Reports: byte by byte as docs/firmware-updates.md has them. */
#include "core/update_report.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <cjson/cJSON.h>

#include "port/port_reboot.h"

static update_report_t s_report;
static char s_text[UPDATE_REPORT_MAX_BYTES + 1];

static int begin(void **state)
{
    (void)state;
    s_report = (update_report_t){.gateway_code = "GW-001",
                                 .life = 0x0f0c2a91,
                                 .boot = 12,
                                 .number = 3,
                                 .unix_s = 1764115200,
                                 .running = {.version = "1.0.0",
                                             .slot = 1,
                                             .counter = 6,
                                             .confirmed = true,
                                             .boot_reason = BOOT_UPDATE,
                                             .family = "dcu-0080",
                                             .hardware = "A",
                                             .chip = "host",
                                             .trust_version = 4},
                                 .detail = ""};
    for (uint8_t i = 0; i < SHA256_BYTES; i++) {
        s_report.running.sha256[i] = (uint8_t)(i * 8);
    }
    return 0;
}

#define RUNNING                                                                                                        \
    "\"running\":{\"version\":\"1.0.0\",\"sha256\":"                                                                   \
    "\"0008101820283038404850586068707880889098a0a8b0b8c0c8d0d8e0e8f0f8\",\"slot\":1,\"counter\":6,"                   \
    "\"confirmed\":true,\"boot_reason\":\"update\",\"family\":\"dcu-0080\",\"hardware\":\"A\",\"chip\":\"host\","      \
    "\"trust_version\":4,\"trust_expired\":false}"

static void assert_printed(const char *wanted)
{
    memset(s_text, '#', sizeof(s_text));
    assert_int_equal(update_report_print(&s_report, s_text, sizeof(s_text)), strlen(wanted));
    assert_string_equal(s_text, wanted);
}

static void without_an_execution_it_says_null(void **state)
{
    (void)state;
    assert_printed("{\"gateway_code\":\"GW-001\",\"life\":\"0f0c2a91\",\"boot\":12,\"number\":3,\"time\":1764115200,"
                   "" RUNNING ",\"execution\":null}");
}

static void while_the_time_is_not_known_it_says_null(void **state)
{
    (void)state;
    s_report.unix_s = 0;
    assert_printed("{\"gateway_code\":\"GW-001\",\"life\":\"0f0c2a91\",\"boot\":12,\"number\":3,\"time\":null,"
                   "" RUNNING ",\"execution\":null}");
}

static void of_an_execution_it_says_status_phase_reason_and_how_far_it_is(void **state)
{
    (void)state;
    s_report.execution_id = "e-1";
    s_report.status = STATUS_IN_PROGRESS;
    s_report.phase = PHASE_DOWNLOADING;
    s_report.bytes = 65536;
    s_report.size = 1048576;
    assert_printed("{\"gateway_code\":\"GW-001\",\"life\":\"0f0c2a91\",\"boot\":12,\"number\":3,\"time\":1764115200,"
                   "" RUNNING ",\"execution\":{\"execution_id\":\"e-1\",\"status\":\"IN_PROGRESS\","
                   "\"phase\":\"downloading\",\"reason\":\"\",\"detail\":\"\",\"bytes\":65536,\"size\":1048576}}");
    s_report.status = STATUS_REJECTED;
    s_report.phase = PHASE_NONE;
    s_report.reason = REASON_KNOWN_BAD;
    s_report.detail = "He said \"no\".\n";
    s_report.bytes = s_report.size = UINT32_MAX;
    assert_printed("{\"gateway_code\":\"GW-001\",\"life\":\"0f0c2a91\",\"boot\":12,\"number\":3,\"time\":1764115200,"
                   "" RUNNING ",\"execution\":{\"execution_id\":\"e-1\",\"status\":\"REJECTED\",\"phase\":\"\","
                   "\"reason\":\"known_bad\",\"detail\":\"He said \\\"no\\\".\\u000a\",\"bytes\":4294967295,"
                   "\"size\":4294967295}}");
}

static void a_hash_that_is_not_known_is_an_empty_text(void **state)
{
    (void)state;
    memset(s_report.running.sha256, 0, SHA256_BYTES);
    assert_true(update_report_print(&s_report, s_text, sizeof(s_text)) > 0);
    assert_non_null(strstr(s_text, "\"sha256\":\"\","));
    s_report.running.sha256[31] = 1;
    assert_true(update_report_print(&s_report, s_text, sizeof(s_text)) > 0);
    assert_non_null(strstr(s_text, "0001\","));
}

static void every_reason_of_a_start_has_its_word_and_one_that_nobody_knows_is_unknown(void **state)
{
    static const char *const WORDS[] = {
        [BOOT_UNKNOWN] = "unknown",       [BOOT_POWER_ON] = "power_on", [BOOT_EXTERNAL] = "external",
        [BOOT_SOFTWARE] = "software",     [BOOT_PANIC] = "panic",       [BOOT_WATCHDOG] = "watchdog",
        [BOOT_DEEP_SLEEP] = "deep_sleep", [BOOT_BROWNOUT] = "brownout", [BOOT_RECOVERY] = "recovery",
        [BOOT_CONSOLE] = "console",       [BOOT_UPDATE] = "update",     [BOOT_ROLLBACK] = "rollback",
    };
    const size_t count = sizeof(WORDS) / sizeof(WORDS[0]);
    (void)state;
    for (uint32_t reason = 0; reason < count + 3; reason++) {
        char wanted[64];
        s_report.running.boot_reason = reason;
        assert_true(update_report_print(&s_report, s_text, sizeof(s_text)) > 0);
        (void)snprintf(wanted, sizeof(wanted), "\"boot_reason\":\"%s\"", reason < count ? WORDS[reason] : "unknown");
        assert_non_null(strstr(s_text, wanted));
    }
}

static void every_reason_phase_and_status_has_a_word_of_its_own(void **state)
{
    (void)state;
    for (int i = 0; i < UPDATE_REASONS; i++) {
        assert_non_null(update_reason_name((update_reason_t)i));
        for (int j = 0; j < i; j++) {
            assert_string_not_equal(update_reason_name((update_reason_t)i), update_reason_name((update_reason_t)j));
        }
    }
    for (int i = 1; i < UPDATE_PHASES; i++) {
        assert_string_not_equal(update_phase_name((update_phase_t)i), update_phase_name((update_phase_t)(i - 1)));
    }
    for (int i = 1; i < UPDATE_STATUSES; i++) {
        assert_string_not_equal(update_status_name((update_status_t)i), update_status_name((update_status_t)(i - 1)));
    }
}

static void what_does_not_fit_is_not_printed_at_all_and_nothing_is_written_behind_the_end(void **state)
{
    (void)state;
    s_report.execution_id = "e-1";
    s_report.status = STATUS_FAILED;
    const size_t len = update_report_print(&s_report, s_text, sizeof(s_text));
    for (size_t cap = 1; cap <= len; cap++) {
        memset(s_text, '#', sizeof(s_text));
        assert_int_equal(update_report_print(&s_report, s_text, cap), 0);
        assert_int_equal(s_text[cap], '#');
    }
    assert_int_equal(update_report_print(&s_report, s_text, len + 1), len);
}

/* Texts of the device are short and plain; what comes over the network is bounded by its parser. */
static void the_longest_of_all_fits(void **state)
{
    (void)state;
    char code[CODE_MAX_CHARS + 1], id[EXECUTION_ID_MAX_CHARS + 1], version[VERSION_MAX_CHARS + 1];
    char name[NAME_MAX_CHARS + 1], detail[UPDATE_DETAIL_MAX_BYTES + 1];
    memset(code, 'c', sizeof(code));
    memset(id, 'e', sizeof(id));
    memset(version, 'v', sizeof(version));
    memset(name, 'n', sizeof(name));
    memset(detail, '"', sizeof(detail));
    code[CODE_MAX_CHARS] = id[EXECUTION_ID_MAX_CHARS] = version[VERSION_MAX_CHARS] = name[NAME_MAX_CHARS] =
        detail[UPDATE_DETAIL_MAX_BYTES] = '\0';
    s_report.gateway_code = code;
    s_report.life = s_report.boot = s_report.number = UINT32_MAX;
    s_report.unix_s = NUMERIC_DATE_MAX_S;
    s_report.running.version = version;
    s_report.running.family = s_report.running.hardware = s_report.running.chip = name;
    s_report.running.counter = s_report.running.trust_version = COUNTER_MAX;
    s_report.execution_id = id;
    s_report.phase = PHASE_DOWNLOADING;
    s_report.reason = REASON_SIGNATURE_INVALID;
    s_report.detail = detail;
    s_report.bytes = s_report.size = UINT32_MAX;
    const size_t len = update_report_print(&s_report, s_text, UPDATE_REPORT_MAX_BYTES);
    assert_in_range(len, 500, UPDATE_REPORT_MAX_BYTES - 1);
    cJSON *root = cJSON_Parse(s_text);
    assert_non_null(root);
    cJSON_Delete(root);
}

static void its_topic_is_the_gateways_own(void **state)
{
    (void)state;
    char topic[TOPIC_MAX_CHARS + 1];
    assert_int_equal(update_report_topic("GW-1", topic, sizeof(topic)), strlen("ota/GW-1/status"));
    assert_string_equal(topic, "ota/GW-1/status");
    assert_int_equal(update_report_topic("GW-1", topic, strlen("ota/GW-1/status")), 0);
}

#define FACT(name) cmocka_unit_test_setup(name, begin)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FACT(without_an_execution_it_says_null),
        FACT(while_the_time_is_not_known_it_says_null),
        FACT(of_an_execution_it_says_status_phase_reason_and_how_far_it_is),
        FACT(a_hash_that_is_not_known_is_an_empty_text),
        FACT(every_reason_of_a_start_has_its_word_and_one_that_nobody_knows_is_unknown),
        FACT(every_reason_phase_and_status_has_a_word_of_its_own),
        FACT(what_does_not_fit_is_not_printed_at_all_and_nothing_is_written_behind_the_end),
        FACT(the_longest_of_all_fits),
        FACT(its_topic_is_the_gateways_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
