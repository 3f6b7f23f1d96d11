/* When the firmware server is asked without being told to: never by all at once, and never for ever or not at all. */
#include "core/update_poll.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define S UINT64_C(1000)
#define NOW_MS UINT64_C(5000000000) /* behind 2^32 */
#define HOUR_S 3600
#define DAY_S 86400
#define LAST UINT32_MAX

static const uint32_t RANDOMS[] = {0, 1, 0x3FFFFFFF, 0x80000000, 0xDEADBEEF, LAST};
#define RANDOM_COUNT (sizeof(RANDOMS) / sizeof(RANDOMS[0]))

static update_poll_t s_poll;

static void init(uint32_t random)
{
    update_poll_init(&s_poll, NOW_MS, 6 * HOUR_S, 0, random);
}

static int begin(void **state)
{
    (void)state;
    init(0x80000000);
    return 0;
}

/* Within a millisecond, for what rounding leaves. */
static void assert_spread(uint64_t least_ms, uint64_t middle_ms, uint64_t most_ms, uint64_t (*due)(uint32_t random))
{
    assert_in_range(due(0), least_ms, least_ms + 1);
    assert_in_range(due(0x80000000), middle_ms - 1, middle_ms + 1);
    assert_in_range(due(LAST), most_ms - 1, most_ms);
    for (size_t i = 0; i < RANDOM_COUNT; i++) {
        assert_in_range(due(RANDOMS[i]), least_ms, most_ms);
    }
}

static uint64_t due_after_start(uint32_t random)
{
    init(random);
    assert_true(s_poll.assignment.due_ms == s_poll.trust.due_ms);
    return s_poll.trust.due_ms;
}

static void after_a_start_both_are_asked_for_within_five_minutes(void **state)
{
    (void)state;
    assert_spread(NOW_MS, NOW_MS + 150 * S, NOW_MS + 300 * S, due_after_start);
}

static uint64_t due_after_short_start(uint32_t random)
{
    update_poll_init(&s_poll, NOW_MS, HOUR_S, 10, random);
    return s_poll.assignment.due_ms;
}

static void the_while_after_a_start_is_the_one_that_is_set(void **state)
{
    (void)state;
    assert_spread(NOW_MS, NOW_MS + 5 * S, NOW_MS + 10 * S, due_after_short_start);
}

static uint64_t due_after_answer(uint32_t random)
{
    update_poll_asked(&s_poll, NOW_MS, true, 0, random);
    return s_poll.assignment.due_ms;
}

static void an_assignment_is_asked_for_each_period_give_or_take_an_eighth(void **state)
{
    (void)state;
    const uint64_t period_ms = 6 * HOUR_S * S;
    assert_spread(NOW_MS + period_ms * 7 / 8, NOW_MS + period_ms, NOW_MS + period_ms * 9 / 8, due_after_answer);
}

static uint64_t due_after_told(uint32_t random)
{
    init(0);
    s_poll.assignment.due_ms = NOW_MS + HOUR_S * S;
    update_poll_told(&s_poll, NOW_MS, random);
    return s_poll.assignment.due_ms;
}

static void all_that_are_told_to_ask_now_do_so_within_five_minutes(void **state)
{
    (void)state;
    assert_spread(NOW_MS, NOW_MS + 150 * S, NOW_MS + 300 * S, due_after_told);
}

static void who_is_told_asks_for_the_keys_too_and_before_for_a_key_may_be_revoked(void **state)
{
    (void)state;
    init(0);
    s_poll.trust.due_ms = s_poll.assignment.due_ms = NOW_MS + HOUR_S * S;
    update_poll_told(&s_poll, NOW_MS, LAST);
    assert_true(s_poll.trust.due_ms < NOW_MS + 301 * S);
    assert_true(s_poll.trust.due_ms <= s_poll.assignment.due_ms);
}

static void whoever_is_told_again_and_again_does_not_ask_later_for_it(void **state)
{
    (void)state;
    s_poll.assignment.due_ms = NOW_MS + 5;
    for (int i = 0; i < 100; i++) {
        update_poll_told(&s_poll, NOW_MS + (uint64_t)i, LAST);
    }
    assert_true(s_poll.assignment.due_ms == NOW_MS + 5);
}

static void in_a_hurry_it_is_asked_for_now(void **state)
{
    (void)state;
    update_poll_hurry(&s_poll, NOW_MS + 7);
    assert_true(s_poll.assignment.due_ms == NOW_MS + 7);
}

static void a_shorter_period_counts_at_once_and_a_longer_one_from_the_next_answer_on(void **state)
{
    (void)state;
    (void)due_after_answer(0x80000000);
    update_poll_set_period(&s_poll, NOW_MS, HOUR_S, 0x80000000);
    assert_in_range(s_poll.assignment.due_ms, NOW_MS + HOUR_S * S - 1, NOW_MS + HOUR_S * S + 1);
    const uint64_t due_ms = s_poll.assignment.due_ms;
    update_poll_set_period(&s_poll, NOW_MS, 24 * HOUR_S, 0);
    assert_true(s_poll.assignment.due_ms == due_ms);
    update_poll_asked(&s_poll, due_ms, true, 0, 0x80000000);
    assert_in_range(s_poll.assignment.due_ms, due_ms + DAY_S * S - 1, due_ms + DAY_S * S + 1);
}

static void a_key_that_nobody_knows_is_a_reason_to_ask_once_a_minute(void **state)
{
    (void)state;
    assert_true(update_poll_unknown_key(&s_poll, NOW_MS));
    assert_true(s_poll.trust.due_ms == NOW_MS);
    assert_true(s_poll.assignment.due_ms == NOW_MS);
    s_poll.trust.due_ms = s_poll.assignment.due_ms = NOW_MS + DAY_S * S;
    assert_false(update_poll_unknown_key(&s_poll, NOW_MS + 1));
    assert_false(update_poll_unknown_key(&s_poll, NOW_MS + POLL_UNKNOWN_KEY_S * S - 1));
    assert_true(s_poll.trust.due_ms == NOW_MS + DAY_S * S);
    assert_true(update_poll_unknown_key(&s_poll, NOW_MS + POLL_UNKNOWN_KEY_S * S));
}

static uint64_t due_after_trust(uint32_t random)
{
    update_poll_asked_trust(&s_poll, NOW_MS, true, 0, INT64_MAX, random);
    return s_poll.trust.due_ms;
}

static void a_trust_set_is_asked_for_daily_give_or_take_an_eighth(void **state)
{
    (void)state;
    const uint64_t day_ms = DAY_S * S;
    assert_spread(NOW_MS + day_ms * 7 / 8, NOW_MS + day_ms, NOW_MS + day_ms * 9 / 8, due_after_trust);
}

static void a_trust_set_near_its_end_and_one_that_is_over_is_asked_for_hourly(void **state)
{
    (void)state;
    const int64_t lefts[] = {POLL_TRUST_NEAR_S - 1, 1, 0, -1, INT64_MIN};
    for (size_t i = 0; i < sizeof(lefts) / sizeof(lefts[0]); i++) {
        update_poll_asked_trust(&s_poll, NOW_MS, true, 0, lefts[i], LAST);
        assert_in_range(s_poll.trust.due_ms, NOW_MS + HOUR_S * S, NOW_MS + HOUR_S * S * 9 / 8);
    }
    update_poll_asked_trust(&s_poll, NOW_MS, true, 0, POLL_TRUST_NEAR_S, 0);
    assert_in_range(s_poll.trust.due_ms, NOW_MS + DAY_S * S * 7 / 8, NOW_MS + DAY_S * S);
}

/* "Exponential Backoff And Jitter": between now and a ceiling that doubles up to an hour. */
static void a_server_that_does_not_answer_is_asked_again_with_growing_pauses_up_to_an_hour(void **state)
{
    (void)state;
    uint64_t ceiling_ms = POLL_PAUSE_FIRST_S * S;
    for (int i = 0; i < 12; i++) {
        update_poll_asked(&s_poll, NOW_MS, false, 0, LAST);
        assert_in_range(s_poll.assignment.due_ms, NOW_MS + ceiling_ms - 1, NOW_MS + ceiling_ms);
        ceiling_ms = ceiling_ms * 2 < POLL_PAUSE_MAX_S * S ? ceiling_ms * 2 : POLL_PAUSE_MAX_S * S;
    }
    update_poll_asked(&s_poll, NOW_MS, true, 0, 0);
    update_poll_asked(&s_poll, NOW_MS, false, 0, LAST);
    assert_in_range(s_poll.assignment.due_ms, NOW_MS, NOW_MS + POLL_PAUSE_FIRST_S * S);
    update_poll_asked_trust(&s_poll, NOW_MS, false, 0, INT64_MAX, LAST);
    assert_in_range(s_poll.trust.due_ms, NOW_MS, NOW_MS + POLL_PAUSE_FIRST_S * S);
}

static uint64_t due_after_retry_after(uint32_t random)
{
    update_poll_asked(&s_poll, NOW_MS, false, 400, random);
    return s_poll.assignment.due_ms;
}

static void retry_after_is_obeyed_and_spread_by_a_quarter_more(void **state)
{
    (void)state;
    assert_spread(NOW_MS + 400 * S, NOW_MS + 450 * S + 500, NOW_MS + 501 * S, due_after_retry_after);
}

#define FACT(name) cmocka_unit_test_setup(name, begin)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FACT(after_a_start_both_are_asked_for_within_five_minutes),
        FACT(the_while_after_a_start_is_the_one_that_is_set),
        FACT(an_assignment_is_asked_for_each_period_give_or_take_an_eighth),
        FACT(all_that_are_told_to_ask_now_do_so_within_five_minutes),
        FACT(who_is_told_asks_for_the_keys_too_and_before_for_a_key_may_be_revoked),
        FACT(whoever_is_told_again_and_again_does_not_ask_later_for_it),
        FACT(in_a_hurry_it_is_asked_for_now),
        FACT(a_shorter_period_counts_at_once_and_a_longer_one_from_the_next_answer_on),
        FACT(a_key_that_nobody_knows_is_a_reason_to_ask_once_a_minute),
        FACT(a_trust_set_is_asked_for_daily_give_or_take_an_eighth),
        FACT(a_trust_set_near_its_end_and_one_that_is_over_is_asked_for_hourly),
        FACT(a_server_that_does_not_answer_is_asked_again_with_growing_pauses_up_to_an_hour),
        FACT(retry_after_is_obeyed_and_spread_by_a_quarter_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
