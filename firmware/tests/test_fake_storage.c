/* The fakes that others are tested with must be as unkind as they say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "port/fake/fake_flash.h"
#include "port/fake/fake_kv.h"

static uint8_t s_medium[2 * OUTBOX_SECTOR_BYTES];
static fake_flash_t s_flash;
static fake_kv_t s_kv;

static int begin(void **state)
{
    (void)state;
    fake_flash_init(&s_flash, s_medium, sizeof(s_medium), 7);
    fake_flash_blank(&s_flash);
    fake_kv_init(&s_kv);
    return 0;
}

static bool write(uint32_t offset_bytes, const char *text)
{
    return s_flash.port.write(s_flash.port.ctx, offset_bytes, text, strlen(text));
}

static bool erase(uint32_t offset_bytes)
{
    return s_flash.port.erase(s_flash.port.ctx, offset_bytes, OUTBOX_SECTOR_BYTES);
}

static void a_write_of_flash_clears_bits_and_one_that_must_set_some_is_a_misuse(void **state)
{
    (void)state;
    assert_true(write(10, "gg"));
    assert_true(write(10, "aa")); /* 0x67 to 0x61 */
    assert_memory_equal(s_medium + 10, "aa", 2);
    assert_int_equal(s_flash.misuses, 0);
    assert_false(write(10, "ag"));
    assert_false(write(sizeof(s_medium) - 1, "aa"));
    assert_false(write(UINT32_MAX, "aa"));
    assert_false(s_flash.port.erase(s_flash.port.ctx, 5, OUTBOX_SECTOR_BYTES));
    assert_false(s_flash.port.read(s_flash.port.ctx, sizeof(s_medium), s_medium, 1));
    assert_int_equal(s_flash.misuses, 5);
    assert_true(erase(0));
    assert_true(write(10, "ag"));
    assert_int_equal(s_flash.sector_writes[0], 3);
    assert_int_equal(s_flash.sector_erases[0], 1);
}

static void flash_is_off_after_a_cut_until_power_comes_back(void **state)
{
    (void)state;
    char byte;
    s_flash.cut_at = 2;
    s_flash.tear = FAKE_FLASH_TEAR_WHOLE;
    assert_true(write(0, "a"));
    assert_false(write(1, "b"));
    assert_false(write(2, "c"));
    assert_false(erase(0));
    assert_false(s_flash.port.read(s_flash.port.ctx, 0, &byte, 1));
    fake_flash_power_on(&s_flash);
    assert_memory_equal(s_medium, "ab\xFF", 3); /* it was on the medium, but nobody heard */
    assert_true(write(2, "c"));
}

static void a_torn_write_or_erase_leaves_between_nothing_and_all(void **state)
{
    (void)state;
    bool some_write = false, some_erase = false;
    for (uint32_t seed = 0; seed < 50; seed++) {
        for (int tear = 0; tear < FAKE_FLASH_TEARS; tear++) {
            fake_flash_init(&s_flash, s_medium, sizeof(s_medium), seed);
            fake_flash_blank(&s_flash);
            s_flash.cut_at = 1;
            s_flash.tear = (fake_flash_tear_t)tear;
            assert_false(write(0, "abcdefgh"));
            for (uint32_t i = 0; i < 8; i++) {
                assert_int_equal(s_medium[i] & ("abcdefgh"[i]), "abcdefgh"[i]); /* no bit too much is cleared */
                some_write = some_write || (s_medium[i] != 0xFF && s_medium[i] != (uint8_t) "abcdefgh"[i]);
            }
            assert_true(tear != FAKE_FLASH_TEAR_NONE || s_medium[0] == 0xFF);
            fake_flash_power_on(&s_flash);
            memset(s_medium, 0, OUTBOX_SECTOR_BYTES);
            s_flash.cut_at = 2;
            assert_false(erase(0));
            some_erase = some_erase || (s_medium[0] != s_medium[OUTBOX_SECTOR_BYTES - 1]);
            assert_int_equal(s_medium[OUTBOX_SECTOR_BYTES], 0xFF);
        }
    }
    assert_true(some_write && some_erase);
}

static void values_of_the_store_come_back(void **state)
{
    (void)state;
    const port_kv_t *kv = &s_kv.port;
    char out[8];
    size_t len = 0;
    assert_int_equal(kv->get(kv->ctx, "a", out, sizeof(out), &len), KV_MISSING);
    assert_int_equal(kv->set(kv->ctx, "a", "12345", 5), KV_OK);
    assert_int_equal(kv->set(kv->ctx, "a", "12345", 5), KV_OK); /* nothing to write */
    assert_int_equal(s_kv.writes, 1);
    assert_int_equal(kv->get(kv->ctx, "a", out, 4, &len), KV_TOO_SMALL);
    assert_int_equal(len, 5);
    assert_int_equal(kv->get(kv->ctx, "a", out, sizeof(out), &len), KV_OK);
    assert_true(fake_kv_is_text(&s_kv, "a", "12345"));
    assert_int_equal(kv->set(kv->ctx, "a", "", 0), KV_OK);
    assert_true(fake_kv_is_text(&s_kv, "a", ""));
    assert_int_equal(kv->erase(kv->ctx, "a"), KV_OK);
    assert_int_equal(kv->erase(kv->ctx, "a"), KV_OK);
    assert_int_equal(s_kv.writes, 3);
    assert_false(fake_kv_has(&s_kv, "a"));
    assert_int_equal(kv->set(kv->ctx, "sixteen_chars_xx", "1", 1), KV_FAILED);
    assert_int_equal(kv->set(kv->ctx, "", "1", 1), KV_FAILED);
}

static void a_full_store_says_so_and_keeps_what_it_has(void **state)
{
    (void)state;
    const port_kv_t *kv = &s_kv.port;
    char text[FAKE_KV_VALUE_MAX_BYTES + 1] = {0};
    s_kv.room_bytes = 3 * FAKE_KV_ENTRY_BYTES;
    assert_int_equal(kv->set(kv->ctx, "a", "1", 1), KV_OK);
    assert_int_equal(kv->set(kv->ctx, "b", "1", 1), KV_FULL);
    assert_int_equal(kv->set(kv->ctx, "a", "2", 1), KV_FULL); /* the new one is written beside the old one */
    assert_true(fake_kv_is_text(&s_kv, "a", "1"));
    fake_kv_init(&s_kv);
    assert_int_equal(kv->set(kv->ctx, "a", text, sizeof(text)), KV_FULL);
    for (char key[2] = "A"; key[0] < 'A' + FAKE_KV_MAX_KEYS; key[0]++) {
        assert_int_equal(kv->set(kv->ctx, key, "1", 1), KV_OK);
    }
    assert_int_equal(kv->set(kv->ctx, "another", "1", 1), KV_FULL);
}

static void a_cut_of_the_store_keeps_the_old_value_or_the_new_one(void **state)
{
    (void)state;
    const port_kv_t *kv = &s_kv.port;
    char out[8];
    size_t len;
    for (int cut = FAKE_KV_CUT_KEEPS_OLD; cut <= FAKE_KV_CUT_KEEPS_NEW; cut++) {
        fake_kv_init(&s_kv);
        fake_kv_put_text(&s_kv, "a", "old");
        s_kv.cut_at_write = 1;
        s_kv.cut = (fake_kv_cut_t)cut;
        assert_int_equal(kv->set(kv->ctx, "a", "new", 3), KV_FAILED);
        assert_int_equal(kv->get(kv->ctx, "a", out, sizeof(out), &len), KV_FAILED);
        assert_int_equal(kv->set(kv->ctx, "a", "x", 1), KV_FAILED);
        assert_int_equal(kv->erase(kv->ctx, "a"), KV_FAILED);
        fake_kv_power_on(&s_kv);
        assert_true(fake_kv_is_text(&s_kv, "a", cut == FAKE_KV_CUT_KEEPS_NEW ? "new" : "old"));
        s_kv.cut_at_write = 2;
        assert_int_equal(kv->erase(kv->ctx, "a"), KV_FAILED);
        assert_int_equal(fake_kv_has(&s_kv, "a"), cut == FAKE_KV_CUT_KEEPS_OLD);
    }
}

static void a_store_that_fails_or_is_damaged_says_so(void **state)
{
    (void)state;
    const port_kv_t *kv = &s_kv.port;
    char out[8];
    size_t len;
    fake_kv_put_text(&s_kv, "a", "1");
    fake_kv_damage(&s_kv, "a");
    fake_kv_damage(&s_kv, "none");
    assert_int_equal(kv->get(kv->ctx, "a", out, sizeof(out), &len), KV_FAILED);
    assert_false(fake_kv_is_text(&s_kv, "a", "1"));
    assert_int_equal(kv->set(kv->ctx, "a", "1", 1), KV_OK);
    assert_int_equal(kv->get(kv->ctx, "a", out, sizeof(out), &len), KV_OK);
    s_kv.fail_from_write = s_kv.writes + 1;
    assert_int_equal(kv->set(kv->ctx, "a", "2", 1), KV_FAILED);
    assert_int_equal(kv->erase(kv->ctx, "a"), KV_FAILED);
    assert_true(fake_kv_is_text(&s_kv, "a", "1"));
    s_kv.fail_gets = true;
    assert_int_equal(kv->get(kv->ctx, "a", out, sizeof(out), &len), KV_FAILED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_write_of_flash_clears_bits_and_one_that_must_set_some_is_a_misuse, begin),
        cmocka_unit_test_setup(flash_is_off_after_a_cut_until_power_comes_back, begin),
        cmocka_unit_test_setup(a_torn_write_or_erase_leaves_between_nothing_and_all, begin),
        cmocka_unit_test_setup(values_of_the_store_come_back, begin),
        cmocka_unit_test_setup(a_full_store_says_so_and_keeps_what_it_has, begin),
        cmocka_unit_test_setup(a_cut_of_the_store_keeps_the_old_value_or_the_new_one, begin),
        cmocka_unit_test_setup(a_store_that_fails_or_is_damaged_says_so, begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
