/* Changes that can cut the connection: kept when a publish is acknowledged, undone when none is, whatever happens. */
#include "core/config.h"
#include "port/fake/fake_kv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define TRIAL_MS (CONFIG_TRIAL_S * UINT64_C(1000))
#define OLD_BROKER "mqtts://old.example:8883"
#define NEW_BROKER "mqtts://new.example:8883"

static fake_kv_t s_kv, s_factory;
static config_t s_config;
static char s_sentence[CONFIG_SENTENCE_MAX_BYTES];

static void load(uint64_t now_ms)
{
    config_load(&s_config, &s_kv.port, &s_factory.port, now_ms);
}

static const char *set(config_key_t key, const char *value, uint64_t now_ms)
{
    return config_set(&s_config, key, value, now_ms, s_sentence, sizeof(s_sentence));
}

/* A device that works: its settings are in force, and a publish was acknowledged with them. */
static int set_up(void **state)
{
    (void)state;
    fake_kv_init(&s_kv);
    fake_kv_init(&s_factory);
    load(0);
    bool ok = set(CONFIG_BROKER_URI, OLD_BROKER, 0) == NULL && set(CONFIG_WIFI_SSID, "old", 0) == NULL &&
              set(CONFIG_WIFI_PASSWORD, "old password", 0) == NULL;
    config_confirm(&s_config);
    return ok && s_config.trial == CONFIG_TRIAL_NONE ? 0 : 1;
}

static void change_network(void)
{
    assert_null(set(CONFIG_WIFI_SSID, "new", 0));
}

static void assert_text(config_key_t key, const char *wanted)
{
    assert_string_equal(config_text(&s_config, key), wanted);
}

static void power_cycle(void)
{
    fake_kv_power_on(&s_kv);
    load(0);
}

static void assert_no_trial(void)
{
    assert_int_equal(s_config.trial, CONFIG_TRIAL_NONE);
    assert_true(config_next_due_ms(&s_config) == UINT64_MAX);
    assert_false(fake_kv_has(&s_kv, "config_trial"));
}

static void a_change_that_no_publish_confirms_is_undone_after_10_minutes(void **state)
{
    (void)state;
    assert_null(set(CONFIG_BROKER_URI, NEW_BROKER, 5000));
    assert_text(CONFIG_BROKER_URI, NEW_BROKER);
    assert_text(CONFIG_OTA_URL, "https://new.example:8070");
    assert_int_equal(config_next_due_ms(&s_config), 5000 + 600000);
    assert_false(config_undo_due(&s_config, 5000 + 600000 - 1));
    assert_text(CONFIG_BROKER_URI, NEW_BROKER);
    assert_true(config_undo_due(&s_config, 5000 + 600000));
    assert_text(CONFIG_BROKER_URI, OLD_BROKER);
    assert_text(CONFIG_OTA_URL, "https://old.example:8070");
    assert_true(fake_kv_is_text(&s_kv, "broker_uri", OLD_BROKER));
    assert_no_trial();
    assert_false(config_undo_due(&s_config, UINT64_MAX - 1));
}

static void an_acknowledged_publish_keeps_the_change(void **state)
{
    (void)state;
    assert_null(set(CONFIG_BROKER_URI, NEW_BROKER, 0));
    config_confirm(&s_config);
    assert_no_trial();
    assert_false(config_undo_due(&s_config, TRIAL_MS));
    power_cycle();
    assert_text(CONFIG_BROKER_URI, NEW_BROKER);
    assert_no_trial();
}

static void acknowledged_publishes_write_nothing_while_nothing_is_on_trial(void **state)
{
    (void)state;
    uint32_t writes = s_kv.writes;
    for (int i = 0; i < 1000; i++) {
        config_confirm(&s_config);
    }
    power_cycle();
    config_confirm(&s_config);
    assert_int_equal(s_kv.writes, writes);
}

static void what_cannot_cut_the_connection_is_not_on_trial(void **state)
{
    (void)state;
    assert_null(set(CONFIG_INTERVAL_S, "30", 0));
    assert_null(set(CONFIG_DEVICE_CODE, "D02", 0));
    assert_null(set(CONFIG_OTA_URL, "https://ota.example:8070", 0));
    assert_no_trial();
}

static void a_device_that_never_got_through_has_nothing_on_trial(void **state)
{
    (void)state;
    fake_kv_init(&s_kv);
    load(0);
    assert_null(set(CONFIG_BROKER_URI, NEW_BROKER, 0));
    assert_null(set(CONFIG_WIFI_SSID, "new", 0));
    assert_no_trial();
    power_cycle();
    assert_text(CONFIG_BROKER_URI, NEW_BROKER);
    assert_no_trial();
}

static void several_changes_go_back_to_what_was_before_the_first(void **state)
{
    (void)state;
    assert_null(set(CONFIG_WIFI_SSID, "new", 0));
    assert_null(set(CONFIG_WIFI_PASSWORD, "new password", 60000));
    assert_null(set(CONFIG_WIFI_SSID, "newer", 120000));
    assert_null(set(CONFIG_BROKER_URI, NEW_BROKER, 180000));
    assert_null(set(CONFIG_APN, "new.example", 180000));
    assert_null(set(CONFIG_INTERVAL_S, "30", 180000));
    assert_false(config_undo_due(&s_config, 180000 + TRIAL_MS - 1)); /* each change begins the time anew */
    assert_true(config_undo_due(&s_config, 180000 + TRIAL_MS));
    assert_text(CONFIG_WIFI_SSID, "old");
    assert_text(CONFIG_WIFI_PASSWORD, "old password");
    assert_text(CONFIG_BROKER_URI, OLD_BROKER);
    assert_text(CONFIG_APN, "claro.com.br");
    assert_int_equal(config_source(&s_config, CONFIG_APN), CONFIG_FROM_DEFAULT);
    assert_text(CONFIG_INTERVAL_S, "30");
    assert_no_trial();
    power_cycle();
    assert_text(CONFIG_WIFI_SSID, "old");
    assert_text(CONFIG_APN, "claro.com.br");
}

static void the_longest_values_of_all_four_keys_fit_a_trial(void **state)
{
    (void)state;
    char label[64] = "";
    char psk[65] = "";
    char uri[CONFIG_VALUE_MAX_BYTES + 1];
    memset(label, 'a', 63);
    memset(psk, 'f', 64);
    (void)snprintf(uri, sizeof(uri), "mqtts://%s.%s.%s.%.61s:65535", label, label, label, label);
    for (int round = 0; round < 2; round++) {
        assert_null(set(CONFIG_BROKER_URI, round == 0 ? uri : NEW_BROKER, 0));
        assert_null(set(CONFIG_WIFI_SSID, round == 0 ? "12345678901234567890123456789012" : "new", 0));
        assert_null(set(CONFIG_WIFI_PASSWORD, round == 0 ? psk : "new password", 0));
        assert_null(set(CONFIG_APN, round == 0 ? label : "new.example", 0));
        if (round == 0) {
            config_confirm(&s_config);
        }
    }
    assert_true(config_undo_due(&s_config, TRIAL_MS));
    assert_text(CONFIG_BROKER_URI, uri);
    assert_text(CONFIG_WIFI_SSID, "12345678901234567890123456789012");
    assert_text(CONFIG_WIFI_PASSWORD, psk);
    assert_text(CONFIG_APN, label);
}

static void back_to_the_factorys_value_is_a_change_like_any_other(void **state)
{
    (void)state;
    fake_kv_put_text(&s_factory, "broker_uri", NEW_BROKER);
    assert_null(set(CONFIG_BROKER_URI, "", 0));
    assert_text(CONFIG_BROKER_URI, NEW_BROKER);
    assert_true(config_undo_due(&s_config, TRIAL_MS));
    assert_text(CONFIG_BROKER_URI, OLD_BROKER);
    assert_int_equal(config_source(&s_config, CONFIG_BROKER_URI), CONFIG_FROM_USER);
}

static void the_factorys_password_comes_back_with_the_factorys_network(void **state)
{
    (void)state;
    fake_kv_put_text(&s_factory, "wifi_ssid", "factory");
    fake_kv_put_text(&s_factory, "wifi_password", "segredo123");
    assert_null(set(CONFIG_WIFI_PASSWORD, "", 0));
    assert_null(set(CONFIG_WIFI_SSID, "", 0));
    config_confirm(&s_config);
    assert_text(CONFIG_WIFI_PASSWORD, "segredo123");
    assert_null(set(CONFIG_WIFI_SSID, "new", 0));
    assert_text(CONFIG_WIFI_PASSWORD, "");
    assert_true(config_undo_due(&s_config, TRIAL_MS));
    assert_text(CONFIG_WIFI_SSID, "factory");
    assert_text(CONFIG_WIFI_PASSWORD, "segredo123");
}

static void a_trial_goes_on_after_a_reboot_and_is_undone_then(void **state)
{
    (void)state;
    assert_null(set(CONFIG_WIFI_SSID, "new", 300000));
    load(7000);
    assert_text(CONFIG_WIFI_SSID, "new");
    assert_int_equal(s_config.trial, CONFIG_TRIAL_RUNS);
    assert_false(config_undo_due(&s_config, 7000 + TRIAL_MS - 1));
    assert_true(config_undo_due(&s_config, 7000 + TRIAL_MS));
    assert_text(CONFIG_WIFI_SSID, "old");
    assert_no_trial();
}

static void a_trial_goes_on_after_a_reboot_and_is_confirmed_then(void **state)
{
    (void)state;
    assert_null(set(CONFIG_WIFI_SSID, "new", 0));
    power_cycle();
    config_confirm(&s_config);
    assert_no_trial();
    power_cycle();
    assert_text(CONFIG_WIFI_SSID, "new");
}

static void changes_before_and_after_a_reboot_go_back_together(void **state)
{
    (void)state;
    assert_null(set(CONFIG_WIFI_SSID, "new", 0));
    power_cycle();
    assert_null(set(CONFIG_WIFI_PASSWORD, "new password", 1000));
    assert_null(set(CONFIG_WIFI_SSID, "newer", 2000));
    assert_true(config_undo_due(&s_config, 2000 + TRIAL_MS));
    assert_text(CONFIG_WIFI_SSID, "old");
    assert_text(CONFIG_WIFI_PASSWORD, "old password");
}

static void a_change_that_keeps_the_device_restarting_is_undone(void **state)
{
    (void)state;
    assert_null(set(CONFIG_BROKER_URI, NEW_BROKER, 0));
    for (int boots = 0; boots < CONFIG_TRIAL_BOOTS_MAX; boots++) {
        power_cycle();
        assert_text(CONFIG_BROKER_URI, NEW_BROKER);
        assert_false(s_config.undone_at_power_up);
    }
    power_cycle();
    assert_text(CONFIG_BROKER_URI, OLD_BROKER);
    assert_true(s_config.undone_at_power_up);
    assert_no_trial();
    power_cycle();
    assert_false(s_config.undone_at_power_up);
}

static void a_later_change_has_all_its_power_ups(void **state)
{
    (void)state;
    change_network();
    for (int boots = 0; boots < CONFIG_TRIAL_BOOTS_MAX; boots++) {
        power_cycle();
    }
    assert_null(set(CONFIG_BROKER_URI, NEW_BROKER, 0));
    power_cycle();
    assert_text(CONFIG_BROKER_URI, NEW_BROKER);
    assert_text(CONFIG_WIFI_SSID, "new");
}

/* Whether a publish was ever acknowledged is known of this power-up alone; a trial that it began goes on. */
static void a_device_whose_storage_did_not_take_that_it_is_proven_keeps_its_trial(void **state)
{
    (void)state;
    fake_kv_init(&s_kv);
    load(0);
    s_kv.fail_from_write = 1;
    config_confirm(&s_config);
    s_kv.fail_from_write = 0;
    assert_null(set(CONFIG_WIFI_SSID, "new", 0));
    power_cycle();
    assert_false(s_config.proven);
    assert_null(set(CONFIG_BROKER_URI, NEW_BROKER, 0));
    assert_true(config_undo_due(&s_config, TRIAL_MS));
    assert_text(CONFIG_WIFI_SSID, "");
    assert_text(CONFIG_BROKER_URI, "");
}

/* What may be found: the old value; or the new one, and then it is on trial. */
static void assert_old_or_on_trial(void)
{
    const char *text = config_text(&s_config, CONFIG_BROKER_URI);
    bool is_old = strcmp(text, OLD_BROKER) == 0;
    bool is_new = strcmp(text, NEW_BROKER) == 0;
    assert_true(is_old || is_new);
    assert_true(is_old || s_config.trial == CONFIG_TRIAL_RUNS);
}

static const fake_kv_cut_t CUTS[] = {FAKE_KV_CUT_KEEPS_OLD, FAKE_KV_CUT_KEEPS_NEW};

/* Does it with power going at its first write, its second and so on, until there was none to cut, and looks at what the
 * next power-up finds. */
static void cut_each_write(void (*prepare)(void), void (*act)(void), void (*check)(void))
{
    for (size_t i = 0; i < 2; i++) {
        bool was_cut = true;
        uint32_t at = 0;
        while (was_cut) {
            assert_int_equal(set_up(NULL), 0);
            prepare();
            at++;
            s_kv.cut = CUTS[i];
            s_kv.cut_at_write = s_kv.writes + at;
            act();
            was_cut = s_kv.power_is_off;
            power_cycle();
            check();
        }
        assert_true(at > 2); /* more than one write was cut */
    }
}

static void nothing(void)
{
}

static void change_broker(void)
{
    (void)set(CONFIG_BROKER_URI, NEW_BROKER, 0);
}

static void undone_or_old(void)
{
    assert_old_or_on_trial();
    (void)config_undo_due(&s_config, TRIAL_MS);
    assert_text(CONFIG_BROKER_URI, OLD_BROKER);
    assert_no_trial();
    power_cycle();
    assert_text(CONFIG_BROKER_URI, OLD_BROKER);
}

static void power_cut_at_any_write_of_a_change_leaves_the_old_or_the_trial(void **state)
{
    (void)state;
    cut_each_write(nothing, change_broker, undone_or_old);
}

static void change_password_and_broker(void)
{
    (void)set(CONFIG_WIFI_PASSWORD, "new password", 0);
    (void)set(CONFIG_BROKER_URI, NEW_BROKER, 0);
}

static void all_old_after_the_trial(void)
{
    (void)config_undo_due(&s_config, TRIAL_MS);
    assert_text(CONFIG_WIFI_SSID, "old");
    assert_text(CONFIG_WIFI_PASSWORD, "old password");
    assert_text(CONFIG_BROKER_URI, OLD_BROKER);
    assert_no_trial();
    power_cycle();
    assert_text(CONFIG_WIFI_SSID, "old");
    assert_text(CONFIG_WIFI_PASSWORD, "old password");
    assert_text(CONFIG_BROKER_URI, OLD_BROKER);
}

static void power_cut_at_any_write_of_a_later_change_undoes_all(void **state)
{
    (void)state;
    cut_each_write(change_network, change_password_and_broker, all_old_after_the_trial);
}

static void change_all(void)
{
    change_network();
    change_password_and_broker();
}

static void let_the_trial_end(void)
{
    (void)config_undo_due(&s_config, TRIAL_MS);
}

static void power_cut_at_any_write_of_an_undo_leaves_nothing_half_undone(void **state)
{
    (void)state;
    cut_each_write(change_all, let_the_trial_end, all_old_after_the_trial);
}

/* An undo that had begun is ended by the next power-up, not ten minutes later. */
static void power_cut_within_an_undo_does_not_give_the_trial_its_time_again(void **state)
{
    (void)state;
    change_all();
    s_kv.cut_at_write = s_kv.writes + 3;
    let_the_trial_end();
    assert_true(s_kv.power_is_off);
    power_cycle();
    assert_text(CONFIG_WIFI_SSID, "old");
    assert_text(CONFIG_WIFI_PASSWORD, "old password");
    assert_text(CONFIG_BROKER_URI, OLD_BROKER);
    assert_no_trial();
}

static void use_up_the_boots(void)
{
    change_all();
    for (int boots = 0; boots < CONFIG_TRIAL_BOOTS_MAX; boots++) {
        power_cycle();
    }
}

static void power_up(void)
{
    load(0);
}

static void power_cut_at_any_write_of_an_undo_at_power_up_leaves_nothing_half_undone(void **state)
{
    (void)state;
    cut_each_write(use_up_the_boots, power_up, all_old_after_the_trial);
}

static void power_cut_at_the_confirmation_keeps_the_new_value(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(set_up(NULL), 0);
        change_broker();
        s_kv.cut = CUTS[i];
        s_kv.cut_at_write = s_kv.writes + 1;
        config_confirm(&s_config);
        assert_true(s_kv.power_is_off);
        power_cycle();
        assert_text(CONFIG_BROKER_URI, NEW_BROKER);
        config_confirm(&s_config);
        assert_no_trial();
    }
}

static void with_the_storage_full_nothing_changes_and_nothing_is_on_trial(void **state)
{
    (void)state;
    size_t used = fake_kv_used_bytes(&s_kv);
    /* With room for the trial and not for the value too, and with room for neither. */
    for (size_t room = 0; room < 512; room += FAKE_KV_ENTRY_BYTES) {
        s_kv.room_bytes = used + room;
        if (set(CONFIG_BROKER_URI, NEW_BROKER, 0) == NULL) {
            assert_true(room > 0);
            return;
        }
        assert_string_equal(set(CONFIG_BROKER_URI, NEW_BROKER, 0), "The storage is full; nothing was changed.");
        assert_text(CONFIG_BROKER_URI, OLD_BROKER);
        assert_true(fake_kv_is_text(&s_kv, "broker_uri", OLD_BROKER));
        assert_no_trial();
    }
    fail();
}

static void with_the_storage_full_a_running_trial_goes_on(void **state)
{
    (void)state;
    bool taken = false;
    for (size_t room = 0; !taken; room += FAKE_KV_ENTRY_BYTES) {
        assert_int_equal(set_up(NULL), 0);
        change_network();
        s_kv.room_bytes = fake_kv_used_bytes(&s_kv) + room;
        taken = set(CONFIG_BROKER_URI, "mqtts://a.broker.with.a.long.name.in.a.long.domain.example:8883", 0) == NULL;
        if (!taken) {
            assert_text(CONFIG_BROKER_URI, OLD_BROKER);
            assert_int_equal(s_config.trial, CONFIG_TRIAL_RUNS);
        }
        s_kv.room_bytes = 1 << 20;
        assert_true(config_undo_due(&s_config, TRIAL_MS));
        assert_text(CONFIG_WIFI_SSID, "old");
        assert_text(CONFIG_BROKER_URI, OLD_BROKER);
    }
}

/* The former value is the longer one, and something else has taken the room since. */
static void an_undo_without_room_is_in_force_and_made_up_when_there_is_some(void **state)
{
    (void)state;
    assert_null(set(CONFIG_BROKER_URI, "mqtt://b", 0));
    assert_null(set(CONFIG_WIFI_SSID, "new", 0));
    s_kv.room_bytes = fake_kv_used_bytes(&s_kv) + 2 * FAKE_KV_ENTRY_BYTES - 1;
    for (uint64_t due_ms = TRIAL_MS; due_ms < 4 * TRIAL_MS; due_ms += TRIAL_MS) {
        assert_int_equal(config_undo_due(&s_config, due_ms), due_ms == TRIAL_MS);
        assert_text(CONFIG_BROKER_URI, OLD_BROKER);
        assert_int_equal(s_config.trial, CONFIG_TRIAL_UNDONE);
        assert_true(fake_kv_has(&s_kv, "config_trial"));
    }
    /* Nor was there room to note that it had begun: the next power-up finds the trial as it was. */
    power_cycle();
    assert_int_equal(s_config.trial, CONFIG_TRIAL_RUNS);
    assert_true(config_undo_due(&s_config, TRIAL_MS));
    assert_text(CONFIG_BROKER_URI, OLD_BROKER);
    s_kv.room_bytes = 1 << 20;
    assert_false(config_undo_due(&s_config, 2 * TRIAL_MS));
    assert_true(fake_kv_is_text(&s_kv, "broker_uri", OLD_BROKER));
    assert_no_trial();
}

/* As NVS does when it has written the new value and could not remove the old one (ESP_ERR_NVS_REMOVE_FAILED). */
static kv_status_t store_and_say_failed(void *ctx, const char *key, const void *value, size_t len_bytes)
{
    kv_status_t status = s_kv.port.set(ctx, key, value, len_bytes);
    bool is_new_broker = strcmp(key, "broker_uri") == 0 && strncmp(value, NEW_BROKER, len_bytes) == 0;
    return is_new_broker ? KV_FAILED : status;
}

static void a_value_that_was_written_and_said_to_have_failed_is_taken_back(void **state)
{
    (void)state;
    port_kv_t port = s_kv.port;
    port.set = store_and_say_failed;
    config_load(&s_config, &port, NULL, 0);
    assert_string_equal(set(CONFIG_BROKER_URI, NEW_BROKER, 0), "The storage can't be written; nothing was changed.");
    assert_true(fake_kv_is_text(&s_kv, "broker_uri", OLD_BROKER));
    assert_no_trial();
}

static void a_storage_that_fails_at_any_write_of_a_change_changes_nothing(void **state)
{
    (void)state;
    for (uint32_t at = 1; at <= 2; at++) {
        assert_int_equal(set_up(NULL), 0);
        s_kv.fail_from_write = s_kv.writes + at;
        assert_string_equal(set(CONFIG_BROKER_URI, NEW_BROKER, 0),
                            "The storage can't be written; nothing was changed.");
        assert_text(CONFIG_BROKER_URI, OLD_BROKER);
        assert_false(config_undo_due(&s_config, TRIAL_MS));
        /* What is left of a trial of nothing goes as soon as the medium can be written. */
        fake_kv_power_on(&s_kv);
        config_confirm(&s_config);
        assert_text(CONFIG_BROKER_URI, OLD_BROKER);
        assert_no_trial();
    }
}

static void a_change_waits_for_a_storage_that_did_not_take_the_last_confirmation(void **state)
{
    (void)state;
    change_broker();
    s_kv.fail_from_write = s_kv.writes + 1;
    config_confirm(&s_config);
    assert_int_equal(s_config.trial, CONFIG_TRIAL_PASSED);
    assert_false(config_undo_due(&s_config, TRIAL_MS)); /* it was confirmed, whatever the medium says */
    assert_non_null(set(CONFIG_WIFI_SSID, "new", 0));
    fake_kv_power_on(&s_kv);
    assert_null(set(CONFIG_WIFI_SSID, "new", 0));
    assert_true(config_undo_due(&s_config, TRIAL_MS));
    assert_text(CONFIG_BROKER_URI, NEW_BROKER);
    assert_text(CONFIG_WIFI_SSID, "old");
}

static void an_undo_that_the_storage_does_not_take_is_in_force_and_tried_again(void **state)
{
    (void)state;
    change_all();
    s_kv.fail_from_write = s_kv.writes + 1;
    assert_true(config_undo_due(&s_config, TRIAL_MS));
    assert_text(CONFIG_BROKER_URI, OLD_BROKER);
    assert_int_equal(s_config.trial, CONFIG_TRIAL_UNDONE);
    config_confirm(&s_config); /* by the former values: nothing of what failed is kept for it */
    assert_non_null(set(CONFIG_WIFI_SSID, "newer", TRIAL_MS));
    assert_false(config_undo_due(&s_config, 2 * TRIAL_MS));
    assert_int_equal(config_next_due_ms(&s_config), 3 * TRIAL_MS);
    fake_kv_power_on(&s_kv);
    assert_false(config_undo_due(&s_config, 3 * TRIAL_MS));
    assert_no_trial();
    assert_true(fake_kv_is_text(&s_kv, "broker_uri", OLD_BROKER));
    assert_true(fake_kv_is_text(&s_kv, "wifi_ssid", "old"));
}

static void an_undo_that_the_storage_did_not_take_is_made_up_before_the_next_change(void **state)
{
    (void)state;
    change_all();
    s_kv.fail_from_write = s_kv.writes + 1;
    assert_true(config_undo_due(&s_config, TRIAL_MS));
    fake_kv_power_on(&s_kv);
    assert_null(set(CONFIG_APN, "new.example", TRIAL_MS));
    assert_true(fake_kv_is_text(&s_kv, "broker_uri", OLD_BROKER));
    config_confirm(&s_config);
    power_cycle();
    assert_text(CONFIG_BROKER_URI, OLD_BROKER);
    assert_text(CONFIG_APN, "new.example");
}

static void a_trial_that_cannot_be_read_is_tried_again_later(void **state)
{
    (void)state;
    change_broker();
    s_kv.fail_gets = true;
    assert_false(config_undo_due(&s_config, TRIAL_MS));
    assert_non_null(set(CONFIG_WIFI_SSID, "new", TRIAL_MS));
    assert_text(CONFIG_BROKER_URI, NEW_BROKER);
    s_kv.fail_gets = false;
    assert_true(config_undo_due(&s_config, 2 * TRIAL_MS));
    assert_text(CONFIG_BROKER_URI, OLD_BROKER);
}

static void an_undo_that_cannot_be_read_holds_a_change_back(void **state)
{
    (void)state;
    change_all();
    s_kv.fail_from_write = s_kv.writes + 1;
    assert_true(config_undo_due(&s_config, TRIAL_MS));
    fake_kv_power_on(&s_kv);
    s_kv.fail_gets = true;
    assert_non_null(set(CONFIG_APN, "new.example", TRIAL_MS));
    assert_false(config_undo_due(&s_config, 2 * TRIAL_MS));
    assert_int_equal(s_config.trial, CONFIG_TRIAL_UNDONE);
    s_kv.fail_gets = false;
    assert_null(set(CONFIG_APN, "new.example", 2 * TRIAL_MS));
}

static void a_trial_that_is_damaged_while_it_runs_gives_nothing_back(void **state)
{
    (void)state;
    change_broker();
    fake_kv_put(&s_kv, "config_trial", "\x01\x00\x03", 3);
    assert_false(config_undo_due(&s_config, TRIAL_MS));
    assert_non_null(set(CONFIG_APN, "new.example", TRIAL_MS));
    config_confirm(&s_config);
    assert_no_trial();
    assert_text(CONFIG_BROKER_URI, NEW_BROKER);
}

/* Of a firmware with more keys, before it was taken back. */
static void a_trial_without_room_for_another_key_refuses_it(void **state)
{
    (void)state;
    static uint8_t trial[2 + 1 + 5 + 2 + 520] = {1, 0, 5, 'o', 't', 'h', 'e', 'r', 520 & 0xFF, 520 >> 8};
    fake_kv_put(&s_kv, "config_trial", trial, sizeof(trial));
    power_cycle();
    assert_string_equal(set(CONFIG_BROKER_URI, NEW_BROKER, 0), "The storage is full; nothing was changed.");
    assert_text(CONFIG_BROKER_URI, OLD_BROKER);
    assert_int_equal(s_config.trial, CONFIG_TRIAL_RUNS);
}

static void a_trial_that_a_power_up_could_not_read_goes_on_at_the_next(void **state)
{
    (void)state;
    change_broker();
    s_kv.fail_gets = true;
    load(0);
    assert_int_equal(s_config.trial, CONFIG_TRIAL_NONE);
    power_cycle();
    assert_int_equal(s_config.trial, CONFIG_TRIAL_RUNS);
    assert_true(config_undo_due(&s_config, TRIAL_MS));
    assert_text(CONFIG_BROKER_URI, OLD_BROKER);
}

static void assert_trial_is_let_go(const void *bytes, size_t len)
{
    assert_int_equal(set_up(NULL), 0);
    fake_kv_put(&s_kv, "config_trial", bytes, len);
    power_cycle();
    assert_no_trial();
    assert_text(CONFIG_BROKER_URI, OLD_BROKER);
}

static void a_damaged_trial_is_let_go(void **state)
{
    (void)state;
    static uint8_t too_long[600] = {1, 0};
    assert_trial_is_let_go("", 0);
    assert_trial_is_let_go("\x01", 1);
    assert_trial_is_let_go("\x02\x00", 2);
    assert_trial_is_let_go("\x01\x00\x03", 3);
    assert_trial_is_let_go("\x01\x00\x03"
                           "apn",
                           6);
    assert_trial_is_let_go("\x01\x00\x03"
                           "apn\x00",
                           7);
    assert_trial_is_let_go("\x01\x00\x03"
                           "apn\x02\x00x",
                           9);
    assert_trial_is_let_go("\x01\x00\xFF", 3);
    assert_trial_is_let_go(too_long, sizeof(too_long));
    assert_int_equal(set_up(NULL), 0);
    fake_kv_put(&s_kv, "config_trial", "\x01\x00", 2);
    fake_kv_damage(&s_kv, "config_trial");
    power_cycle();
    assert_int_equal(s_config.trial, CONFIG_TRIAL_NONE);
    assert_null(set(CONFIG_BROKER_URI, NEW_BROKER, 0)); /* and the next one takes its place */
    assert_true(config_undo_due(&s_config, TRIAL_MS));
    assert_text(CONFIG_BROKER_URI, OLD_BROKER);
}

static void former_values_that_are_none_count_as_not_set(void **state)
{
    (void)state;
    static const char NOT_AN_APN[] = "\x01\x00\x03"
                                     "apn\x03\x00x y";
    static uint8_t endless[2 + 1 + 3 + 2 + 300] = {1, 0, 3, 'a', 'p', 'n', 300 & 0xFF, 300 >> 8};
    assert_null(set(CONFIG_APN, "new.example", 0));
    fake_kv_put(&s_kv, "config_trial", NOT_AN_APN, sizeof(NOT_AN_APN) - 1);
    power_cycle();
    assert_true(config_undo_due(&s_config, TRIAL_MS));
    assert_text(CONFIG_APN, "claro.com.br");
    assert_null(set(CONFIG_APN, "new.example", 0));
    memset(endless + 8, 'a', 300);
    fake_kv_put(&s_kv, "config_trial", endless, sizeof(endless));
    power_cycle();
    assert_true(config_undo_due(&s_config, TRIAL_MS));
    assert_text(CONFIG_APN, "claro.com.br");
}

static void keys_of_another_firmware_in_a_trial_are_passed_over(void **state)
{
    (void)state;
    static const char TRIAL[] = "\x01\x00\x05"
                                "other\x01\x00x"
                                "\x11"
                                "seventeen letters\x00\x00"
                                "\x0A"
                                "broker_uri\x18\x00" OLD_BROKER;
    assert_null(set(CONFIG_BROKER_URI, NEW_BROKER, 0));
    fake_kv_put(&s_kv, "config_trial", TRIAL, sizeof(TRIAL) - 1);
    power_cycle();
    assert_int_equal(s_config.trial, CONFIG_TRIAL_RUNS);
    assert_true(config_undo_due(&s_config, TRIAL_MS));
    assert_text(CONFIG_BROKER_URI, OLD_BROKER);
    assert_false(fake_kv_has(&s_kv, "other"));
    assert_no_trial();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_change_that_no_publish_confirms_is_undone_after_10_minutes, set_up),
        cmocka_unit_test_setup(an_acknowledged_publish_keeps_the_change, set_up),
        cmocka_unit_test_setup(acknowledged_publishes_write_nothing_while_nothing_is_on_trial, set_up),
        cmocka_unit_test_setup(what_cannot_cut_the_connection_is_not_on_trial, set_up),
        cmocka_unit_test_setup(a_device_that_never_got_through_has_nothing_on_trial, set_up),
        cmocka_unit_test_setup(several_changes_go_back_to_what_was_before_the_first, set_up),
        cmocka_unit_test_setup(the_longest_values_of_all_four_keys_fit_a_trial, set_up),
        cmocka_unit_test_setup(back_to_the_factorys_value_is_a_change_like_any_other, set_up),
        cmocka_unit_test_setup(the_factorys_password_comes_back_with_the_factorys_network, set_up),
        cmocka_unit_test_setup(a_trial_goes_on_after_a_reboot_and_is_undone_then, set_up),
        cmocka_unit_test_setup(a_trial_goes_on_after_a_reboot_and_is_confirmed_then, set_up),
        cmocka_unit_test_setup(changes_before_and_after_a_reboot_go_back_together, set_up),
        cmocka_unit_test_setup(a_change_that_keeps_the_device_restarting_is_undone, set_up),
        cmocka_unit_test_setup(a_later_change_has_all_its_power_ups, set_up),
        cmocka_unit_test(a_device_whose_storage_did_not_take_that_it_is_proven_keeps_its_trial),
        cmocka_unit_test(power_cut_at_any_write_of_a_change_leaves_the_old_or_the_trial),
        cmocka_unit_test(power_cut_at_any_write_of_a_later_change_undoes_all),
        cmocka_unit_test(power_cut_at_any_write_of_an_undo_leaves_nothing_half_undone),
        cmocka_unit_test_setup(power_cut_within_an_undo_does_not_give_the_trial_its_time_again, set_up),
        cmocka_unit_test(power_cut_at_any_write_of_an_undo_at_power_up_leaves_nothing_half_undone),
        cmocka_unit_test(power_cut_at_the_confirmation_keeps_the_new_value),
        cmocka_unit_test_setup(with_the_storage_full_nothing_changes_and_nothing_is_on_trial, set_up),
        cmocka_unit_test(with_the_storage_full_a_running_trial_goes_on),
        cmocka_unit_test_setup(an_undo_without_room_is_in_force_and_made_up_when_there_is_some, set_up),
        cmocka_unit_test_setup(a_value_that_was_written_and_said_to_have_failed_is_taken_back, set_up),
        cmocka_unit_test(a_storage_that_fails_at_any_write_of_a_change_changes_nothing),
        cmocka_unit_test_setup(a_change_waits_for_a_storage_that_did_not_take_the_last_confirmation, set_up),
        cmocka_unit_test_setup(an_undo_that_the_storage_does_not_take_is_in_force_and_tried_again, set_up),
        cmocka_unit_test_setup(an_undo_that_the_storage_did_not_take_is_made_up_before_the_next_change, set_up),
        cmocka_unit_test_setup(a_trial_that_cannot_be_read_is_tried_again_later, set_up),
        cmocka_unit_test_setup(an_undo_that_cannot_be_read_holds_a_change_back, set_up),
        cmocka_unit_test_setup(a_trial_that_is_damaged_while_it_runs_gives_nothing_back, set_up),
        cmocka_unit_test_setup(a_trial_without_room_for_another_key_refuses_it, set_up),
        cmocka_unit_test_setup(a_trial_that_a_power_up_could_not_read_goes_on_at_the_next, set_up),
        cmocka_unit_test(a_damaged_trial_is_let_go),
        cmocka_unit_test_setup(former_values_that_are_none_count_as_not_set, set_up),
        cmocka_unit_test_setup(keys_of_another_firmware_in_a_trial_are_passed_over, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
