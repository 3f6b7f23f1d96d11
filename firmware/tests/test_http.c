/* Addresses and ranges, as a device reads them. */
#include "core/http.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/bounds.h"

static void assert_url(const char *url, const char *host, uint16_t port, const char *path)
{
    char found_host[CONFIG_HOST_MAX_CHARS + 1];
    const char *found_path;
    uint16_t found_port = 0;
    assert_true(http_split_url(url, found_host, sizeof(found_host), &found_port, &found_path));
    assert_string_equal(found_host, host);
    assert_int_equal(found_port, port);
    assert_string_equal(found_path, path);
}

static void an_address_has_a_host_a_port_and_a_path(void **state)
{
    (void)state;
    assert_url("https://host:8070/ota/v1/trust", "host", 8070, "/ota/v1/trust");
    assert_url("https://192.0.2.10:8070/a?family=dcu-0080", "192.0.2.10", 8070, "/a?family=dcu-0080");
    assert_url("https://[2001:db8::1]:8070/a", "2001:db8::1", 8070, "/a");
    assert_url("https://host:8070", "host", 8070, "/");
}

static void whom_a_device_may_be_led_to_by_another_reading_is_no_address(void **state)
{
    (void)state;
    const char *const urls[] = {
        "",
        "http://host:8070/",
        "HTTPS://host:8070/",
        "https://",
        "https:///path",
        "https://user@host:8070/",
        "https://user:word@host:8070/",
        "https://host:8070@evil/",
        "https://host\\@evil:8070/",
        "https://host:8070?x",
        "https://host:8070#x",
        "https://host:8070/#x",
        "https://host:99999/",
        "https://host :8070/",
        "https://host:8070/a b",
        "https://host:8070/a\r\nHost: evil",
        "https://host:8070/\x7f",
        "https://host:8070/\xc3\xa9",
        "https://host\t:8070/",
    };
    char host[CONFIG_HOST_MAX_CHARS + 1];
    const char *path;
    uint16_t port;
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        assert_false(http_split_url(urls[i], host, sizeof(host), &port, &path));
    }
}

static void a_host_that_is_longer_than_any_is_none(void **state)
{
    (void)state;
    char url[600] = "https://", host[CONFIG_HOST_MAX_CHARS + 1];
    const char *path;
    uint16_t port;
    memset(url + 8, 'a', 500);
    strcpy(url + 508, ":8070/");
    assert_false(http_split_url(url, host, sizeof(host), &port, &path));
}

static void a_range_says_where_it_begins_and_how_much_there_is(void **state)
{
    (void)state;
    uint32_t from = 0;
    int64_t whole = 0;
    assert_true(http_read_range("bytes 100-199/200", &from, &whole));
    assert_int_equal(from, 100);
    assert_true(whole == 200);
    assert_true(http_read_range("bytes 0-0/*", &from, &whole));
    assert_int_equal(from, 0);
    assert_true(whole == -1);
    assert_true(http_read_range("bytes 4294967295-4294967296/9223372036854775807", &from, &whole));
    assert_int_equal(from, UINT32_MAX);
    assert_true(whole == INT64_MAX);
}

static void a_range_that_can_not_be_is_none(void **state)
{
    (void)state;
    const char *const values[] = {
        "",
        "bytes",
        "bytes ",
        "bytes */200",
        "bytes -199/200",
        "bytes 100-/200",
        "bytes 100-99/200",
        "bytes 100-199",
        "bytes 100-199/",
        "bytes 100-199/199",
        "bytes 100-199/200 ",
        "bytes 100-199/*x",
        "bytes +1-2/3",
        "bytes 4294967296-4294967297/4294967298",
        "bytes 99999999999999999999-99999999999999999999/*",
        "bytes 0-1/99999999999999999999",
        "bytes 0-18446744073709551616/*",
        "items 0-1/2",
    };
    uint32_t from = 7;
    int64_t whole = 7;
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        assert_false(http_read_range(values[i], &from, &whole));
        assert_int_equal(from, 7);
        assert_true(whole == 7);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_address_has_a_host_a_port_and_a_path),
        cmocka_unit_test(whom_a_device_may_be_led_to_by_another_reading_is_no_address),
        cmocka_unit_test(a_host_that_is_longer_than_any_is_none),
        cmocka_unit_test(a_range_says_where_it_begins_and_how_much_there_is),
        cmocka_unit_test(a_range_that_can_not_be_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
