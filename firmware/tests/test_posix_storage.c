#define _XOPEN_SOURCE 700

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/outbox.h"
#include "port/posix/posix_flash.h"
#include "port/posix/posix_kv.h"

#define SECTOR OUTBOX_SECTOR_BYTES

static char s_folder[64];
static posix_kv_t s_kv;
static posix_flash_t s_flash;

static const char *in_folder(const char *name)
{
    static char paths[2][256]; /* so that one call of rename() may ask twice */
    static size_t turn;
    char *path = paths[turn++ % 2];
    snprintf(path, sizeof(paths[0]), "%s/%s", s_folder, name);
    return path;
}

static int begin(void **state)
{
    (void)state;
    strcpy(s_folder, "/tmp/posix_storage_XXXXXX");
    assert_non_null(mkdtemp(s_folder));
    assert_true(posix_kv_open(&s_kv, in_folder("kv")));
    assert_true(posix_flash_open(&s_flash, in_folder("flash"), 8 * SECTOR));
    return 0;
}

static int end(void **state)
{
    (void)state;
    char command[256];
    posix_flash_close(&s_flash);
    snprintf(command, sizeof(command), "chmod -R u+rwx %s && rm -r %s", s_folder, s_folder);
    return system(command);
}

static kv_status_t set(const char *key, const char *text)
{
    return s_kv.port.set(s_kv.port.ctx, key, text, strlen(text));
}

static void assert_kv(const char *key, const char *text)
{
    char out[256] = {0};
    size_t len_bytes = 0;
    assert_int_equal(s_kv.port.get(s_kv.port.ctx, key, out, sizeof(out) - 1, &len_bytes), KV_OK);
    assert_int_equal(len_bytes, strlen(text));
    assert_string_equal(out, text);
}

static kv_status_t get(const char *key, size_t cap_bytes)
{
    char out[256];
    size_t len_bytes = 0;
    return s_kv.port.get(s_kv.port.ctx, key, out, cap_bytes, &len_bytes);
}

static void put_file(const char *name, const char *text)
{
    FILE *file = fopen(in_folder(name), "wb");
    assert_non_null(file);
    fwrite(text, 1, strlen(text), file);
    fclose(file);
}

static mode_t mode_of(const char *name)
{
    struct stat about;
    assert_int_equal(stat(in_folder(name), &about), 0);
    return about.st_mode & 0777;
}

static void what_is_set_is_there_after_a_restart(void **state)
{
    (void)state;
    assert_int_equal(set("interval_s", "30"), KV_OK);
    assert_int_equal(set("apn", ""), KV_OK);
    assert_true(posix_kv_open(&s_kv, in_folder("kv")));
    assert_kv("interval_s", "30");
    assert_kv("apn", "");
    assert_int_equal(get("interval_s", 1), KV_TOO_SMALL);
    assert_int_equal(get("none", 10), KV_MISSING);
    assert_int_equal(s_kv.port.erase(s_kv.port.ctx, "apn"), KV_OK);
    assert_int_equal(s_kv.port.erase(s_kv.port.ctx, "apn"), KV_OK);
    assert_int_equal(get("apn", 10), KV_MISSING);
}

static void files_are_for_their_owner_alone_and_hold_just_the_value(void **state)
{
    (void)state;
    umask(0);
    assert_int_equal(set("wifi_password", "secret12"), KV_OK);
    assert_int_equal(mode_of("kv/wifi_password"), 0600);
    assert_int_equal(mode_of("kv"), 0700);
    assert_int_equal(mode_of("flash"), 0600);
    char text[32] = {0};
    FILE *file = fopen(in_folder("kv/wifi_password"), "rb");
    assert_int_equal(fread(text, 1, sizeof(text), file), 8);
    fclose(file);
    assert_string_equal(text, "secret12");
}

static void a_set_that_was_cut_off_leaves_the_former_value(void **state)
{
    (void)state;
    assert_int_equal(set("apn", "old"), KV_OK);
    put_file("kv/apn.new", "ne"); /* power went before the name was changed */
    assert_kv("apn", "old");
    assert_int_equal(set("apn", "newer"), KV_OK);
    assert_kv("apn", "newer");
    assert_int_equal(access(in_folder("kv/apn.new"), F_OK), -1);
}

static void what_is_so_already_is_not_written(void **state)
{
    (void)state;
    struct stat before, after;
    assert_int_equal(set("apn", "x"), KV_OK);
    assert_int_equal(stat(in_folder("kv/apn"), &before), 0);
    assert_int_equal(set("apn", "x"), KV_OK);
    assert_int_equal(stat(in_folder("kv/apn"), &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
}

static void a_key_never_leads_out_of_the_folder(void **state)
{
    (void)state;
    const char *keys[] = {"", ".", "..", "../x", "/tmp/x", "a/b", ".hidden", "a.new", "sixteen_chars_xx", "\xC3\xA9"};
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        assert_int_equal(set(keys[i], "1"), KV_FAILED);
        assert_int_equal(get(keys[i], 10), KV_MISSING);
        assert_int_equal(s_kv.port.erase(s_kv.port.ctx, keys[i]), KV_OK);
    }
}

static void a_full_store_says_so(void **state)
{
    (void)state;
    static char large[POSIX_KV_VALUE_MAX_BYTES + 1];
    for (unsigned i = 0; i < POSIX_KV_MAX_KEYS; i++) {
        char key[16];
        snprintf(key, sizeof(key), "key%u", i);
        assert_int_equal(set(key, "1"), KV_OK);
    }
    assert_int_equal(set("one_more", "1"), KV_FULL);
    assert_int_equal(set("key1", "2"), KV_OK);
    assert_int_equal(s_kv.port.set(s_kv.port.ctx, "key1", large, sizeof(large)), KV_FULL);
    assert_kv("key1", "2");
}

static void what_is_no_value_is_said_to_be_damaged(void **state)
{
    (void)state;
    assert_int_equal(mkdir(in_folder("kv/folder"), 0700), 0);
    assert_int_equal(get("folder", 10), KV_FAILED);
    assert_int_equal(set("folder", "1"), KV_FAILED);
    assert_int_equal(s_kv.port.erase(s_kv.port.ctx, "folder"), KV_FAILED);
    assert_int_equal(truncate(in_folder("flash"), POSIX_KV_VALUE_MAX_BYTES + 1), 0);
    assert_int_equal(rename(in_folder("flash"), in_folder("kv/large")), 0);
    assert_int_equal(get("large", 10), KV_FAILED);
}

static void a_folder_that_can_not_be_made_is_said_so(void **state)
{
    (void)state;
    posix_kv_t kv;
    static char long_name[POSIX_KV_FOLDER_MAX_CHARS + 10];
    memset(long_name, 'a', sizeof(long_name) - 1);
    assert_false(posix_kv_open(&kv, in_folder("none/kv")));
    assert_false(posix_kv_open(&kv, in_folder("flash")));
    assert_false(posix_kv_open(&kv, long_name));
    assert_true(posix_kv_open(&kv, in_folder("gone")));
    assert_int_equal(rmdir(in_folder("gone")), 0);
    assert_int_equal(kv.port.set(kv.port.ctx, "a", "1", 1), KV_FAILED);
    assert_false(posix_flash_open(&s_flash, in_folder("none/flash"), SECTOR));
    assert_false(posix_flash_open(&s_flash, in_folder("kv"), SECTOR));
    assert_true(posix_flash_open(&s_flash, in_folder("flash"), SECTOR));
}

/* A disk that takes no more: what was there stays, and the caller hears of it. */
static void limit_files_to(rlim_t bytes)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void a_disk_that_takes_no_more_costs_no_former_value(void **state)
{
    (void)state;
    const port_flash_t *flash = &s_flash.port;
    static char large[3 * SECTOR];
    assert_int_equal(set("apn", "old"), KV_OK);
    assert_true(flash->write(flash->ctx, 0, "ab", 2));
    limit_files_to(2);
    kv_status_t status = set("apn", "newer");
    bool written = flash->write(flash->ctx, 2, "cd", 2);
    bool far_written = flash->write(flash->ctx, SECTOR, large, sizeof(large));
    limit_files_to(RLIM_INFINITY);
    assert_int_equal(status, KV_FAILED);
    assert_false(written || far_written);
    assert_kv("apn", "old");
    assert_int_equal(access(in_folder("kv/apn.new"), F_OK), -1);
    assert_int_equal(set("apn", "newer"), KV_OK);
}

/* Flash. */

static bool write_text(uint32_t offset_bytes, const char *text)
{
    return s_flash.port.write(s_flash.port.ctx, offset_bytes, text, strlen(text));
}

static void assert_flash(uint32_t offset_bytes, const char *text)
{
    char out[64] = {0};
    assert_true(s_flash.port.read(s_flash.port.ctx, offset_bytes, out, strlen(text)));
    assert_string_equal(out, text);
}

static void a_new_file_is_erased_and_takes_no_room(void **state)
{
    (void)state;
    assert_flash(0, "\xFF\xFF");
    assert_flash(8 * SECTOR - 2, "\xFF\xFF");
    assert_int_equal(posix_flash_end_bytes(&s_flash), 0);
}

static void a_write_clears_bits_and_never_sets_one(void **state)
{
    (void)state;
    assert_true(write_text(3 * SECTOR, "gg"));
    assert_flash(3 * SECTOR - 1, "\xFFgg\xFF");
    assert_true(write_text(3 * SECTOR, "aa"));
    assert_flash(3 * SECTOR, "aa");
    assert_false(write_text(3 * SECTOR, "g"));
    assert_flash(3 * SECTOR, "aa");
    posix_flash_close(&s_flash);
    assert_true(posix_flash_open(&s_flash, in_folder("flash"), 8 * SECTOR));
    assert_flash(3 * SECTOR, "aa");
}

static void an_erase_takes_whole_sectors(void **state)
{
    (void)state;
    const port_flash_t *flash = &s_flash.port;
    assert_true(write_text(SECTOR - 1, "ab"));
    assert_true(write_text(4 * SECTOR - 1, "cd"));
    assert_true(flash->erase(flash->ctx, SECTOR, SECTOR));
    assert_flash(SECTOR - 1, "a\xFF");
    assert_flash(4 * SECTOR - 1, "cd");
    assert_true(flash->erase(flash->ctx, 2 * SECTOR, 6 * SECTOR));
    assert_int_equal(posix_flash_end_bytes(&s_flash), 2 * SECTOR);
    assert_flash(4 * SECTOR, "\xFF");
    assert_true(flash->erase(flash->ctx, 7 * SECTOR, SECTOR));
    assert_false(flash->erase(flash->ctx, 1, SECTOR));
    assert_false(flash->erase(flash->ctx, 0, SECTOR - 1));
    assert_false(flash->erase(flash->ctx, 7 * SECTOR, 2 * SECTOR));
}

static void nothing_is_read_or_written_outside(void **state)
{
    (void)state;
    char out[4];
    const port_flash_t *flash = &s_flash.port;
    assert_false(flash->read(flash->ctx, 8 * SECTOR, out, 1));
    assert_false(flash->read(flash->ctx, UINT32_MAX, out, 2));
    assert_false(flash->write(flash->ctx, 8 * SECTOR - 1, "ab", 2));
    assert_true(flash->write(flash->ctx, 8 * SECTOR - 1, "b", 1));
    posix_flash_close(&s_flash);
    assert_true(posix_flash_open(&s_flash, in_folder("flash"), SECTOR)); /* longer than it is now */
    assert_int_equal(posix_flash_end_bytes(&s_flash), SECTOR);
    assert_false(write_text(SECTOR, "a"));
}

static void two_that_have_it_open_see_what_the_other_did(void **state)
{
    (void)state;
    posix_flash_t other;
    assert_true(posix_flash_open(&other, in_folder("flash"), 8 * SECTOR));
    assert_true(other.port.write(other.port.ctx, 2 * SECTOR, "ab", 2));
    assert_flash(2 * SECTOR, "ab");
    assert_true(other.port.erase(other.port.ctx, 2 * SECTOR, SECTOR));
    assert_flash(2 * SECTOR, "\xFF\xFF");
    posix_flash_close(&other);
}

static void a_file_that_can_not_be_read_is_a_failure(void **state)
{
    (void)state;
    char out[4];
    assert_true(write_text(0, "abcd"));
    int fd = s_flash.fd;
    s_flash.fd = -1;
    assert_false(s_flash.port.read(s_flash.port.ctx, 0, out, 4));
    assert_false(write_text(0, "a"));
    assert_false(s_flash.port.erase(s_flash.port.ctx, 0, SECTOR));
    assert_int_equal(posix_flash_end_bytes(&s_flash), 0);
    s_flash.fd = fd;
}

static void an_outbox_lives_in_a_file(void **state)
{
    (void)state;
    static outbox_t box;
    sample_t sample, found;
    assert_true(outbox_mount(&box, &s_flash.port, 1));
    for (int64_t id = 0; id < 600; id++) { /* round the ring */
        assert_true(sample_init(&sample, "D01"));
        assert_true(sample_add(&sample, "temperatura", "C", (decimal_t){.digits = id}));
        sample.moment = (moment_t){.stamped = true, .unix_s = 1780000000 + id};
        assert_true(outbox_put(&box, &sample));
    }
    posix_flash_close(&s_flash);
    assert_true(posix_flash_open(&s_flash, in_folder("flash"), 8 * SECTOR));
    assert_true(outbox_mount(&box, &s_flash.port, 2));
    uint32_t seq = box.first_seq;
    for (int64_t id = 600 - outbox_depth(&box); id < 600; id++, seq++) {
        assert_int_equal(outbox_read(&box, &seq, &found), OUTBOX_FOUND);
        assert_int_equal(found.readings[0].valor.digits, id);
    }
}

#define FACT(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FACT(what_is_set_is_there_after_a_restart),
        FACT(files_are_for_their_owner_alone_and_hold_just_the_value),
        FACT(a_set_that_was_cut_off_leaves_the_former_value),
        FACT(what_is_so_already_is_not_written),
        FACT(a_key_never_leads_out_of_the_folder),
        FACT(a_full_store_says_so),
        FACT(what_is_no_value_is_said_to_be_damaged),
        FACT(a_folder_that_can_not_be_made_is_said_so),
        FACT(a_disk_that_takes_no_more_costs_no_former_value),
        FACT(a_new_file_is_erased_and_takes_no_room),
        FACT(a_write_clears_bits_and_never_sets_one),
        FACT(an_erase_takes_whole_sectors),
        FACT(nothing_is_read_or_written_outside),
        FACT(two_that_have_it_open_see_what_the_other_did),
        FACT(a_file_that_can_not_be_read_is_a_failure),
        FACT(an_outbox_lives_in_a_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
