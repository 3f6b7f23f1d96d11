/* Every state with everything that can happen: written out once more, by hand, so that a slip in the table shows. */
#include "core/update_table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

/* A row a state, a column a happening: the next state's letter and the deed's; ".." nothing.
 *
 * states: I idle, W waiting, F fetching, P pausing, H hashing, L leaving, T on trial, B going back
 * deeds: b begin, f fetch, p pause, r restart, w write, h hash, i install, o reboot, c confirm, g go back, x fail, -
 * none
 */
static const char *const EXPECTED[UPDATE_STATES] = {
    /* ACC  DUE  EXP  WDR  BSY  GUP  ANW  PIE  CUT  WHO  WIM  FLF  HWR  HRI  BRF  TLD  PRV  STF  LATE */
    [UPDATE_IDLE] = "Wb .. .. .. .. .. .. .. .. .. .. .. .. .. .. .. .. .. ..",
    [UPDATE_WAITING] = "Wb Ff Ix Ix .. .. .. .. .. .. .. .. .. .. .. .. .. .. ..",
    [UPDATE_FETCHING] = "Wb .. Ix Ix Pp Ix Fr Fw Pp Hh Ix Ix .. .. .. .. .. .. ..",
    [UPDATE_PAUSING] = "Wb Ff Ix Ix .. .. .. .. .. .. .. .. .. .. .. .. .. .. ..",
    [UPDATE_HASHING] = "Wb .. Ix Ix .. .. Fr .. .. .. .. Ix Ix Li .. .. .. .. ..",
    [UPDATE_LEAVING] = ".. .. .. .. .. .. .. .. .. .. .. Ix .. .. Ix Lo .. .. ..",
    [UPDATE_ON_TRIAL] = ".. .. .. .. .. .. .. .. .. .. .. .. .. .. .. .. Ic Bg Bg",
    [UPDATE_GOING_BACK] = ".. .. .. .. .. .. .. .. .. .. .. .. .. .. .. .. .. .. ..",
};
static const char STATES[] = "IWFPHLTB";
static const char DEEDS[] = "-bfprwhiocgx";

static void each_state_does_with_each_happening_what_is_written_here(void **state)
{
    (void)state;
    for (int from = 0; from < UPDATE_STATES; from++) {
        for (int happening = 0; happening < UPDATE_HAPPENINGS; happening++) {
            const update_move_t move = update_move((update_state_t)from, (update_happening_t)happening);
            const char *expected = EXPECTED[from] + (size_t)happening * 3;
            char found[3] = {STATES[move.next], DEEDS[move.deed], '\0'};
            if ((int)move.next == from && move.deed == DEED_NONE) {
                found[0] = found[1] = '.';
            }
            if (found[0] != expected[0] || found[1] != expected[1]) {
                fail_msg("state %d, happening %d: %s and not %.2s", from, happening, found, expected);
            }
        }
    }
}

static void an_image_that_is_set_to_boot_is_given_up_by_nothing_but_how_it_turns_out(void **state)
{
    (void)state;
    const update_happening_t outside[] = {HAPPENED_ACCEPTED, HAPPENED_EXPIRED, HAPPENED_WITHDRAWN};
    for (size_t i = 0; i < sizeof(outside) / sizeof(outside[0]); i++) {
        for (int from = UPDATE_LEAVING; from < UPDATE_STATES; from++) {
            const update_move_t move = update_move((update_state_t)from, outside[i]);
            assert_int_equal(move.next, from);
            assert_int_equal(move.deed, DEED_NONE);
        }
    }
}

static void every_state_has_a_name(void **state)
{
    (void)state;
    for (int i = 0; i < UPDATE_STATES; i++) {
        assert_non_null(update_state_name((update_state_t)i));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_state_does_with_each_happening_what_is_written_here),
        cmocka_unit_test(an_image_that_is_set_to_boot_is_given_up_by_nothing_but_how_it_turns_out),
        cmocka_unit_test(every_state_has_a_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
