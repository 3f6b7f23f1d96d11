#include "core/config.h"
#include "port/fake/fake_kv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define LABEL "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static fake_kv_t s_kv, s_factory;
static config_t s_config;
static char s_sentence[CONFIG_SENTENCE_MAX_BYTES];

static int set_up(void **state)
{
    (void)state;
    fake_kv_init(&s_kv);
    fake_kv_init(&s_factory);
    config_load(&s_config, &s_kv.port, &s_factory.port, 0);
    return 0;
}

static void load(void)
{
    config_load(&s_config, &s_kv.port, &s_factory.port, 0);
}

static const char *set(config_key_t key, const char *value)
{
    return config_set(&s_config, key, value, 0, s_sentence, sizeof(s_sentence));
}

static void assert_text(config_key_t key, const char *wanted)
{
    assert_string_equal(config_text(&s_config, key), wanted);
}

static void assert_refused(config_key_t key, const char *value)
{
    char before[CONFIG_VALUE_MAX_BYTES + 1];
    uint32_t writes = s_kv.writes;
    (void)strcpy(before, config_text(&s_config, key));
    const char *sentence = set(key, value);
    assert_non_null(sentence);
    assert_non_null(strstr(sentence, config_accepts(key)));
    assert_ptr_equal(strstr(sentence, config_name(key)), sentence);
    assert_text(key, before);
    assert_int_equal(s_kv.writes, writes);
}

static void assert_taken(config_key_t key, const char *value)
{
    assert_null(set(key, value));
    assert_text(key, value);
    assert_int_equal(config_source(&s_config, key), CONFIG_FROM_USER);
    assert_true(fake_kv_is_text(&s_kv, config_name(key), value));
    load();
    assert_text(key, value);
}

static void a_new_device_has_the_defaults(void **state)
{
    (void)state;
    assert_text(CONFIG_BROKER_URI, "");
    assert_text(CONFIG_WIFI_SSID, "");
    assert_text(CONFIG_WIFI_PASSWORD, "");
    assert_text(CONFIG_APN, "claro.com.br");
    assert_int_equal(config_number(&s_config, CONFIG_INTERVAL_S), 60);
    assert_int_equal(config_number(&s_config, CONFIG_RESEND_WINDOW_S), 90);
    assert_int_equal(config_number(&s_config, CONFIG_UPDATE_POLL_H), 6);
    assert_text(CONFIG_DEVICE_CODE, "D01");
    assert_text(CONFIG_OTA_URL, "");
    assert_int_equal(s_kv.writes, 0);
    for (int key = 0; key < CONFIG_KEYS; key++) {
        assert_int_equal(config_source(&s_config, (config_key_t)key), CONFIG_FROM_DEFAULT);
    }
}

static void a_device_without_a_factory_image_loads(void **state)
{
    (void)state;
    config_load(&s_config, &s_kv.port, NULL, 0);
    assert_text(CONFIG_APN, "claro.com.br");
}

static void the_factorys_values_come_before_the_defaults(void **state)
{
    (void)state;
    fake_kv_put_text(&s_factory, "broker_uri", "mqtts://mqtt.example:8883");
    fake_kv_put_text(&s_factory, "wifi_ssid", "Fábrica 1");
    fake_kv_put_text(&s_factory, "wifi_password", "segredo123");
    fake_kv_put_text(&s_factory, "apn", "iot.example");
    load();
    assert_text(CONFIG_BROKER_URI, "mqtts://mqtt.example:8883");
    assert_text(CONFIG_WIFI_SSID, "Fábrica 1");
    assert_text(CONFIG_WIFI_PASSWORD, "segredo123");
    assert_text(CONFIG_APN, "iot.example");
    assert_int_equal(config_source(&s_config, CONFIG_APN), CONFIG_FROM_FACTORY);
}

static void what_the_user_set_comes_before_the_factorys(void **state)
{
    (void)state;
    fake_kv_put_text(&s_factory, "apn", "iot.example");
    fake_kv_put_text(&s_kv, "apn", "other.example");
    load();
    assert_text(CONFIG_APN, "other.example");
    assert_null(set(CONFIG_APN, ""));
    assert_text(CONFIG_APN, "iot.example");
    assert_false(fake_kv_has(&s_kv, "apn"));
}

static void all_that_the_factory_writes_is_accepted(void **state)
{
    (void)state;
    char label[64] = "";
    char uri[CONFIG_VALUE_MAX_BYTES + 1];
    char psk[65] = "";
    memset(label, 'a', 63);
    memset(psk, 'f', 64);
    (void)snprintf(uri, sizeof(uri), "mqtts://%s.%s.%s.%.61s:65535", label, label, label, label);
    assert_int_equal(strlen(uri), CONFIG_VALUE_MAX_BYTES);
    fake_kv_put_text(&s_factory, "broker_uri", uri);
    fake_kv_put_text(&s_factory, "wifi_ssid", "12345678901234567890123456789012");
    fake_kv_put_text(&s_factory, "wifi_password", psk);
    fake_kv_put_text(&s_factory, "apn", label);
    load();
    assert_text(CONFIG_BROKER_URI, uri);
    assert_text(CONFIG_WIFI_SSID, "12345678901234567890123456789012");
    assert_text(CONFIG_WIFI_PASSWORD, psk);
    assert_text(CONFIG_APN, label);
}

static void the_factorys_password_goes_with_the_factorys_network_alone(void **state)
{
    (void)state;
    fake_kv_put_text(&s_factory, "wifi_ssid", "factory");
    fake_kv_put_text(&s_factory, "wifi_password", "segredo123");
    load();
    assert_null(set(CONFIG_WIFI_SSID, "open"));
    assert_text(CONFIG_WIFI_PASSWORD, "");
    assert_null(set(CONFIG_WIFI_SSID, "factory"));
    assert_text(CONFIG_WIFI_PASSWORD, "segredo123");
    assert_null(set(CONFIG_WIFI_SSID, "other"));
    assert_null(set(CONFIG_WIFI_PASSWORD, "outro segredo"));
    assert_text(CONFIG_WIFI_PASSWORD, "outro segredo");
    load();
    assert_text(CONFIG_WIFI_PASSWORD, "outro segredo");
}

static void the_firmware_server_is_beside_the_broker(void **state)
{
    (void)state;
    assert_null(set(CONFIG_BROKER_URI, "mqtts://mqtt.example:8883"));
    assert_text(CONFIG_OTA_URL, "https://mqtt.example:8070");
    assert_null(set(CONFIG_BROKER_URI, "mqtts://[2001:db8::1]:8883"));
    assert_text(CONFIG_OTA_URL, "https://[2001:db8::1]:8070");
    assert_null(set(CONFIG_OTA_URL, "https://ota.example:443"));
    assert_null(set(CONFIG_BROKER_URI, "mqtt://10.0.0.1:1883"));
    assert_text(CONFIG_OTA_URL, "https://ota.example:443");
    load();
    assert_text(CONFIG_OTA_URL, "https://ota.example:443");
    assert_null(set(CONFIG_OTA_URL, ""));
    assert_text(CONFIG_OTA_URL, "https://10.0.0.1:8070");
}

static void values_of_the_right_form_are_kept(void **state)
{
    (void)state;
    assert_taken(CONFIG_BROKER_URI, "mqtts://mqtt.example.com:8883");
    assert_taken(CONFIG_BROKER_URI, "mqtt://192.168.0.7:1883");
    assert_taken(CONFIG_WIFI_SSID, "x");
    assert_taken(CONFIG_WIFI_SSID, "Café da Ana 👩‍👧");
    assert_taken(CONFIG_WIFI_PASSWORD, "12345678");
    assert_taken(CONFIG_WIFI_PASSWORD, "a b~!\"c\\ d");
    assert_taken(CONFIG_WIFI_PASSWORD, "0123456789abcdefABCDEF0123456789abcdefABCDEF0123456789abcdefABCD");
    assert_taken(CONFIG_APN, "zap.vivo.com.br");
    assert_taken(CONFIG_INTERVAL_S, "5");
    assert_taken(CONFIG_INTERVAL_S, "86400");
    assert_taken(CONFIG_RESEND_WINDOW_S, "30");
    assert_taken(CONFIG_RESEND_WINDOW_S, "600");
    assert_taken(CONFIG_UPDATE_POLL_H, "1");
    assert_taken(CONFIG_UPDATE_POLL_H, "168");
    assert_taken(CONFIG_DEVICE_CODE, "MEDIDOR_1");
    assert_taken(CONFIG_OTA_URL, "https://ota.example:8070");
}

static void numbers_out_of_range_are_refused_with_a_sentence(void **state)
{
    (void)state;
    assert_refused(CONFIG_INTERVAL_S, "4");
    assert_refused(CONFIG_INTERVAL_S, "86401");
    assert_refused(CONFIG_INTERVAL_S, "0");
    assert_refused(CONFIG_INTERVAL_S, "-60");
    assert_refused(CONFIG_INTERVAL_S, "60.0");
    assert_refused(CONFIG_INTERVAL_S, "60s");
    assert_refused(CONFIG_INTERVAL_S, "1e2");
    assert_refused(CONFIG_INTERVAL_S, "0x3c");
    assert_refused(CONFIG_INTERVAL_S, " 60");
    assert_refused(CONFIG_INTERVAL_S, "4294967356"); /* 60 more than 32 bits hold */
    assert_refused(CONFIG_RESEND_WINDOW_S, "29");
    assert_refused(CONFIG_RESEND_WINDOW_S, "601");
    assert_refused(CONFIG_UPDATE_POLL_H, "0");
    assert_refused(CONFIG_UPDATE_POLL_H, "169");
    assert_string_equal(set(CONFIG_INTERVAL_S, "4"), "interval_s takes a whole number from 5 to 86400.");
}

static void brokers_of_another_form_are_refused(void **state)
{
    (void)state;
    static const char *const BAD[] = {
        "mqtt.example:8883",
        "http://mqtt.example",
        "https://mqtt.example:8883",
        "mqtts://",
        "mqtts://:8883",
        "mqtts://mqtt.example:0",
        "mqtts://mqtt.example:65536",
        "mqtts://mqtt.example:",
        "mqtts://mqtt.example/x",
        "mqtts://mqtt.example:8883/",
        "mqtts://user:pw@mqtt.example",
        "mqtts://mqtt example",
        "mqtts://-a.example",
        "mqtts://a-.example",
        "mqtts://a..example",
        "mqtts://.example",
        "mqtts://example.",
        "mqtts://a_b.example",
        "mqtts://[::1",
        "mqtts://[zz::1]:8883",
        "mqtts://[1]:8883",
        "mqtts://[1:2]:8883",
        "mqtts://[::1]8883",
        "MQTTS://mqtt.example",
        "mqtts://mqtt.example:88a",
        "mqtts://exämple.com",
        "mqtts://a.example-",
        "mqtts://mqtt.example:+883",
        "mqtts://mqtt.example:008883",
    };
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
        assert_refused(CONFIG_BROKER_URI, BAD[i]);
    }
}

static void a_host_is_no_longer_than_dns_has_it(void **state)
{
    (void)state;
    char uri[CONFIG_VALUE_MAX_BYTES + 1];
    char label[65] = "";
    memset(label, 'a', 64);
    (void)snprintf(uri, sizeof(uri), "mqtt://%s", label);
    assert_refused(CONFIG_BROKER_URI, uri);
    (void)snprintf(uri, sizeof(uri), "mqtt://%.63s.%.63s.%.63s.%.63s", label, label, label, label);
    assert_refused(CONFIG_BROKER_URI, uri);
    (void)snprintf(uri, sizeof(uri), "mqtt://[%.40s::%.10s]", label, label);
    assert_refused(CONFIG_BROKER_URI, uri);
}

static void passwords_that_no_network_can_have_are_refused_and_not_told(void **state)
{
    (void)state;
    static const char *const BAD[] = {
        "1234567",
        "1234567\xC3\xA9",
        "12345678\t",
        " 12345678",
        "12345678 ",
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdeg",
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0",
    };
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
        assert_refused(CONFIG_WIFI_PASSWORD, BAD[i]);
        assert_null(strstr(s_sentence, BAD[i]));
    }
}

static void other_texts_of_a_wrong_form_are_refused(void **state)
{
    (void)state;
    assert_refused(CONFIG_WIFI_SSID, "123456789012345678901234567890123");
    assert_refused(CONFIG_WIFI_SSID, " x");
    assert_refused(CONFIG_WIFI_SSID, "x ");
    assert_refused(CONFIG_WIFI_SSID, "a\x1B[A");
    assert_refused(CONFIG_WIFI_SSID, "Caf\xE9");
    assert_refused(CONFIG_APN, "claro com br");
    assert_refused(CONFIG_APN, "claro..br");
    assert_refused(CONFIG_APN, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
    assert_refused(CONFIG_DEVICE_CODE, "a/b");
    assert_refused(CONFIG_DEVICE_CODE, "SYS");
    assert_refused(CONFIG_OTA_URL, "http://ota.example:8070");
    assert_refused(CONFIG_OTA_URL, "https://ota.example:8070/path");
    assert_refused(CONFIG_OTA_URL, "mqtts://ota.example:8070");
}

static void a_value_of_1_mb_is_refused(void **state)
{
    (void)state;
    static char value[(1 << 20) + 1];
    memset(value, '6', sizeof(value) - 1);
    for (int key = 0; key < CONFIG_KEYS; key++) {
        assert_refused((config_key_t)key, value);
    }
}

static void setting_what_is_set_writes_nothing(void **state)
{
    (void)state;
    assert_null(set(CONFIG_INTERVAL_S, "30"));
    uint32_t writes = s_kv.writes;
    assert_null(set(CONFIG_INTERVAL_S, "30"));
    assert_null(set(CONFIG_APN, ""));
    assert_int_equal(s_kv.writes, writes);
    assert_true(config_is(&s_config, CONFIG_INTERVAL_S, "30"));
    assert_false(config_is(&s_config, CONFIG_INTERVAL_S, ""));
    assert_true(config_is(&s_config, CONFIG_APN, ""));
    assert_false(config_is(&s_config, CONFIG_APN, "claro.com.br"));
}

static void damaged_and_out_of_range_values_on_the_medium_count_as_not_set(void **state)
{
    (void)state;
    static char too_long[CONFIG_VALUE_MAX_BYTES + 2];
    memset(too_long, 'a', sizeof(too_long));
    fake_kv_put_text(&s_kv, "interval_s", "99999");
    fake_kv_put_text(&s_kv, "device_code", "");
    fake_kv_put_text(&s_kv, "resend_window_s", "90");
    fake_kv_damage(&s_kv, "resend_window_s");
    fake_kv_put(&s_kv, "apn", too_long, sizeof(too_long));
    fake_kv_put(&s_kv, "wifi_ssid", "a\0b", 3);
    fake_kv_put_text(&s_kv, "update_poll_h", "\xFF\xFE");
    fake_kv_put(&s_kv, "broker_uri", "mqtts://a.example\0:8883", 23);
    fake_kv_put_text(&s_factory, "interval_s", "120");
    fake_kv_put_text(&s_factory, "update_poll_h", "1000");
    load();
    assert_int_equal(config_number(&s_config, CONFIG_INTERVAL_S), 120);
    assert_int_equal(config_number(&s_config, CONFIG_RESEND_WINDOW_S), 90);
    assert_int_equal(config_source(&s_config, CONFIG_RESEND_WINDOW_S), CONFIG_FROM_DEFAULT);
    assert_int_equal(config_number(&s_config, CONFIG_UPDATE_POLL_H), 6);
    assert_text(CONFIG_DEVICE_CODE, "D01");
    assert_text(CONFIG_APN, "claro.com.br");
    assert_text(CONFIG_WIFI_SSID, "");
    assert_text(CONFIG_BROKER_URI, "");
}

static void a_damaged_value_can_be_set_and_be_erased(void **state)
{
    (void)state;
    fake_kv_put_text(&s_kv, "apn", "x.example");
    fake_kv_damage(&s_kv, "apn");
    load();
    assert_null(set(CONFIG_APN, ""));
    assert_false(fake_kv_has(&s_kv, "apn"));
    fake_kv_put_text(&s_kv, "apn", "x.example");
    fake_kv_damage(&s_kv, "apn");
    load();
    assert_taken(CONFIG_APN, "y.example");
}

static void a_medium_that_cannot_be_read_leaves_factory_and_defaults(void **state)
{
    (void)state;
    fake_kv_put_text(&s_kv, "interval_s", "30");
    fake_kv_put_text(&s_factory, "apn", "iot.example");
    fake_kv_put_text(&s_kv, "intervalo", "20");
    s_kv.fail_gets = true;
    load();
    assert_true(fake_kv_has(&s_kv, "intervalo"));
    assert_int_equal(config_number(&s_config, CONFIG_INTERVAL_S), 60);
    assert_text(CONFIG_APN, "iot.example");
    assert_int_equal(s_kv.writes, 0);
}

static void with_the_storage_full_nothing_changes(void **state)
{
    (void)state;
    s_kv.room_bytes = 0;
    assert_string_equal(set(CONFIG_INTERVAL_S, "30"), "The storage is full; nothing was changed.");
    assert_int_equal(config_number(&s_config, CONFIG_INTERVAL_S), 60);
    assert_string_equal(set(CONFIG_BROKER_URI, "mqtts://mqtt.example:8883"),
                        "The storage is full; nothing was changed.");
    assert_text(CONFIG_BROKER_URI, "");
    assert_text(CONFIG_OTA_URL, "");
    assert_int_equal(s_config.trial, CONFIG_TRIAL_NONE);
}

static void with_a_storage_that_fails_nothing_changes(void **state)
{
    (void)state;
    assert_null(set(CONFIG_APN, "a.example"));
    s_kv.fail_from_write = s_kv.writes + 1;
    assert_string_equal(set(CONFIG_APN, "b.example"), "The storage can't be written; nothing was changed.");
    assert_string_equal(set(CONFIG_APN, ""), "The storage can't be written; nothing was changed.");
    assert_text(CONFIG_APN, "a.example");
    fake_kv_power_on(&s_kv);
    load();
    assert_text(CONFIG_APN, "a.example");
}

static void the_interval_of_an_older_firmware_is_taken_over_once(void **state)
{
    (void)state;
    fake_kv_put_text(&s_kv, "intervalo", "30");
    load();
    assert_int_equal(config_number(&s_config, CONFIG_INTERVAL_S), 30);
    assert_true(fake_kv_is_text(&s_kv, "interval_s", "30"));
    assert_false(fake_kv_has(&s_kv, "intervalo"));
    assert_null(set(CONFIG_INTERVAL_S, ""));
    load();
    assert_int_equal(config_number(&s_config, CONFIG_INTERVAL_S), 60);
}

static void an_older_key_never_replaces_what_was_set_since(void **state)
{
    (void)state;
    fake_kv_put_text(&s_kv, "intervalo", "30");
    fake_kv_put_text(&s_kv, "interval_s", "120");
    load();
    assert_int_equal(config_number(&s_config, CONFIG_INTERVAL_S), 120);
    assert_false(fake_kv_has(&s_kv, "intervalo"));
}

static void an_older_value_that_is_out_of_range_is_let_go(void **state)
{
    (void)state;
    fake_kv_put_text(&s_kv, "intervalo", "1");
    load();
    assert_int_equal(config_number(&s_config, CONFIG_INTERVAL_S), 60);
    assert_false(fake_kv_has(&s_kv, "intervalo"));
    assert_false(fake_kv_has(&s_kv, "interval_s"));
}

static void an_older_value_counts_while_the_storage_is_full(void **state)
{
    (void)state;
    fake_kv_put_text(&s_kv, "intervalo", "30");
    s_kv.room_bytes = 0;
    load();
    assert_int_equal(config_number(&s_config, CONFIG_INTERVAL_S), 30);
    assert_true(fake_kv_has(&s_kv, "intervalo"));
    s_kv.room_bytes = 4096;
    load();
    assert_int_equal(config_number(&s_config, CONFIG_INTERVAL_S), 30);
    assert_true(fake_kv_is_text(&s_kv, "interval_s", "30"));
}

static void power_cut_at_any_write_of_the_migration_loses_nothing(void **state)
{
    (void)state;
    static const fake_kv_cut_t CUTS[] = {FAKE_KV_CUT_KEEPS_OLD, FAKE_KV_CUT_KEEPS_NEW};
    for (size_t i = 0; i < 2; i++) {
        for (uint32_t at = 1; at <= 3; at++) {
            fake_kv_init(&s_kv);
            fake_kv_put_text(&s_kv, "intervalo", "30");
            s_kv.cut = CUTS[i];
            s_kv.cut_at_write = at;
            load();
            assert_int_equal(s_kv.power_is_off, at < 3);
            fake_kv_power_on(&s_kv);
            load();
            assert_int_equal(config_number(&s_config, CONFIG_INTERVAL_S), 30);
            assert_true(fake_kv_is_text(&s_kv, "interval_s", "30"));
            assert_false(fake_kv_has(&s_kv, "intervalo"));
        }
    }
}

static void keys_are_found_by_their_names_alone(void **state)
{
    (void)state;
    for (int key = 0; key < CONFIG_KEYS; key++) {
        assert_int_equal(config_find(config_name((config_key_t)key)), key);
        assert_in_range(strlen(config_name((config_key_t)key)), 1, KV_KEY_MAX_CHARS);
    }
    assert_int_equal(config_find("intervalo"), -1);
    assert_int_equal(config_find(""), -1);
    assert_true(config_is_secret(CONFIG_WIFI_PASSWORD));
    assert_false(config_is_secret(CONFIG_WIFI_SSID));
    assert_true(config_connects(CONFIG_APN));
    assert_false(config_connects(CONFIG_INTERVAL_S));
    assert_int_equal(config_number(&s_config, CONFIG_APN), 0);
}

static void every_sentence_fits_its_buffer(void **state)
{
    (void)state;
    for (int key = 0; key < CONFIG_KEYS; key++) {
        const char *sentence = set((config_key_t)key, "\n");
        assert_int_equal(sentence[strlen(sentence) - 1], '.');
    }
}

static void assert_split(const char *uri, bool tls, const char *host, uint16_t port)
{
    bool found_tls = !tls;
    char found_host[CONFIG_HOST_MAX_CHARS + 1];
    uint16_t found_port = 0;
    assert_true(config_split_uri(uri, &found_tls, found_host, sizeof(found_host), &found_port));
    assert_int_equal(found_tls, tls);
    assert_string_equal(found_host, host);
    assert_int_equal(found_port, port);
}

static void a_uri_is_split_into_its_parts(void **state)
{
    (void)state;
    assert_split("mqtts://mqtt.example:1", true, "mqtt.example", 1);
    assert_split("mqtt://10.0.0.1:65535", false, "10.0.0.1", 65535);
    assert_split("https://ota.example:8070", true, "ota.example", 8070);
    assert_split("mqtts://[2001:db8::1]:8883", true, "2001:db8::1", 8883);
    assert_split("mqtt://[::ffff:10.0.0.1]", false, "::ffff:10.0.0.1", 1883);
    assert_split("mqtts://a", true, "a", 8883);
    assert_split("https://a", true, "a", 443);
}

static void a_host_that_does_not_fit_is_refused(void **state)
{
    (void)state;
    char host[4] = "xxx";
    char wide[512];
    char uri[512];
    (void)snprintf(uri, sizeof(uri), "mqtt://a.%.63s.%.63s.%.63s.%.60s", LABEL, LABEL, LABEL, LABEL);
    assert_false(config_split_uri(uri, NULL, wide, sizeof(wide), NULL)); /* a character more than DNS has */
    uri[strlen(uri) - 1] = '\0';
    assert_true(config_split_uri(uri, NULL, wide, sizeof(wide), NULL));
    assert_int_equal(strlen(wide), CONFIG_HOST_MAX_CHARS);
    assert_false(config_split_uri("mqtt://abcd", NULL, host, sizeof(host), NULL));
    assert_string_equal(host, "xxx");
    assert_true(config_split_uri("mqtt://abc", NULL, host, sizeof(host), NULL));
    assert_string_equal(host, "abc");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_new_device_has_the_defaults, set_up),
        cmocka_unit_test_setup(a_device_without_a_factory_image_loads, set_up),
        cmocka_unit_test_setup(the_factorys_values_come_before_the_defaults, set_up),
        cmocka_unit_test_setup(what_the_user_set_comes_before_the_factorys, set_up),
        cmocka_unit_test_setup(all_that_the_factory_writes_is_accepted, set_up),
        cmocka_unit_test_setup(the_factorys_password_goes_with_the_factorys_network_alone, set_up),
        cmocka_unit_test_setup(the_firmware_server_is_beside_the_broker, set_up),
        cmocka_unit_test_setup(values_of_the_right_form_are_kept, set_up),
        cmocka_unit_test_setup(numbers_out_of_range_are_refused_with_a_sentence, set_up),
        cmocka_unit_test_setup(brokers_of_another_form_are_refused, set_up),
        cmocka_unit_test_setup(a_host_is_no_longer_than_dns_has_it, set_up),
        cmocka_unit_test_setup(passwords_that_no_network_can_have_are_refused_and_not_told, set_up),
        cmocka_unit_test_setup(other_texts_of_a_wrong_form_are_refused, set_up),
        cmocka_unit_test_setup(a_value_of_1_mb_is_refused, set_up),
        cmocka_unit_test_setup(setting_what_is_set_writes_nothing, set_up),
        cmocka_unit_test_setup(damaged_and_out_of_range_values_on_the_medium_count_as_not_set, set_up),
        cmocka_unit_test_setup(a_damaged_value_can_be_set_and_be_erased, set_up),
        cmocka_unit_test_setup(a_medium_that_cannot_be_read_leaves_factory_and_defaults, set_up),
        cmocka_unit_test_setup(with_the_storage_full_nothing_changes, set_up),
        cmocka_unit_test_setup(with_a_storage_that_fails_nothing_changes, set_up),
        cmocka_unit_test_setup(the_interval_of_an_older_firmware_is_taken_over_once, set_up),
        cmocka_unit_test_setup(an_older_key_never_replaces_what_was_set_since, set_up),
        cmocka_unit_test_setup(an_older_value_that_is_out_of_range_is_let_go, set_up),
        cmocka_unit_test_setup(an_older_value_counts_while_the_storage_is_full, set_up),
        cmocka_unit_test_setup(power_cut_at_any_write_of_the_migration_loses_nothing, set_up),
        cmocka_unit_test_setup(keys_are_found_by_their_names_alone, set_up),
        cmocka_unit_test_setup(every_sentence_fits_its_buffer, set_up),
        cmocka_unit_test(a_uri_is_split_into_its_parts),
        cmocka_unit_test(a_host_that_does_not_fit_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
