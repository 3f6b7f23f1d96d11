/* Storage of a program on a disk that is full: a small tmpfs in a mount namespace of the test's own. */
#define _GNU_SOURCE

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/outbox.h"
#include "port/posix/launcher/boot_select.h"
#include "port/posix/posix_file.h"
#include "port/posix/posix_flash.h"
#include "port/posix/posix_kv.h"
#include "port/posix/slots.h"

#define SECTOR OUTBOX_SECTOR_BYTES
#define DISK "size=262144,mode=0700"
#define PAGE_BYTES 4096 /* what a tmpfs gives out at once */
#define SECTORS 16
#define FIRST_UNIX_S INT64_C(1780000000)
#define TRIES_MAX 200 /* puts until one is tried again, at most: a fault grows rare, and is tried more seldom */

static char s_disk[] = "/dev/shm/full_disk_XXXXXX";
static const char *s_why_not; /* this machine lets nobody mount */
static int s_filler = -1;

static const char *on_disk(const char *name)
{
    static char paths[2][64];
    static size_t turn;
    char *path = paths[turn++ % 2];
    (void)snprintf(path, sizeof(paths[0]), "%s/%s", s_disk, name);
    return path;
}

/* All but so many pages. */
static void fill_all_but(off_t pages)
{
    static const char zeros[PAGE_BYTES];
    off_t filled = 0;
    assert_int_equal(ftruncate(s_filler, 0), 0);
    while (pwrite(s_filler, zeros, sizeof(zeros), filled) == (ssize_t)sizeof(zeros)) {
        filled += (off_t)sizeof(zeros);
    }
    assert_int_equal(errno, ENOSPC);
    assert_true(filled >= pages * PAGE_BYTES);
    assert_int_equal(ftruncate(s_filler, filled - pages * PAGE_BYTES), 0);
}

static void make_room(void)
{
    assert_int_equal(ftruncate(s_filler, 0), 0);
}

static int begin(void **state)
{
    (void)state;
    if (s_why_not != NULL) {
        return 0;
    }
    if (mount("full_disk", s_disk, "tmpfs", MS_NODEV | MS_NOSUID, DISK) != 0) {
        return -1;
    }
    s_filler = open(on_disk("filler"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    return s_filler >= 0 ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    if (s_why_not != NULL) {
        return 0;
    }
    close(s_filler);
    return umount(s_disk);
}

static void skip_without_a_disk(void)
{
    if (s_why_not != NULL) {
        print_message("no disk of its own: %s\n", s_why_not);
        skip();
    }
}

static kv_status_t set(posix_kv_t *kv, const char *key, const char *value, size_t len)
{
    return kv->port.set(kv->port.ctx, key, value, len);
}

static bool has(posix_kv_t *kv, const char *key, const char *value, size_t value_len)
{
    static char found[POSIX_KV_VALUE_MAX_BYTES];
    size_t len = 0;
    return kv->port.get(kv->port.ctx, key, found, sizeof(found), &len) == KV_OK && len == value_len &&
           memcmp(found, value, len) == 0;
}

static size_t files_in(const char *folder)
{
    size_t count = 0;
    DIR *open_folder = opendir(folder);
    assert_non_null(open_folder);
    for (const struct dirent *entry = readdir(open_folder); entry != NULL; entry = readdir(open_folder)) {
        count += entry->d_name[0] != '.' ? 1 : 0;
    }
    closedir(open_folder);
    return count;
}

static void a_setting_that_finds_no_room_leaves_the_former_one_whole_and_is_kept_when_there_is_room(void **state)
{
    (void)state;
    skip_without_a_disk();
    static char large[3 * PAGE_BYTES];
    memset(large, 'x', sizeof(large));
    posix_kv_t kv;
    assert_true(posix_kv_open(&kv, on_disk("settings")));
    assert_int_equal(set(&kv, "apn", "old", 3), KV_OK);
    assert_int_equal(set(&kv, "large", "before", 6), KV_OK);
    for (off_t pages = 0; pages < 3; pages++) { /* of three, so that it ends in the middle too */
        fill_all_but(pages);
        assert_int_equal(set(&kv, "large", large, sizeof(large)), KV_FULL);
        assert_int_equal(set(&kv, "other", large, sizeof(large)), KV_FULL);
        assert_true(has(&kv, "large", "before", 6));
        assert_true(has(&kv, "apn", "old", 3));
        assert_false(has(&kv, "other", large, sizeof(large)));
        assert_int_equal(files_in(on_disk("settings")), 2); /* and nothing half written is left */
    }
    fill_all_but(0);
    assert_int_equal(set(&kv, "apn", "old", 3), KV_OK); /* nothing to write */
    assert_int_equal(set(&kv, "apn", "new", 3), KV_FULL);
    assert_int_equal(kv.port.erase(kv.port.ctx, "large"), KV_OK);
    assert_int_equal(set(&kv, "apn", "new", 3), KV_OK); /* what was erased is room */
    make_room();
    assert_int_equal(set(&kv, "large", large, sizeof(large)), KV_OK);
    assert_true(has(&kv, "large", large, sizeof(large)));
    assert_true(has(&kv, "apn", "new", 3));
}

static bool put(outbox_t *box, uint32_t id)
{
    sample_t sample;
    assert_true(sample_init(&sample, "D01"));
    for (uint32_t i = 0; i < 12; i++) {
        char tipo[24];
        (void)snprintf(tipo, sizeof(tipo), "temperatura_%u", (unsigned)i);
        assert_true(sample_add(&sample, tipo, "C", (decimal_t){.digits = id}));
    }
    sample.moment = (moment_t){.stamped = true, .unix_s = FIRST_UNIX_S + id};
    return outbox_put(box, &sample);
}

/* All that was promised, in order, none of it twice, and nothing that was refused for want of room in its place. */
static void assert_holds(outbox_t *box, const bool *kept, uint32_t ids)
{
    uint32_t seq = box->first_seq, last_id = 0;
    sample_t found;
    outbox_read_t result;
    while ((result = outbox_read(box, &seq, &found)) == OUTBOX_FOUND) {
        const uint32_t id = (uint32_t)(found.moment.unix_s - FIRST_UNIX_S);
        assert_true(id > last_id && id < ids);
        assert_int_equal(found.count, 12);
        for (uint32_t missing = last_id + 1; missing < id; missing++) {
            assert_false(kept[missing]);
        }
        last_id = id;
        seq++;
    }
    assert_int_equal(result, OUTBOX_END);
    for (uint32_t missing = last_id + 1; missing < ids; missing++) {
        assert_false(kept[missing]);
    }
}

static void an_outbox_that_finds_no_room_keeps_what_it_has_and_goes_on_when_there_is_room(void **state)
{
    (void)state;
    skip_without_a_disk();
    for (off_t pages = 0; pages < 8; pages++) {
        static bool kept[1000];
        static outbox_t box;
        posix_flash_t flash;
        uint32_t id = 1, failed = 0;
        memset(kept, 0, sizeof(kept));
        make_room();
        assert_true(posix_flash_open(&flash, on_disk("outbox"), SECTORS * SECTOR));
        assert_int_equal(ftruncate(flash.fd, 0), 0);
        fill_all_but(pages);
        assert_true(outbox_mount(&box, &flash.port, 1));
        for (; failed < 3; id++) {
            assert_true(id < TRIES_MAX);
            kept[id] = put(&box, id);
            failed += kept[id] ? 0 : 1;
        }
        assert_true(pages == 0 || id > 4); /* something found room */
        assert_holds(&box, kept, id);
        /* A start while it is full finds the same. */
        assert_true(outbox_mount(&box, &flash.port, 2));
        assert_holds(&box, kept, id);
        kept[id] = put(&box, id);
        id++;
        make_room();
        const uint32_t room_id = id;
        for (bool again = false; !again; id++) {
            assert_true(id - room_id < TRIES_MAX);
            again = kept[id] = put(&box, id);
        }
        for (uint32_t i = 0; i < 20; i++, id++) {
            kept[id] = put(&box, id);
            assert_true(kept[id]);
        }
        assert_true(outbox_mount(&box, &flash.port, 3));
        assert_holds(&box, kept, id);
        posix_flash_close(&flash);
    }
}

static void refuse_reboot(void *ctx, reboot_reason_t reason)
{
    (void)ctx, (void)reason;
    fail();
}

static bool write_image(const port_ota_t *ota, uint8_t slot)
{
    static uint8_t chunk[SECTOR];
    memset(chunk, 0x5A, sizeof(chunk));
    bool good = ota->erase(ota->ctx, slot, 0, 4 * SECTOR);
    for (uint32_t at = 0; good && at < 4 * SECTOR; at += SECTOR) {
        good = ota->write(ota->ctx, slot, at, chunk, sizeof(chunk));
    }
    return good;
}

static int slot_that_boots(const port_flash_t *otadata, bool second_is_whole)
{
    const bool images[OTADATA_SLOTS] = {true, second_is_whole};
    otadata_t read;
    assert_true(otadata_read(otadata, &read));
    return boot_select(&read, images).slot;
}

static void an_update_that_finds_no_room_leaves_the_image_that_runs_and_is_done_when_there_is_room(void **state)
{
    (void)state;
    skip_without_a_disk();
    const port_reboot_t port = {.reboot = refuse_reboot};
    posix_flash_t otadata, slot_0, slot_1;
    slots_t slots;
    assert_true(posix_flash_open(&otadata, on_disk("otadata.bin"), OTADATA_BYTES));
    assert_true(posix_flash_open(&slot_0, on_disk("slot0.bin"), 8 * SECTOR));
    assert_true(posix_flash_open(&slot_1, on_disk("slot1.bin"), 8 * SECTOR));
    slots_init(&slots, &otadata.port, &slot_0.port, &slot_1.port, 0, &port);
    for (off_t pages = 0; pages < 4; pages++) {
        assert_int_equal(ftruncate(slot_1.fd, 0), 0);
        fill_all_but(pages);
        assert_false(write_image(&slots.port, 1));
        assert_int_equal(slot_that_boots(&otadata.port, false), 0);
    }
    make_room();
    assert_true(write_image(&slots.port, 1));
    fill_all_but(0);
    assert_false(slots.port.set_boot(slots.port.ctx, 1)); /* there is no room for the word either */
    assert_int_equal(slot_that_boots(&otadata.port, true), 0);
    make_room();
    assert_true(slots.port.set_boot(slots.port.ctx, 1));
    assert_int_equal(slot_that_boots(&otadata.port, true), 1);
    /* Its marks need no room: they are written over what is there. */
    fill_all_but(0);
    assert_true(otadata_set_state(&otadata.port, 0, IMAGE_PENDING_VERIFY));
    assert_true(otadata_set_state(&otadata.port, 0, IMAGE_VALID));
    assert_int_equal(slot_that_boots(&otadata.port, true), 1);
    posix_flash_close(&otadata);
    posix_flash_close(&slot_0);
    posix_flash_close(&slot_1);
}

static int run_in_a_namespace(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            a_setting_that_finds_no_room_leaves_the_former_one_whole_and_is_kept_when_there_is_room, begin, end),
        cmocka_unit_test_setup_teardown(an_outbox_that_finds_no_room_keeps_what_it_has_and_goes_on_when_there_is_room,
                                        begin, end),
        cmocka_unit_test_setup_teardown(
            an_update_that_finds_no_room_leaves_the_image_that_runs_and_is_done_when_there_is_room, begin, end),
    };
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) {
        s_why_not = strerror(errno);
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
    int status = 0;
    if (mkdtemp(s_disk) == NULL) {
        s_why_not = "there is no /dev/shm";
    }
    /* The folder is this process's to remove, which sees the machine as it is. */
    const pid_t child = fork();
    if (child == 0) {
        exit(run_in_a_namespace());
    }
    const bool ended = child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status);
    (void)rmdir(s_disk);
    return ended ? WEXITSTATUS(status) : EXIT_FAILURE;
}
