#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "port/posix/launcher/boot_select.h"

#define NONE IMAGE_UNDEFINED
#define NEW IMAGE_NEW
#define PENDING IMAGE_PENDING_VERIFY
#define VALID IMAGE_VALID
#define INVALID IMAGE_INVALID
#define ABORTED IMAGE_ABORTED

typedef struct {
    const char *what;
    uint32_t seq[2]; /* 0: no entry. Odd numbers are slot 0's */
    image_state_t state[2];
    bool image[2];
    int slot;
    image_state_t mark[2];
    bool rolled_back, last_resort;
} row_t;

static const row_t s_rows[] = {
    {"the factory's image", {0, 0}, {NONE, NONE}, {true, false}, 0, {NONE, NONE}, false, false},
    {"no image at all", {0, 0}, {NONE, NONE}, {false, false}, -1, {NONE, NONE}, false, false},
    {"only in the other slot", {0, 0}, {NONE, NONE}, {false, true}, 1, {NONE, NONE}, false, false},
    {"a first update", {2, 0}, {NEW, NONE}, {true, true}, 1, {PENDING, NONE}, false, false},
    {"that was not confirmed", {2, 0}, {PENDING, NONE}, {true, true}, 0, {ABORTED, NONE}, true, false},
    {"that was confirmed", {2, 0}, {VALID, NONE}, {true, true}, 1, {NONE, NONE}, false, false},
    {"that went back itself", {2, 0}, {INVALID, NONE}, {true, true}, 0, {NONE, NONE}, false, false},
    {"that was aborted before", {2, 0}, {ABORTED, NONE}, {true, true}, 0, {NONE, NONE}, false, false},
    {"a second update", {2, 3}, {VALID, NEW}, {true, true}, 0, {NONE, PENDING}, false, false},
    {"that was not confirmed", {2, 3}, {VALID, PENDING}, {true, true}, 1, {NONE, ABORTED}, true, false},
    {"that went back", {2, 3}, {VALID, INVALID}, {true, true}, 1, {NONE, NONE}, false, false},
    {"that was confirmed", {2, 3}, {VALID, VALID}, {true, true}, 0, {NONE, NONE}, false, false},
    {"entries the other way round", {5, 4}, {VALID, VALID}, {true, true}, 0, {NONE, NONE}, false, false},
    {"a new image that is damaged", {2, 3}, {VALID, NEW}, {false, true}, 1, {NONE, ABORTED}, true, false},
    {"a confirmed image that rotted", {2, 3}, {VALID, VALID}, {false, true}, 1, {NONE, NONE}, false, false},
    {"and the other one failed once", {2, 3}, {ABORTED, VALID}, {false, true}, 1, {NONE, NONE}, false, true},
    {"on trial, and the former rotted", {2, 3}, {VALID, PENDING}, {true, false}, 0, {NONE, ABORTED}, true, true},
    {"both failed: the factory's has none", {2, 4}, {ABORTED, INVALID}, {true, true}, 0, {NONE, NONE}, false, false},
    {"both failed, one for each", {2, 3}, {ABORTED, INVALID}, {true, true}, 0, {NONE, NONE}, false, true},
    {"two of one slot: the newer", {2, 4}, {VALID, NEW}, {true, true}, 1, {NONE, PENDING}, false, false},
    {"both new, which never is", {2, 3}, {NEW, NEW}, {true, true}, 0, {NONE, PENDING}, false, false},
    {"both pending, which never is", {2, 3}, {PENDING, PENDING}, {true, true}, 0, {ABORTED, ABORTED}, true, true},
    {"entries, and no image", {2, 3}, {VALID, VALID}, {false, false}, -1, {NONE, NONE}, false, false},
};

static void each_state_boots_what_it_must(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(s_rows) / sizeof(s_rows[0]); i++) {
        const row_t *row = &s_rows[i];
        otadata_t otadata;
        for (int k = 0; k < 2; k++) {
            otadata.entries[k] = (otadata_entry_t){row->seq[k] != 0, row->seq[k], row->state[k]};
        }
        boot_choice_t choice = boot_select(&otadata, row->image);
        if (choice.slot != row->slot || choice.mark[0] != row->mark[0] || choice.mark[1] != row->mark[1] ||
            choice.rolled_back != row->rolled_back || choice.last_resort != row->last_resort) {
            fail_msg("row %u, %s: slot %d, marks %d %d, back %d, last %d", (unsigned)i, row->what, choice.slot,
                     (int)choice.mark[0], (int)choice.mark[1], choice.rolled_back, choice.last_resort);
        }
    }
}

/* Whatever is there: an image that is whole is started, and none that is not; nothing new is started unmarked. */
static void of_all_states_none_leaves_a_device_with_an_image_dark(void **state)
{
    (void)state;
    for (uint32_t all = 0; all < 4 * 4 * 6 * 6 * 4; all++) {
        uint32_t rest = all;
        otadata_t otadata;
        for (int k = 0; k < 2; k++) {
            uint32_t seq = rest % 4;
            rest /= 4;
            otadata.entries[k] = (otadata_entry_t){seq != 0, seq, (image_state_t)(rest % 6)};
            rest /= 6;
        }
        bool image[2] = {rest % 2 == 1, rest / 2 % 2 == 1};
        boot_choice_t choice = boot_select(&otadata, image);
        assert_int_equal(choice.slot >= 0, image[0] || image[1]);
        assert_true(choice.slot < 0 || image[choice.slot]);
        for (int k = 0; k < 2; k++) {
            const otadata_entry_t *entry = &otadata.entries[k];
            if (!entry->good) {
                assert_int_equal(choice.mark[k], IMAGE_UNDEFINED);
                continue;
            }
            assert_true(entry->state != IMAGE_PENDING_VERIFY || choice.mark[k] == IMAGE_ABORTED);
            bool chosen = choice.slot == otadata_slot(entry) && !choice.last_resort;
            bool newest = otadata_entry_of(&otadata, otadata_slot(entry)) == k;
            if (entry->state == IMAGE_NEW && chosen && newest && otadata.entries[0].seq != otadata.entries[1].seq) {
                assert_int_equal(choice.mark[k], IMAGE_PENDING_VERIFY);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_state_boots_what_it_must),
        cmocka_unit_test(of_all_states_none_leaves_a_device_with_an_image_dark),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
