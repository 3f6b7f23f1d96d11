/* The two slots: what is believed of esp_ota_ops, and what is not. */
#include "chip_ota.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "chip_mqtt.h"
#include "esp_ota_ops.h"
#include "esp_system.h"
#include "esp_timer.h"

#define SECTOR_BYTES 4096
#define US_PER_S 1000000

enum { RESTARTED = 1, ABORTED };

static esp_partition_t s_slots[2];
static esp_ota_img_states_t s_states[2];
static bool s_has_entry[2], s_has_slots, s_takes_entries, s_image_is_good;
static uint8_t s_running, s_boots;
static uint32_t s_erased_bytes, s_written_bytes;
static esp_err_t s_marks;
static bool s_said_goodbye, s_marked_invalid;
static esp_timer_create_args_t s_timer;
static uint64_t s_due_us; /* 0: it is not running */
static bool s_has_timers;
static jmp_buf s_gone;

_Noreturn void esp_restart(void)
{
    longjmp(s_gone, RESTARTED);
}

_Noreturn void esp_system_abort(const char *details)
{
    assert_true(strlen(details) > 20);
    longjmp(s_gone, ABORTED);
}

void chip_mqtt_settle(uint32_t timeout_ms)
{
    assert_in_range(timeout_ms, 1, 10000);
    s_said_goodbye = true;
}

const esp_partition_t *esp_partition_find_first(esp_partition_type_t type, esp_partition_subtype_t subtype,
                                                const char *label)
{
    assert_int_equal(type, ESP_PARTITION_TYPE_APP);
    assert_null(label);
    return s_has_slots ? &s_slots[subtype == ESP_PARTITION_SUBTYPE_APP_OTA_1 ? 1 : 0] : NULL;
}

esp_err_t esp_partition_read(const esp_partition_t *partition, size_t offset, void *out, size_t size)
{
    (void)partition, (void)offset;
    memset(out, 0xA5, size);
    return ESP_OK;
}

esp_err_t esp_partition_write(const esp_partition_t *partition, size_t offset, const void *data, size_t size)
{
    (void)offset, (void)data;
    assert_ptr_not_equal(partition, &s_slots[s_running]);
    s_written_bytes += (uint32_t)size;
    return ESP_OK;
}

esp_err_t esp_partition_erase_range(const esp_partition_t *partition, size_t offset, size_t size)
{
    assert_ptr_not_equal(partition, &s_slots[s_running]);
    assert_int_equal(offset % SECTOR_BYTES, 0);
    s_erased_bytes += (uint32_t)size;
    return ESP_OK;
}

const esp_partition_t *esp_ota_get_running_partition(void)
{
    return &s_slots[s_running];
}

const esp_partition_t *esp_ota_get_boot_partition(void)
{
    return &s_slots[s_boots];
}

esp_err_t esp_ota_get_state_partition(const esp_partition_t *partition, esp_ota_img_states_t *out)
{
    const size_t slot = (size_t)(partition - s_slots);
    *out = s_states[slot];
    return s_has_entry[slot] ? ESP_OK : ESP_FAIL;
}

esp_err_t esp_ota_set_boot_partition(const esp_partition_t *partition)
{
    const uint8_t slot = (uint8_t)(partition - s_slots);
    if (!s_image_is_good) {
        return ESP_FAIL;
    }
    if (s_takes_entries) {
        s_states[slot] = ESP_OTA_IMG_NEW;
        s_has_entry[slot] = true;
        s_boots = slot;
    }
    return ESP_OK;
}

esp_err_t esp_ota_mark_app_valid_cancel_rollback(void)
{
    if (s_takes_entries) {
        s_states[s_running] = ESP_OTA_IMG_VALID;
    }
    return s_marks;
}

esp_err_t esp_ota_mark_app_invalid_rollback_and_reboot(void)
{
    s_marked_invalid = true;
    if (s_marks == ESP_OK) {
        esp_restart();
    }
    return s_marks;
}

esp_err_t esp_timer_create(const esp_timer_create_args_t *args, esp_timer_handle_t *out)
{
    s_timer = *args;
    *out = (esp_timer_handle_t)(uintptr_t)&s_timer;
    return s_has_timers ? ESP_OK : ESP_FAIL;
}

esp_err_t esp_timer_start_once(esp_timer_handle_t timer, uint64_t timeout_us)
{
    assert_ptr_equal(timer, &s_timer);
    s_due_us = timeout_us;
    return ESP_OK;
}

esp_err_t esp_timer_stop(esp_timer_handle_t timer)
{
    assert_ptr_equal(timer, &s_timer);
    s_due_us = 0;
    return ESP_OK;
}

static int begin(void **state)
{
    (void)state;
    s_slots[0] = (esp_partition_t){.subtype = ESP_PARTITION_SUBTYPE_APP_OTA_0, .size = 0x170000};
    s_slots[1] = (esp_partition_t){.subtype = ESP_PARTITION_SUBTYPE_APP_OTA_1, .size = 0x170000};
    s_has_slots = s_takes_entries = s_image_is_good = s_has_timers = true;
    s_running = s_boots = 0;
    s_states[0] = ESP_OTA_IMG_VALID;
    s_has_entry[0] = true;
    s_has_entry[1] = false;
    s_marks = ESP_OK;
    s_erased_bytes = s_written_bytes = 0;
    s_said_goodbye = s_marked_invalid = false;
    s_due_us = 0;
    return 0;
}

static void on_trial(void)
{
    s_running = s_boots = 1;
    s_states[1] = ESP_OTA_IMG_PENDING_VERIFY;
    s_has_entry[1] = true;
}

static void the_states_are_those_of_the_boot_loader(void **state)
{
    (void)state;
    static const struct {
        esp_ota_img_states_t theirs;
        image_state_t ours;
    } ROWS[] = {
        {ESP_OTA_IMG_NEW, IMAGE_NEW},         {ESP_OTA_IMG_PENDING_VERIFY, IMAGE_PENDING_VERIFY},
        {ESP_OTA_IMG_VALID, IMAGE_VALID},     {ESP_OTA_IMG_INVALID, IMAGE_INVALID},
        {ESP_OTA_IMG_ABORTED, IMAGE_ABORTED}, {ESP_OTA_IMG_UNDEFINED, IMAGE_UNDEFINED},
    };
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        s_states[0] = ROWS[i].theirs;
        assert_int_equal(chip_ota.state(chip_ota.ctx, 0), ROWS[i].ours);
    }
    assert_int_equal(chip_ota.state(chip_ota.ctx, 1), IMAGE_UNDEFINED); /* it has no entry */
}

static void the_image_that_runs_is_never_written_to_or_set_to_boot(void **state)
{
    (void)state;
    assert_false(chip_ota.erase(chip_ota.ctx, 0, 0, SECTOR_BYTES));
    assert_false(chip_ota.write(chip_ota.ctx, 0, 0, "x", 1));
    assert_false(chip_ota.set_boot(chip_ota.ctx, 0));
    assert_false(chip_ota.erase(chip_ota.ctx, 2, 0, SECTOR_BYTES));
    assert_int_equal(s_erased_bytes + s_written_bytes, 0);
    assert_true(chip_ota.erase(chip_ota.ctx, 1, SECTOR_BYTES, SECTOR_BYTES));
    assert_true(chip_ota.write(chip_ota.ctx, 1, SECTOR_BYTES, "x", 1));
}

static void a_slot_holds_what_fits_the_smaller_one(void **state)
{
    (void)state;
    s_slots[1].size = 0x100000;
    assert_int_equal(chip_ota.slot_bytes(chip_ota.ctx), 0x100000);
    s_has_slots = false; /* another partition table */
    assert_int_equal(chip_ota.slot_bytes(chip_ota.ctx), 0);
    assert_false(chip_ota.set_boot(chip_ota.ctx, 1));
}

static void a_slot_is_set_to_boot_when_its_entry_says_so(void **state)
{
    (void)state;
    assert_true(chip_ota.set_boot(chip_ota.ctx, 1));
    begin(NULL);
    s_image_is_good = false; /* ESP-IDF looks at it once more */
    assert_false(chip_ota.set_boot(chip_ota.ctx, 1));
    begin(NULL);
    s_takes_entries = false; /* "written", and it is not */
    assert_false(chip_ota.set_boot(chip_ota.ctx, 1));
}

static void an_image_is_confirmed_when_its_entry_says_so(void **state)
{
    (void)state;
    on_trial();
    s_takes_entries = false;
    assert_false(chip_ota.confirm(chip_ota.ctx));
    s_takes_entries = true;
    s_marks = ESP_FAIL;
    assert_false(chip_ota.confirm(chip_ota.ctx));
    on_trial();
    s_marks = ESP_OK;
    assert_true(chip_ota.confirm(chip_ota.ctx));
}

/* The power cut between the erase and the write of a confirmation: the device is never told that it was one. */
static void a_confirmation_whose_entry_is_gone_is_none(void **state)
{
    (void)state;
    on_trial();
    s_takes_entries = false;
    s_has_entry[1] = false;
    assert_false(chip_ota.confirm(chip_ota.ctx));
}

static int leave(void)
{
    const int way = setjmp(s_gone);
    if (way == 0) {
        chip_ota.roll_back(chip_ota.ctx);
        return 0;
    }
    return way;
}

static void going_back_says_goodbye_first(void **state)
{
    (void)state;
    on_trial();
    assert_int_equal(leave(), RESTARTED);
    assert_true(s_said_goodbye && s_marked_invalid);
}

static void going_back_restarts_also_when_it_cannot_be_written_down(void **state)
{
    (void)state;
    on_trial();
    s_marks = ESP_FAIL;
    assert_int_equal(leave(), RESTARTED);
}

static int run_out(void)
{
    const int way = setjmp(s_gone);
    if (way == 0) {
        s_timer.callback(s_timer.arg);
    }
    return way;
}

static void a_trial_that_hangs_ends_by_a_reset(void **state)
{
    (void)state;
    on_trial();
    chip_ota_watch_trial(360);
    assert_true(s_due_us == (uint64_t)360 * US_PER_S);
    assert_int_equal(run_out(), ABORTED);
}

static void a_confirmed_image_is_watched_no_more(void **state)
{
    (void)state;
    on_trial();
    chip_ota_watch_trial(360);
    s_takes_entries = false;
    assert_false(chip_ota.confirm(chip_ota.ctx));
    assert_true(s_due_us > 0);
    s_takes_entries = true;
    assert_true(chip_ota.confirm(chip_ota.ctx));
    assert_true(s_due_us == 0);
}

static void an_image_that_is_on_no_trial_is_not_watched(void **state)
{
    (void)state;
    chip_ota_watch_trial(360);
    assert_true(s_due_us == 0);
    s_has_entry[0] = false;
    chip_ota_watch_trial(360);
    assert_true(s_due_us == 0);
}

static void a_trial_that_nobody_can_watch_is_none(void **state)
{
    (void)state;
    on_trial();
    s_has_timers = false;
    const int way = setjmp(s_gone);
    if (way == 0) {
        chip_ota_watch_trial(360);
    }
    assert_int_equal(way, ABORTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_states_are_those_of_the_boot_loader, begin),
        cmocka_unit_test_setup(the_image_that_runs_is_never_written_to_or_set_to_boot, begin),
        cmocka_unit_test_setup(a_slot_holds_what_fits_the_smaller_one, begin),
        cmocka_unit_test_setup(a_slot_is_set_to_boot_when_its_entry_says_so, begin),
        cmocka_unit_test_setup(an_image_is_confirmed_when_its_entry_says_so, begin),
        cmocka_unit_test_setup(a_confirmation_whose_entry_is_gone_is_none, begin),
        cmocka_unit_test_setup(going_back_says_goodbye_first, begin),
        cmocka_unit_test_setup(going_back_restarts_also_when_it_cannot_be_written_down, begin),
        cmocka_unit_test_setup(a_trial_that_hangs_ends_by_a_reset, begin),
        cmocka_unit_test_setup(a_confirmed_image_is_watched_no_more, begin),
        cmocka_unit_test_setup(an_image_that_is_on_no_trial_is_not_watched, begin),
        cmocka_unit_test_setup(a_trial_that_nobody_can_watch_is_none, begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
