/* Slots over fakes, with a boot loader that decides as the launcher does; power goes at every write of otadata. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "port/fake/fake_flash.h"
#include "port/posix/launcher/boot_select.h"
#include "port/posix/slots.h"

#define SECTOR OUTBOX_SECTOR_BYTES
#define SLOT_BYTES (4 * SECTOR)

static uint8_t s_otadata_medium[OTADATA_BYTES], s_slot_media[2][SLOT_BYTES];
static fake_flash_t s_otadata, s_slot_flashes[2];
static slots_t s_slots;
static uint32_t s_reboots;

static void reboot(void *ctx, reboot_reason_t reason)
{
    (void)ctx;
    assert_int_equal(reason, REBOOT_UPDATE);
    s_reboots++;
}

static const port_reboot_t s_reboot = {.reboot = reboot};

static void use_running(uint8_t slot)
{
    slots_init(&s_slots, &s_otadata.port, &s_slot_flashes[0].port, &s_slot_flashes[1].port, slot, &s_reboot);
}

static int begin(void **state)
{
    (void)state;
    fake_flash_init(&s_otadata, s_otadata_medium, sizeof(s_otadata_medium), 5);
    fake_flash_blank(&s_otadata);
    for (int i = 0; i < 2; i++) {
        fake_flash_init(&s_slot_flashes[i], s_slot_media[i], SLOT_BYTES, 6);
        fake_flash_blank(&s_slot_flashes[i]);
    }
    s_reboots = 0;
    use_running(0);
    return 0;
}

static int end(void **state)
{
    (void)state;
    assert_int_equal(s_otadata.misuses, 0);
    return 0;
}

static image_state_t state_of(uint8_t slot)
{
    return s_slots.port.state(s_slots.port.ctx, slot);
}

static bool set_boot(uint8_t slot)
{
    return s_slots.port.set_boot(s_slots.port.ctx, slot);
}

static bool confirm(void)
{
    return s_slots.port.confirm(s_slots.port.ctx);
}

/* As the launcher: what to start, marked before it starts. Power may go in it too: -1 then. */
static int boot(void)
{
    const bool images[2] = {true, true};
    otadata_t otadata;
    if (!otadata_read(&s_otadata.port, &otadata)) {
        return -1;
    }
    boot_choice_t choice = boot_select(&otadata, images);
    for (int i = 0; i < OTADATA_ENTRIES; i++) {
        if (choice.mark[i] != IMAGE_UNDEFINED && !otadata_set_state(&s_otadata.port, i, choice.mark[i])) {
            return -1;
        }
    }
    use_running((uint8_t)choice.slot);
    return choice.slot;
}

static void without_an_entry_the_first_slot_runs(void **state)
{
    (void)state;
    assert_int_equal(boot(), 0);
    assert_int_equal(s_slots.port.running_slot(s_slots.port.ctx), 0);
    assert_int_equal(state_of(0), IMAGE_UNDEFINED);
    assert_int_equal(state_of(1), IMAGE_UNDEFINED);
    assert_true(confirm()); /* the factory's is good by definition */
    assert_int_equal(fake_flash_operations(&s_otadata), 0);
    assert_int_equal(s_slots.port.slot_bytes(s_slots.port.ctx), SLOT_BYTES);
}

static void a_new_image_is_on_trial_until_it_is_confirmed(void **state)
{
    (void)state;
    for (uint8_t slot = 1, round = 0; round < 9; round++, slot ^= 1) { /* to and fro, over sequence numbers */
        assert_true(set_boot(slot));
        assert_int_equal(state_of(slot), IMAGE_NEW);
        assert_int_equal(boot(), slot);
        assert_int_equal(state_of(slot), IMAGE_PENDING_VERIFY);
        assert_true(confirm());
        assert_int_equal(state_of(slot), IMAGE_VALID);
        assert_true(confirm());
        assert_int_equal(boot(), slot);
        assert_int_equal(state_of(slot), IMAGE_VALID);
    }
}

static void an_image_that_is_not_confirmed_is_left_at_the_next_start(void **state)
{
    (void)state;
    assert_true(set_boot(1));
    assert_int_equal(boot(), 1);
    assert_int_equal(boot(), 0);
    assert_int_equal(state_of(1), IMAGE_ABORTED);
    assert_true(set_boot(1)); /* tried once more */
    assert_int_equal(boot(), 1);
    assert_true(confirm());
    assert_true(set_boot(0));
    assert_int_equal(boot(), 0);
    assert_int_equal(boot(), 1); /* back to the one that was confirmed */
    assert_int_equal(state_of(0), IMAGE_ABORTED);
    assert_int_equal(state_of(1), IMAGE_VALID);
}

static void an_image_that_goes_back_itself_is_invalid(void **state)
{
    (void)state;
    assert_true(set_boot(1));
    assert_int_equal(boot(), 1);
    s_slots.port.roll_back(s_slots.port.ctx);
    assert_int_equal(s_reboots, 1);
    assert_int_equal(state_of(1), IMAGE_INVALID);
    assert_int_equal(boot(), 0);
    use_running(1);
    assert_false(confirm()); /* what failed is not made good by a late word */
    use_running(0);
    s_slots.port.roll_back(s_slots.port.ctx); /* the factory's has nothing to mark */
    assert_int_equal(s_reboots, 2);
    assert_int_equal(boot(), 0);
}

static void a_confirmed_image_can_still_go_back(void **state)
{
    (void)state;
    assert_true(set_boot(1));
    assert_int_equal(boot(), 1);
    assert_true(confirm());
    s_slots.port.roll_back(s_slots.port.ctx);
    assert_int_equal(state_of(1), IMAGE_INVALID);
    assert_int_equal(boot(), 0);
}

static void the_running_image_is_never_written_to(void **state)
{
    (void)state;
    const port_ota_t *ota = &s_slots.port;
    uint8_t bytes[4] = {1, 2, 3, 4}, out[4];
    assert_false(ota->write(ota->ctx, 0, 0, bytes, 4));
    assert_false(ota->erase(ota->ctx, 0, 0, SECTOR));
    assert_true(ota->erase(ota->ctx, 1, 0, SLOT_BYTES));
    assert_true(ota->write(ota->ctx, 1, SLOT_BYTES - 4, bytes, 4));
    assert_true(ota->write(ota->ctx, 1, SLOT_BYTES, bytes, 0));
    assert_true(ota->read(ota->ctx, 1, SLOT_BYTES - 4, out, 4));
    assert_memory_equal(out, bytes, 4);
    assert_true(ota->read(ota->ctx, 0, 0, out, 4));
    assert_int_equal(s_slot_flashes[1].erases, SLOT_BYTES / SECTOR);
}

static void nothing_outside_of_a_slot_is_touched(void **state)
{
    (void)state;
    const port_ota_t *ota = &s_slots.port;
    uint8_t bytes[4] = {0};
    assert_false(ota->write(ota->ctx, 2, 0, bytes, 4));
    assert_false(ota->write(ota->ctx, 1, SLOT_BYTES - 3, bytes, 4));
    assert_false(ota->write(ota->ctx, 1, UINT32_MAX, bytes, 4));
    assert_false(ota->read(ota->ctx, 2, 0, bytes, 4));
    assert_false(ota->read(ota->ctx, 1, SLOT_BYTES, bytes, 1));
    assert_false(ota->erase(ota->ctx, 2, 0, SECTOR));
    assert_false(ota->erase(ota->ctx, 1, 1, SECTOR));
    assert_false(ota->erase(ota->ctx, 1, 0, 1));
    assert_false(ota->erase(ota->ctx, 1, 0, SLOT_BYTES + SECTOR));
    assert_false(ota->set_boot(ota->ctx, 2));
    assert_int_equal(s_slot_flashes[1].misuses + s_slot_flashes[0].misuses, 0);
    s_slot_flashes[1].fail_erases_from = 2;
    assert_false(ota->erase(ota->ctx, 1, 0, SLOT_BYTES));
}

static void otadata_that_can_not_be_read_or_written_changes_nothing(void **state)
{
    (void)state;
    assert_true(set_boot(1));
    assert_int_equal(boot(), 1);
    s_otadata.fail_reads = true;
    assert_false(set_boot(0));
    assert_false(confirm());
    assert_int_equal(state_of(1), IMAGE_UNDEFINED);
    s_slots.port.roll_back(s_slots.port.ctx);
    s_otadata.fail_reads = false;
    s_otadata.fail_writes_from = s_otadata.writes + 1;
    assert_false(set_boot(0));
    assert_false(confirm());
    s_slots.port.roll_back(s_slots.port.ctx);
    assert_int_equal(s_reboots, 2);
    s_otadata.fail_writes_from = 0;
    s_otadata.fail_erases_from = s_otadata.erases + 1;
    assert_false(set_boot(0));
    s_otadata.fail_erases_from = 0;
    assert_int_equal(state_of(1), IMAGE_PENDING_VERIFY);
    assert_int_equal(boot(), 0); /* it went back all the same: it was on trial */
    assert_false(otadata_set_state(&s_otadata.port, 0, IMAGE_NEW));
    assert_false(otadata_set_state(&s_otadata.port, 1, IMAGE_VALID)); /* there is no entry */
}

static void otadata_that_can_not_be_read_back_is_not_believed(void **state)
{
    (void)state;
    assert_true(set_boot(1));
    assert_int_equal(boot(), 1);
    s_otadata.fail_reads_from = s_otadata.reads + 3; /* the two before it writes, then the first of reading it back */
    assert_false(confirm());
    s_otadata.fail_reads_from = s_otadata.reads + 3;
    assert_false(set_boot(0));
    s_otadata.fail_reads_from = 0;
    assert_int_equal(state_of(1), IMAGE_VALID); /* it was on the medium all the same */
}

static void a_write_that_only_says_that_it_worked_is_found_out(void **state)
{
    (void)state;
    s_otadata.fail_silently = true;
    s_otadata.tear = FAKE_FLASH_TEAR_PREFIX;
    s_otadata.fail_writes_from = 1;
    assert_false(set_boot(1));
    s_otadata.fail_writes_from = 0;
    assert_true(set_boot(1));
    assert_int_equal(boot(), 1);
    s_otadata.fail_writes_from = s_otadata.writes + 1;
    s_otadata.tear = FAKE_FLASH_TEAR_NONE;
    assert_false(confirm());
}

static void any_one_bit_of_otadata_that_rots_boots_a_good_image(void **state)
{
    (void)state;
    assert_true(set_boot(1));
    assert_int_equal(boot(), 1);
    assert_true(confirm());
    assert_true(set_boot(0));
    assert_int_equal(boot(), 0);
    assert_true(confirm());
    static uint8_t before[OTADATA_BYTES];
    memcpy(before, s_otadata_medium, sizeof(before));
    for (uint32_t offset = 0; offset < 32; offset++) {
        for (uint32_t bit = 0; bit < 8; bit++) {
            for (uint32_t sector = 0; sector < 2; sector++) {
                memcpy(s_otadata_medium, before, sizeof(before));
                fake_flash_rot(&s_otadata, sector * SECTOR + offset, (uint8_t)(1u << bit));
                int slot = boot();
                assert_true(slot == 0 || (slot == 1 && offset < 12)); /* an entry that is gone: the former one */
                image_state_t of_it = state_of((uint8_t)slot);
                assert_true(of_it == IMAGE_VALID || of_it == IMAGE_UNDEFINED);
            }
        }
    }
}

static void an_erase_that_power_cuts_short_makes_no_failed_image_good(void **state)
{
    uint32_t erases_cut = 0;
    for (uint32_t cut = 1; cut <= 3; cut++) {
        begin(state);
        for (int i = 0; i < 4; i++) { /* an entry each, twice */
            assert_true(set_boot(1));
            assert_int_equal(boot(), 1);
            assert_true(confirm());
            s_slots.port.roll_back(s_slots.port.ctx);
            assert_int_equal(boot(), 0);
        }
        uint32_t writes = s_otadata.writes, erases = s_otadata.erases;
        s_otadata.cut_at = fake_flash_operations(&s_otadata) + cut;
        assert_false(set_boot(1));
        fake_flash_power_on(&s_otadata);
        if (s_otadata.erases > erases && s_otadata.writes <= writes + 1) {
            erases_cut++;
            memset(s_otadata_medium + 12, 0xFF, 2); /* it took the marks of failure, and left that of a good image */
        }
        assert_int_equal(boot(), 0);
        assert_int_equal(state_of(1), IMAGE_INVALID);
    }
    assert_int_equal(erases_cut, 1);
}

/* An update as a device does it, from slot `from`, which is confirmed; each step that said true holds. */
typedef struct {
    bool set, booted, confirmed, rolled_back;
} progress_t;

static progress_t update(uint8_t to, bool is_good)
{
    progress_t progress = {0};
    progress.set = set_boot(to);
    if (s_otadata.power_is_off) {
        return progress;
    }
    progress.booted = boot() == to;
    if (s_otadata.power_is_off || !progress.booted) {
        return progress;
    }
    if (is_good) {
        progress.confirmed = confirm();
    } else {
        s_slots.port.roll_back(s_slots.port.ctx);
        progress.rolled_back = !s_otadata.power_is_off;
    }
    return progress;
}

static void power_that_goes_at_any_write_of_otadata_never_costs_a_good_image(void **state)
{
    (void)state;
    for (uint32_t history = 0; history < 4; history++) { /* how many updates there were before */
        for (int is_good = 0; is_good < 2; is_good++) {
            for (int tear = 0; tear < FAKE_FLASH_TEARS; tear++) {
                for (uint32_t seed = 0; seed < 20; seed++) {
                    bool over = false;
                    for (uint32_t cut = 1; !over; cut++) {
                        begin(NULL);
                        s_otadata.random = seed * 1000 + cut;
                        uint8_t from = 0;
                        for (uint32_t i = 0; i < history; i++, from ^= 1) {
                            assert_true(update(from ^ 1, true).confirmed);
                        }
                        uint8_t to = from ^ 1;
                        s_otadata.cut_at = fake_flash_operations(&s_otadata) + cut;
                        s_otadata.tear = (fake_flash_tear_t)tear;
                        progress_t progress = update(to, is_good == 1);
                        over = !s_otadata.power_is_off;
                        fake_flash_power_on(&s_otadata);
                        int slot = boot();
                        assert_true(slot == from || slot == to);
                        if (progress.confirmed) {
                            assert_int_equal(slot, to);
                        } else if (progress.booted) {
                            /* On trial, and power went: back; or the word was on the medium and nobody heard. */
                            assert_true(slot == from || state_of(to) == IMAGE_VALID);
                        } else if (progress.set) {
                            assert_true(slot == to || state_of(to) == IMAGE_ABORTED);
                        }
                        if (slot == to && !progress.confirmed && state_of(to) == IMAGE_PENDING_VERIFY) {
                            assert_int_equal(boot(), from); /* it is on trial still: a reset goes back */
                        }
                        assert_true(slot == from || state_of(to) != IMAGE_NEW); /* nothing runs without a trial */
                        /* And the next update works. */
                        int now = boot();
                        assert_true(update((uint8_t)now ^ 1, true).confirmed);
                        assert_int_equal(boot(), now ^ 1);
                        assert_int_equal(s_otadata.misuses, 0);
                    }
                }
            }
        }
    }
}

#define FACT(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FACT(without_an_entry_the_first_slot_runs),
        FACT(a_new_image_is_on_trial_until_it_is_confirmed),
        FACT(an_image_that_is_not_confirmed_is_left_at_the_next_start),
        FACT(an_image_that_goes_back_itself_is_invalid),
        FACT(a_confirmed_image_can_still_go_back),
        FACT(the_running_image_is_never_written_to),
        FACT(nothing_outside_of_a_slot_is_touched),
        FACT(otadata_that_can_not_be_read_or_written_changes_nothing),
        FACT(otadata_that_can_not_be_read_back_is_not_believed),
        FACT(a_write_that_only_says_that_it_worked_is_found_out),
        FACT(an_erase_that_power_cuts_short_makes_no_failed_image_good),
        FACT(any_one_bit_of_otadata_that_rots_boots_a_good_image),
        FACT(power_that_goes_at_any_write_of_otadata_never_costs_a_good_image),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
