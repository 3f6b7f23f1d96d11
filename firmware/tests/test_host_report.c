#include "port/posix/host_report.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "port/posix/posix_crypto.h"
#include "port/posix/posix_file.h"

static app_t s_app;
static posix_network_t s_network;
static host_report_t s_report;
static char s_path[64];

static int begin(void **state)
{
    (void)state;
    memset(&s_app, 0, sizeof(s_app));
    s_app.options = (app_options_t){
        .gateway_code = "GW-\"1\"", .family = "dcu-0080", .firmware = "0.1.0", .boot = 7, .boot_reason = 9};
    s_app.connection.state = LINK_WAITING;
    s_app.connection.last_failure = FAILURE_TLS_HOST;
    s_app.pairs.changes = 1;
    s_app.acknowledged = 3;
    posix_network_init(&s_network, 1, false);
    (void)snprintf(s_path, sizeof(s_path), "/tmp/tds-report-%d", (int)getpid());
    host_report_init(&s_report, &s_app, &s_network, s_path);
    return 0;
}

static int end(void **state)
{
    (void)state;
    unlink(s_path);
    return 0;
}

static void assert_text(const cJSON *json, const char *name, const char *wanted)
{
    assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(json, name)), wanted);
}

static void assert_number(const cJSON *json, const char *name, double wanted)
{
    const cJSON *item = cJSON_GetObjectItem(json, name);
    assert_true(cJSON_IsNumber(item));
    assert_true(item->valuedouble >= wanted && item->valuedouble <= wanted);
}

static cJSON *written(void)
{
    size_t len = 0;
    char *text = posix_file_read(s_path, &len);
    if (text == NULL) {
        return NULL;
    }
    cJSON *json = cJSON_Parse(text);
    assert_non_null(json);
    free(text);
    return json;
}

static void it_says_how_the_device_is(void **state)
{
    (void)state;
    host_report_step(&s_report, 1500, 1771439400123);
    cJSON *json = written();
    assert_text(json, "gateway_code", "GW-\"1\"");
    assert_text(json, "family", "dcu-0080");
    assert_text(json, "state", "waiting");
    assert_text(json, "last_failure", "tls_host");
    assert_number(json, "boot", 7);
    assert_number(json, "boot_reason", 9);
    assert_number(json, "acknowledged", 3);
    assert_number(json, "acknowledged_unix_ms", 1771439400123.0);
    assert_number(json, "first_acknowledged_ms", 1500);
    assert_text(json, "pair", "factory");
    assert_number(json, "pair_changes", 1);
    assert_true(cJSON_IsFalse(cJSON_GetObjectItem(json, "network")));
    cJSON_Delete(json);
}

static const cJSON *in(const cJSON *json, const char *name)
{
    const cJSON *item = cJSON_GetObjectItem(json, name);
    assert_non_null(item);
    return item;
}

static void without_updates_it_says_nothing_of_them(void **state)
{
    (void)state;
    host_report_step(&s_report, 1000, 1);
    cJSON *json = written();
    assert_true(cJSON_IsNull(in(json, "update")));
    cJSON_Delete(json);
}

static void it_says_what_runs_how_an_update_goes_and_how_the_last_one_ended(void **state)
{
    (void)state;
    update_t *update = &s_app.updates.update;
    s_app.options.crypto = &posix_crypto;
    s_app.updates.trust.version = 3;
    s_app.updates.refused = 2;
    update->running = (update_running_t){.known = true, .slot = 1, .counter = 1001000, .sha256 = {0xAB}};
    update->state = UPDATE_FETCHING;
    update->phase = PHASE_DOWNLOADING;
    update->have_bytes = 4096;
    update->memory.has_job = true;
    update->memory.job.size_bytes = 8192;
    strcpy(update->memory.job.execution_id, "e-2");
    strcpy(update->memory.job.version, "1.2.0");
    update->memory.last =
        (update_outcome_t){.execution_id = "e-1", .status = STATUS_FAILED, .reason = REASON_ROLLED_BACK, .told = true};
    host_report_step(&s_report, 1000, 1);
    cJSON *json = written();
    const cJSON *found = in(json, "update");
    assert_text(found, "state", "fetching");
    assert_text(found, "execution_id", "e-2");
    assert_text(found, "version", "1.2.0");
    assert_text(found, "phase", "downloading");
    assert_number(found, "bytes", 4096);
    assert_number(found, "size", 8192);
    assert_number(found, "trust_version", 3);
    assert_number(found, "refused", 2);
    assert_text(in(found, "running"), "version", "0.1.0");
    assert_number(in(found, "running"), "slot", 1);
    assert_number(in(found, "running"), "counter", 1001000);
    assert_true(cJSON_IsTrue(in(in(found, "running"), "confirmed")));
    assert_int_equal(strlen(cJSON_GetStringValue(in(in(found, "running"), "sha256"))), 64);
    assert_int_equal(strncmp(cJSON_GetStringValue(in(in(found, "running"), "sha256")), "ab00", 4), 0);
    assert_text(in(found, "last"), "execution_id", "e-1");
    assert_text(in(found, "last"), "status", "FAILED");
    assert_text(in(found, "last"), "reason", "rolled_back");
    cJSON_Delete(json);
}

static void what_is_longest_fits(void **state)
{
    (void)state;
    char out[HOST_REPORT_MAX_BYTES];
    update_t *update = &s_app.updates.update;
    s_app.options.crypto = &posix_crypto;
    update->running.known = true;
    update->memory.has_job = true;
    memset(update->memory.job.execution_id, 'e', EXECUTION_ID_MAX_CHARS);
    memset(update->memory.last.execution_id, 'l', EXECUTION_ID_MAX_CHARS);
    memset(update->memory.job.version, '1', VERSION_MAX_CHARS);
    update->state = UPDATE_WAITING;
    update->memory.last.reason = REASON_KEY_OUT_OF_TIME;
    assert_true(host_report_print(&s_report, UINT64_MAX / 2, out, sizeof(out)) > 0);
}

static void it_is_written_once_a_second_and_notes_each_acknowledgement(void **state)
{
    (void)state;
    host_report_step(&s_report, 1000, 1);
    unlink(s_path);
    s_app.acknowledged = 4;
    host_report_step(&s_report, 1999, 2);
    assert_null(written());
    host_report_step(&s_report, 2000, 3);
    cJSON *json = written();
    assert_number(json, "acknowledged_unix_ms", 2);
    assert_number(json, "first_acknowledged_ms", 1000);
    cJSON_Delete(json);
}

static void without_a_path_nothing_is_written(void **state)
{
    (void)state;
    host_report_init(&s_report, &s_app, &s_network, NULL);
    host_report_step(&s_report, 1000, 1);
    assert_null(written());
}

static void what_does_not_fit_is_not_cut(void **state)
{
    (void)state;
    char small[64];
    assert_int_equal(host_report_print(&s_report, 0, small, sizeof(small)), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(it_says_how_the_device_is, begin, end),
        cmocka_unit_test_setup_teardown(without_updates_it_says_nothing_of_them, begin, end),
        cmocka_unit_test_setup_teardown(it_says_what_runs_how_an_update_goes_and_how_the_last_one_ended, begin, end),
        cmocka_unit_test_setup_teardown(what_is_longest_fits, begin, end),
        cmocka_unit_test_setup_teardown(it_is_written_once_a_second_and_notes_each_acknowledgement, begin, end),
        cmocka_unit_test_setup_teardown(without_a_path_nothing_is_written, begin, end),
        cmocka_unit_test_setup_teardown(what_does_not_fit_is_not_cut, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
