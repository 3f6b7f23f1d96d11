/* Why the chip started. */
#include "chip_reboot.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "chip_mqtt.h"
#include "chip_ota.h"
#include "esp_ota_ops.h"
#include "esp_system.h"

static esp_reset_reason_t s_reset;
static uint8_t s_slot;
static const esp_partition_t s_partitions[2];
static const esp_partition_t *s_given_up;
static jmp_buf s_restarted;
static bool s_said_goodbye;

esp_reset_reason_t esp_reset_reason(void)
{
    return s_reset;
}

void esp_restart(void)
{
    longjmp(s_restarted, 1);
}

void chip_mqtt_settle(uint32_t timeout_ms)
{
    assert_in_range(timeout_ms, 1, 10000);
    s_said_goodbye = true;
}

const esp_partition_t *esp_ota_get_running_partition(void)
{
    return &s_partitions[s_slot];
}

const esp_partition_t *esp_ota_get_last_invalid_partition(void)
{
    return s_given_up;
}

static uint8_t running_slot(void *ctx)
{
    (void)ctx;
    return s_slot;
}

const port_ota_t chip_ota = {.running_slot = running_slot};

static boot_reason_t start(esp_reset_reason_t reset)
{
    s_reset = reset;
    return chip_reboot.reason(chip_reboot.ctx);
}

static void ask_for(reboot_reason_t reason)
{
    if (setjmp(s_restarted) == 0) {
        chip_reboot.reboot(chip_reboot.ctx, reason);
    }
}

static int power_on(void **state)
{
    (void)state;
    s_slot = 0;
    s_given_up = NULL;
    (void)start(ESP_RST_POWERON);
    return 0;
}

static void who_asked_for_a_restart_is_known_at_the_next_start_and_not_at_the_one_after(void **state)
{
    (void)state;
    ask_for(REBOOT_CONSOLE);
    assert_true(s_said_goodbye);
    assert_int_equal(start(ESP_RST_SW), BOOT_CONSOLE);
    assert_int_equal(start(ESP_RST_SW), BOOT_SOFTWARE);
    ask_for(REBOOT_RECOVERY);
    assert_int_equal(start(ESP_RST_SW), BOOT_RECOVERY);
    ask_for(REBOOT_UPDATE);
    assert_int_equal(start(ESP_RST_SW), BOOT_UPDATE);
}

static void a_crash_on_the_way_down_is_a_crash(void **state)
{
    (void)state;
    ask_for(REBOOT_CONSOLE);
    assert_int_equal(start(ESP_RST_PANIC), BOOT_PANIC);
    assert_int_equal(start(ESP_RST_SW), BOOT_SOFTWARE);
}

static void watchdogs_sagging_supplies_and_pins_are_told_apart(void **state)
{
    (void)state;
    assert_int_equal(start(ESP_RST_POWERON), BOOT_POWER_ON);
    assert_int_equal(start(ESP_RST_EXT), BOOT_EXTERNAL);
    assert_int_equal(start(ESP_RST_TASK_WDT), BOOT_WATCHDOG);
    assert_int_equal(start(ESP_RST_INT_WDT), BOOT_WATCHDOG);
    assert_int_equal(start(ESP_RST_BROWNOUT), BOOT_BROWNOUT);
    assert_int_equal(start(ESP_RST_UNKNOWN), BOOT_UNKNOWN);
}

static void an_image_that_was_given_up_is_told_once(void **state)
{
    (void)state;
    ask_for(REBOOT_UPDATE);
    s_slot = 1;
    assert_int_equal(start(ESP_RST_SW), BOOT_UPDATE);
    s_slot = 0; /* it crashed before it confirmed itself */
    s_given_up = &s_partitions[1];
    assert_int_equal(start(ESP_RST_PANIC), BOOT_ROLLBACK);
    assert_int_equal(start(ESP_RST_SW), BOOT_SOFTWARE);
}

static void an_image_that_crashes_before_it_can_say_a_word_is_told_as_well(void **state)
{
    (void)state;
    ask_for(REBOOT_UPDATE);
    s_given_up = &s_partitions[1];
    assert_int_equal(start(ESP_RST_PANIC), BOOT_ROLLBACK);
    assert_int_equal(start(ESP_RST_SW), BOOT_SOFTWARE);
}

static void a_former_failure_is_no_rollback_of_the_next_update(void **state)
{
    (void)state;
    s_slot = 1;
    (void)start(ESP_RST_SW);
    s_slot = 0;
    s_given_up = &s_partitions[0]; /* an entry of long ago for the slot that runs again, with another image */
    assert_int_equal(start(ESP_RST_SW), BOOT_SOFTWARE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(who_asked_for_a_restart_is_known_at_the_next_start_and_not_at_the_one_after, power_on),
        cmocka_unit_test_setup(a_crash_on_the_way_down_is_a_crash, power_on),
        cmocka_unit_test_setup(watchdogs_sagging_supplies_and_pins_are_told_apart, power_on),
        cmocka_unit_test_setup(an_image_that_was_given_up_is_told_once, power_on),
        cmocka_unit_test_setup(an_image_that_crashes_before_it_can_say_a_word_is_told_as_well, power_on),
        cmocka_unit_test_setup(a_former_failure_is_no_rollback_of_the_next_update, power_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
