#include "port/posix/posix_box.h"
#include "port/posix/posix_file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char s_folder[64]; /* …/GW-1, a unit's */

static void path_of(char *out, size_t cap, const char *name)
{
    (void)snprintf(out, cap, "%s/%s", s_folder, name);
}

static int begin(void **state)
{
    (void)state;
    char pattern[] = "/tmp/tds-box-XXXXXX";
    if (mkdtemp(pattern) == NULL) {
        return -1;
    }
    (void)snprintf(s_folder, sizeof(s_folder), "%s/GW-1", pattern);
    return mkdir(s_folder, 0700);
}

static int end(void **state)
{
    (void)state;
    char command[128];
    *strrchr(s_folder, '/') = '\0';
    (void)snprintf(command, sizeof(command), "rm -r '%s'", s_folder);
    return system(command);
}

static kv_status_t get(posix_box_t *box, const char *key, char *out, size_t cap, size_t *len)
{
    return box->port.get(box->port.ctx, key, out, cap, len);
}

static void a_units_files_are_the_factorys_values(void **state)
{
    (void)state;
    char path[128], value[32];
    size_t len = 0;
    posix_box_t box;
    path_of(path, sizeof(path), "gateway.crt");
    assert_true(posix_file_replace(path, "PEM", 3, true));
    assert_true(posix_box_init(&box, s_folder));
    assert_int_equal(get(&box, "gateway_code", value, sizeof(value), &len), KV_OK);
    assert_int_equal(len, 4);
    assert_memory_equal(value, "GW-1", 4);
    assert_int_equal(get(&box, "device_cert", value, sizeof(value), &len), KV_OK);
    assert_memory_equal(value, "PEM", 3);
    assert_int_equal(get(&box, "device_cert", value, 2, &len), KV_TOO_SMALL);
    assert_int_equal(len, 3);
    assert_int_equal(get(&box, "device_key", value, sizeof(value), &len), KV_MISSING);
    assert_int_equal(get(&box, "wifi_ssid", value, sizeof(value), &len), KV_MISSING);
    assert_int_equal(box.port.set(box.port.ctx, "apn", "x", 1), KV_FAILED);
    assert_int_equal(box.port.erase(box.port.ctx, "apn"), KV_FAILED);
}

static void a_folder_that_is_no_gateways_is_refused(void **state)
{
    (void)state;
    posix_box_t box;
    char path[128];
    path_of(path, sizeof(path), "not a code");
    assert_int_equal(mkdir(path, 0700), 0);
    assert_false(posix_box_init(&box, path));
    path_of(path, sizeof(path), "nowhere");
    assert_false(posix_box_init(&box, path));
}

static void a_path_that_ends_with_a_slash_is_the_same_folder(void **state)
{
    (void)state;
    posix_box_t box;
    char path[128];
    path_of(path, sizeof(path), "");
    assert_true(posix_box_init(&box, path));
}

static void a_file_is_replaced_whole_and_is_its_owners_alone(void **state)
{
    (void)state;
    char path[128];
    size_t len = 0;
    struct stat about;
    path_of(path, sizeof(path), "state");
    assert_true(posix_file_replace(path, "first", 5, true));
    assert_true(posix_file_replace(path, "2nd", 3, false));
    char *contents = posix_file_read(path, &len);
    assert_int_equal(len, 3);
    assert_string_equal(contents, "2nd");
    free(contents);
    assert_int_equal(stat(path, &about), 0);
    assert_int_equal(about.st_mode & 0777, 0600);
    path_of(path, sizeof(path), "nowhere/state");
    assert_false(posix_file_replace(path, "x", 1, false));
    assert_null(posix_file_read(path, &len));
    assert_null(posix_file_read(s_folder, &len)); /* a folder */
}

static void a_file_that_is_too_large_is_not_read(void **state)
{
    (void)state;
    char path[128];
    size_t len = 0;
    char *contents = calloc(1, POSIX_FILE_MAX_BYTES + 1);
    path_of(path, sizeof(path), "large");
    assert_true(posix_file_replace(path, contents, POSIX_FILE_MAX_BYTES + 1, false));
    assert_null(posix_file_read(path, &len));
    free(contents);
}

static void a_path_that_does_not_fit_is_told(void **state)
{
    (void)state;
    char path[8];
    assert_true(posix_path(path, sizeof(path), "abc", "def"));
    assert_string_equal(path, "abc/def");
    assert_false(posix_path(path, sizeof(path), "abc", "defg"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_units_files_are_the_factorys_values, begin, end),
        cmocka_unit_test_setup_teardown(a_folder_that_is_no_gateways_is_refused, begin, end),
        cmocka_unit_test_setup_teardown(a_path_that_ends_with_a_slash_is_the_same_folder, begin, end),
        cmocka_unit_test_setup_teardown(a_file_is_replaced_whole_and_is_its_owners_alone, begin, end),
        cmocka_unit_test_setup_teardown(a_file_that_is_too_large_is_not_read, begin, end),
        cmocka_unit_test(a_path_that_does_not_fit_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
