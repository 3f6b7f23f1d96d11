/* The slots as the launcher names them in the environment. */
#include "port/posix/host_slots.h"

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

#include "port/posix/exit_codes.h"

#define SLOT_BYTES 65536u

static host_slots_t s_slots;
static char s_folder[64];

static void environment(const char *folder, const char *slot, const char *bytes)
{
    const char *const names[] = {POSIX_SLOTS, POSIX_BOOT_SLOT, POSIX_SLOT_BYTES};
    const char *const values[] = {folder, slot, bytes};
    for (size_t i = 0; i < 3; i++) {
        if (values[i] != NULL) {
            setenv(names[i], values[i], 1);
        } else {
            unsetenv(names[i]);
        }
    }
}

static void close_all(void)
{
    posix_flash_close(&s_slots.otadata_file);
    posix_flash_close(&s_slots.slot_files[0]);
    posix_flash_close(&s_slots.slot_files[1]);
}

static int begin(void **state)
{
    (void)state;
    memset(&s_slots, 0, sizeof(s_slots));
    strcpy(s_folder, "/tmp/host-slots-XXXXXX");
    return mkdtemp(s_folder) != NULL ? 0 : 1;
}

static int end(void **state)
{
    static const char *const NAMES[] = {"otadata.bin", "slot0.bin", "slot1.bin"};
    char path[128];
    (void)state;
    for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", s_folder, NAMES[i]);
        unlink(path);
    }
    environment(NULL, NULL, NULL);
    return rmdir(s_folder);
}

static void whoever_was_started_without_a_launcher_has_no_slots(void **state)
{
    (void)state;
    environment(NULL, "0", "65536");
    assert_null(host_slots_open(&s_slots, NULL));
    environment(s_folder, NULL, "65536");
    assert_null(host_slots_open(&s_slots, NULL));
    environment(s_folder, "0", NULL);
    assert_null(host_slots_open(&s_slots, NULL));
}

static void a_folder_that_is_not_there_has_no_slots(void **state)
{
    (void)state;
    environment("/tmp/no-such-folder", "0", "65536");
    assert_null(host_slots_open(&s_slots, NULL));
}

static void the_other_slot_is_written_and_the_running_one_is_not(void **state)
{
    (void)state;
    for (uint8_t running = 0; running < OTADATA_SLOTS; running++) {
        uint8_t back[4] = {0};
        environment(s_folder, running == 0 ? "0" : "1", "65536");
        const port_ota_t *ota = host_slots_open(&s_slots, NULL);
        assert_non_null(ota);
        assert_int_equal(ota->running_slot(ota->ctx), running);
        assert_int_equal(ota->slot_bytes(ota->ctx), SLOT_BYTES);
        assert_int_equal(ota->state(ota->ctx, running), IMAGE_UNDEFINED);
        const uint8_t other = running == 0 ? 1 : 0;
        assert_true(ota->erase(ota->ctx, other, 0, 4096));
        assert_true(ota->write(ota->ctx, other, 0, "tds", 4));
        assert_true(ota->read(ota->ctx, other, 0, back, sizeof(back)));
        assert_string_equal((const char *)back, "tds");
        assert_false(ota->erase(ota->ctx, running, 0, 4096));
        assert_false(ota->write(ota->ctx, running, 0, "tds", 4));
        assert_false(ota->write(ota->ctx, other, SLOT_BYTES - 3, "tds", 4));
        assert_false(ota->read(ota->ctx, 2, 0, back, sizeof(back)));
        close_all();
    }
}

static void what_is_set_to_boot_is_there_for_who_opens_them_next(void **state)
{
    (void)state;
    environment(s_folder, "0", "65536");
    const port_ota_t *ota = host_slots_open(&s_slots, NULL);
    assert_non_null(ota);
    assert_true(ota->set_boot(ota->ctx, 1));
    assert_int_equal(ota->state(ota->ctx, 1), IMAGE_NEW);
    close_all();
    environment(s_folder, "1", "65536");
    ota = host_slots_open(&s_slots, NULL);
    assert_non_null(ota);
    assert_int_equal(ota->state(ota->ctx, 1), IMAGE_NEW);
    assert_true(ota->confirm(ota->ctx));
    assert_int_equal(ota->state(ota->ctx, 1), IMAGE_VALID);
    close_all();
}

#define FACT(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FACT(whoever_was_started_without_a_launcher_has_no_slots),
        FACT(a_folder_that_is_not_there_has_no_slots),
        FACT(the_other_slot_is_written_and_the_running_one_is_not),
        FACT(what_is_set_to_boot_is_there_for_who_opens_them_next),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
