/* A program that is killed at each system call by which it keeps something: its settings, its readings, its slots. */
#define _GNU_SOURCE

#include "core/outbox.h"
#include "kill_bench.h"
#include "port/posix/launcher/boot_select.h"
#include "port/posix/posix_flash.h"
#include "port/posix/posix_kv.h"
#include "port/posix/slots.h"

#define FIRST_UNIX_S INT64_C(1780000000)
#define SECTORS 3
#define PUTS 120
#define CALLS_MAX 4000

/* Settings */

typedef struct {
    const char *key;
    const char *value; /* NULL: it is erased */
} step_t;

static const char LARGE[] = "a value of more than a few bytes, as a certificate is; a value of more than a few bytes";

static const step_t STEPS[] = {{"apn", "old"}, {"wifi_ssid", "plant"}, {"apn", "new"},        {"wifi_ssid", NULL},
                               {"apn", "new"}, {"renewed", LARGE},     {"wifi_ssid", "yard"}, {"renewed", "short"},
                               {"apn", NULL},  {"renewed", LARGE},     {"apn", ""},           {"renewed", NULL}};
static const char *const KEYS[] = {"apn", "wifi_ssid", "renewed"};
#define STEP_COUNT (sizeof(STEPS) / sizeof(STEPS[0]))

static kv_status_t take_step(const port_kv_t *kv, const step_t *step)
{
    return step->value == NULL ? kv->erase(kv->ctx, step->key)
                               : kv->set(kv->ctx, step->key, step->value, strlen(step->value));
}

static void live_with_settings(void)
{
    posix_kv_t kv;
    if (!posix_kv_open(&kv, in_folder("settings"))) {
        _exit(EXIT_FAILURE);
    }
    for (size_t i = 0; i < STEP_COUNT; i++) {
        if (take_step(&kv.port, &STEPS[i]) != KV_OK) {
            _exit(EXIT_FAILURE);
        }
        s_progress->done++;
    }
}

static const char *value_after(const char *key, size_t steps)
{
    const char *value = NULL;
    for (size_t i = 0; i < steps; i++) {
        value = strcmp(STEPS[i].key, key) == 0 ? STEPS[i].value : value;
    }
    return value;
}

static bool is_value(const port_kv_t *kv, const char *key, const char *value)
{
    char found[256] = "";
    size_t len = 0;
    const kv_status_t status = kv->get(kv->ctx, key, found, sizeof(found), &len);
    if (value == NULL) {
        return status == KV_MISSING;
    }
    return status == KV_OK && len == strlen(value) && memcmp(found, value, len) == 0;
}

static void a_program_that_is_killed_at_any_call_of_a_setting_has_the_old_value_or_the_new_one(void **state)
{
    (void)state;
    uint32_t kills = 0;
    for (int middle = 0; middle <= 1; middle++) {
        bool killed = true;
        for (uint32_t kill_at = 1; killed; kill_at++) {
            posix_kv_t kv;
            assert_true(kill_at < CALLS_MAX);
            killed = run(live_with_settings, kill_at, middle == 1);
            const size_t done = steps_done();
            kills += killed ? 1 : 0;
            assert_true(killed || done == STEP_COUNT);
            assert_true(posix_kv_open(&kv, in_folder("settings")));
            for (size_t i = 0; i < sizeof(KEYS) / sizeof(KEYS[0]); i++) {
                assert_true(is_value(&kv.port, KEYS[i], value_after(KEYS[i], done)) ||
                            (killed && is_value(&kv.port, KEYS[i], value_after(KEYS[i], done + 1))));
            }
            /* What it left behind is in nobody's way. */
            for (size_t i = done; i < STEP_COUNT; i++) {
                assert_int_equal(take_step(&kv.port, &STEPS[i]), KV_OK);
            }
            for (size_t i = 0; i < sizeof(KEYS) / sizeof(KEYS[0]); i++) {
                assert_true(is_value(&kv.port, KEYS[i], value_after(KEYS[i], STEP_COUNT)));
                assert_int_equal(kv.port.erase(kv.port.ctx, KEYS[i]), KV_OK);
            }
        }
    }
    assert_true(kills > 80);
}

static void a_setting_is_on_the_disk_before_it_takes_the_place_of_the_former_one(void **state)
{
    (void)state;
    posix_kv_t kv;
    progress_t progress = {0};
    assert_true(posix_kv_open(&kv, in_folder("settings")));
    assert_int_equal(take_step(&kv.port, &STEPS[0]), KV_OK);
    s_progress = &progress;
    s_kill_at = 0;
    s_trace[0] = '\0';
    assert_int_equal(take_step(&kv.port, &STEPS[2]), KV_OK);
    assert_string_equal(s_trace, "unlink create write fsync rename fsync "); /* the last one is its folder's */
    s_trace[0] = '\0';
    assert_int_equal(kv.port.erase(kv.port.ctx, "apn"), KV_OK);
    assert_string_equal(s_trace, "unlink fsync ");
    s_progress = NULL;
}

/* Readings */

static bool put(outbox_t *box, uint32_t id)
{
    sample_t sample;
    bool good = sample_init(&sample, "D01");
    for (uint32_t i = 0; i < 6; i++) {
        const char tipo[] = {'t', (char)('a' + i), '\0'};
        good = good && sample_add(&sample, tipo, "C", (decimal_t){.digits = id});
    }
    sample.moment = (moment_t){.stamped = true, .unix_s = FIRST_UNIX_S + id};
    return good && outbox_put(box, &sample);
}

/* More than the ring holds, and done with as they go; a step is a put, and with each eighth what is older is. */
static void live_with_readings(void)
{
    static outbox_t box;
    posix_flash_t flash;
    if (!posix_flash_open(&flash, in_folder("outbox"), SECTORS * OUTBOX_SECTOR_BYTES) ||
        !outbox_mount(&box, &flash.port, 1)) {
        _exit(EXIT_FAILURE);
    }
    for (uint32_t id = 1; id <= PUTS; id++) {
        if (!put(&box, id) || (id % 8 == 0 && !outbox_discard(&box, box.next_seq - 4))) {
            _exit(EXIT_FAILURE);
        }
        s_progress->done++;
    }
}

static void a_program_that_is_killed_at_any_call_of_its_outbox_has_each_reading_that_it_kept_once(void **state)
{
    (void)state;
    static outbox_t box;
    uint32_t kills = 0;
    for (int middle = 0; middle <= 1; middle++) {
        bool killed = true;
        for (uint32_t kill_at = 1; killed; kill_at++) {
            posix_flash_t flash;
            assert_true(kill_at < CALLS_MAX);
            killed = run(live_with_readings, kill_at, middle == 1);
            const uint32_t done = steps_done();
            kills += killed ? 1 : 0;
            assert_true(posix_flash_open(&flash, in_folder("outbox"), SECTORS * OUTBOX_SECTOR_BYTES));
            assert_true(outbox_mount(&box, &flash.port, 2));
            uint32_t seq = box.first_seq, last_id = 0, first_id = 0;
            sample_t found;
            while (outbox_read(&box, &seq, &found) == OUTBOX_FOUND) {
                const uint32_t id = (uint32_t)(found.moment.unix_s - FIRST_UNIX_S);
                assert_true(last_id == 0 || id == last_id + 1); /* in order, none missing, none twice */
                assert_int_equal(found.readings[5].valor.digits, id);
                first_id = first_id == 0 ? id : first_id;
                last_id = id;
                seq++;
            }
            /* The last step that returned is there, or the next one whole; and back to what was done with. */
            const uint32_t discarded_id = done / 8 * 8 == 0 ? 0 : done / 8 * 8 - 4;
            assert_true(last_id == done || (killed && last_id == done + 1));
            assert_true(done == 0 || first_id <= discarded_id + 1 || (killed && (done + 1) % 8 == 0));
            assert_true(put(&box, PUTS + 1));
            assert_int_equal(ftruncate(flash.fd, 0), 0);
            posix_flash_close(&flash);
        }
    }
    assert_true(kills > 500);
}

/* Slots */

static void note_reboot(void *ctx, reboot_reason_t reason)
{
    (void)ctx, (void)reason;
}

static void open_slots(slots_t *slots, posix_flash_t flashes[3], uint8_t running)
{
    static const port_reboot_t reboot = {.reboot = note_reboot};
    static const char *const names[] = {"otadata.bin", "slot0.bin", "slot1.bin"};
    for (size_t i = 0; i < 3; i++) {
        const uint32_t size_bytes = i == 0 ? OTADATA_BYTES : 2 * OUTBOX_SECTOR_BYTES;
        if (!posix_flash_open(&flashes[i], in_folder(names[i]), size_bytes)) {
            _exit(EXIT_FAILURE);
        }
    }
    slots_init(slots, &flashes[0].port, &flashes[1].port, &flashes[2].port, running, &reboot);
}

/* An update that is tried and confirmed, and the one after it, back in the first slot. A step is one word of it. */
static void live_with_slots(void)
{
    posix_flash_t flashes[3];
    slots_t slots;
    open_slots(&slots, flashes, 0);
    const port_flash_t *otadata = &flashes[0].port;
    const port_ota_t *ota = &slots.port;
    const uint8_t image[64] = {0};
    bool good = ota->erase(ota->ctx, 1, 0, OUTBOX_SECTOR_BYTES) && ota->write(ota->ctx, 1, 0, image, sizeof(image)) &&
                ota->set_boot(ota->ctx, 1);
    s_progress->done = 1;
    good = good && otadata_set_state(otadata, 0, IMAGE_PENDING_VERIFY);
    s_progress->done = 2;
    slots.running = 1;
    good = good && ota->confirm(ota->ctx);
    s_progress->done = 3;
    good = good && ota->set_boot(ota->ctx, 0);
    s_progress->done = 4;
    if (!good) {
        _exit(EXIT_FAILURE);
    }
}

static void a_program_that_is_killed_at_any_call_of_an_update_boots_the_one_or_the_other(void **state)
{
    (void)state;
    static const bool IMAGES[OTADATA_SLOTS] = {true, true};
    static const int BOOTS[] = {0, 1, 0, 1, 0}; /* after so many steps; one on trial that starts anew goes back */
    uint32_t kills = 0;
    for (int middle = 0; middle <= 1; middle++) {
        bool killed = true;
        for (uint32_t kill_at = 1; killed; kill_at++) {
            posix_flash_t flashes[3];
            slots_t slots;
            otadata_t otadata;
            assert_true(kill_at < CALLS_MAX);
            killed = run(live_with_slots, kill_at, middle == 1);
            const uint32_t done = steps_done();
            kills += killed ? 1 : 0;
            open_slots(&slots, flashes, 0);
            assert_true(otadata_read(&flashes[0].port, &otadata));
            const boot_choice_t choice = boot_select(&otadata, IMAGES);
            assert_true(choice.slot == BOOTS[done] || (killed && choice.slot == BOOTS[done + 1]));
            assert_false(choice.last_resort);
            for (size_t i = 0; i < 3; i++) {
                assert_int_equal(ftruncate(flashes[i].fd, 0), 0);
                posix_flash_close(&flashes[i]);
            }
        }
    }
    assert_true(kills > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            a_program_that_is_killed_at_any_call_of_a_setting_has_the_old_value_or_the_new_one, begin, end),
        cmocka_unit_test_setup_teardown(a_setting_is_on_the_disk_before_it_takes_the_place_of_the_former_one, begin,
                                        end),
        cmocka_unit_test_setup_teardown(
            a_program_that_is_killed_at_any_call_of_its_outbox_has_each_reading_that_it_kept_once, begin, end),
        cmocka_unit_test_setup_teardown(a_program_that_is_killed_at_any_call_of_an_update_boots_the_one_or_the_other,
                                        begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
