#include "core/sample.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static sample_t s_sample;

static int set_up(void **state)
{
    (void)state;
    return sample_init(&s_sample, "D01") ? 0 : 1;
}

static bool add(const char *tipo, const char *unidade)
{
    return sample_add(&s_sample, tipo, unidade, (decimal_t){1, 0});
}

static void a_sample_begins_empty(void **state)
{
    (void)state;
    memset(&s_sample, 0xFF, sizeof(s_sample));
    assert_true(sample_init(&s_sample, "GPS"));
    assert_string_equal(s_sample.device_code, "GPS");
    assert_int_equal(s_sample.count, 0);
    assert_false(s_sample.moment.stamped);
}

static void a_device_must_have_a_code(void **state)
{
    (void)state;
    assert_false(sample_init(&s_sample, ""));
    assert_false(sample_init(&s_sample, "a/b"));
}

static void readings_are_kept_in_their_order(void **state)
{
    (void)state;
    assert_true(sample_add(&s_sample, "temperatura",
                           "\xC2\xB0"
                           "C",
                           (decimal_t){235, 1}));
    assert_true(sample_add(&s_sample, "pulsos", "", (decimal_t){7, 0}));
    assert_int_equal(s_sample.count, 2);
    assert_string_equal(s_sample.readings[0].tipo, "temperatura");
    assert_string_equal(s_sample.readings[1].unidade, "");
    assert_int_equal(s_sample.readings[0].valor.digits, 235);
}

static void texts_may_be_as_long_as_their_bounds(void **state)
{
    (void)state;
    char tipo[TIPO_MAX_BYTES + 2] = "";
    char unidade[UNIDADE_MAX_BYTES + 2] = "";
    memset(tipo, 't', TIPO_MAX_BYTES);
    memset(unidade, 'u', UNIDADE_MAX_BYTES);
    assert_true(add(tipo, unidade));
    unidade[UNIDADE_MAX_BYTES] = 'u';
    assert_false(add("t", unidade));
    tipo[TIPO_MAX_BYTES] = 't';
    assert_false(add(tipo, ""));
    assert_int_equal(s_sample.count, 1);
}

static void what_the_server_would_refuse_is_not_added(void **state)
{
    (void)state;
    assert_false(add("", "V"));
    assert_false(add("a\nb", "V"));
    assert_false(add("a\xE2\x80\x8B", "V"));
    assert_false(add("a\xFF", "V"));
    assert_false(add("a", "\x7F"));
    assert_false(sample_add(&s_sample, "a", "V", (decimal_t){1, VALOR_MAX_PLACES + 1}));
    assert_int_equal(s_sample.count, 0);
}

static void the_same_tipo_in_the_same_unidade_is_added_once(void **state)
{
    (void)state;
    assert_true(add("tensao", "V"));
    assert_false(add("tensao", "V"));
    assert_true(add("tensao", "mV"));
    assert_true(add("tensao_b", "V"));
    assert_int_equal(s_sample.count, 3);
}

static void a_full_sample_takes_no_more(void **state)
{
    (void)state;
    char tipo[8];
    for (unsigned i = 0; i < SAMPLE_MAX_READINGS; i++) {
        (void)snprintf(tipo, sizeof(tipo), "t%u", i);
        assert_true(add(tipo, ""));
    }
    assert_false(add("more", ""));
    assert_int_equal(s_sample.count, SAMPLE_MAX_READINGS);
}

static void a_sample_filled_by_hand_is_judged_by_the_same_rules(void **state)
{
    (void)state;
    assert_false(sample_is_valid(&s_sample));
    assert_true(add("a", "V"));
    assert_true(add("b", "V"));
    assert_true(sample_is_valid(&s_sample));

    sample_t other = s_sample;
    memcpy(other.readings[1].tipo, "a", 2);
    assert_false(sample_is_valid(&other));
    other = s_sample;
    memset(other.readings[1].tipo, 'a', sizeof(other.readings[1].tipo));
    assert_false(sample_is_valid(&other));
    other = s_sample;
    memset(other.readings[0].unidade, 'a', sizeof(other.readings[0].unidade));
    assert_false(sample_is_valid(&other));
    other = s_sample;
    other.readings[0].tipo[0] = '\0';
    assert_false(sample_is_valid(&other));
    other = s_sample;
    other.readings[0].valor.places = 10;
    assert_false(sample_is_valid(&other));
    other = s_sample;
    other.device_code[0] = '/';
    assert_false(sample_is_valid(&other));
    other = s_sample;
    memset(other.device_code, 'a', sizeof(other.device_code));
    assert_false(sample_is_valid(&other));
    other = s_sample;
    other.count = SAMPLE_MAX_READINGS + 1;
    assert_false(sample_is_valid(&other));
}

static void a_stamped_sample_needs_a_time_of_the_calendar(void **state)
{
    (void)state;
    assert_true(add("a", "V"));
    s_sample.moment = (moment_t){.stamped = true, .unix_s = INT64_MAX};
    assert_false(sample_is_valid(&s_sample));
    s_sample.moment.unix_s = 1771439400;
    assert_true(sample_is_valid(&s_sample));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sample_begins_empty),
        cmocka_unit_test(a_device_must_have_a_code),
        cmocka_unit_test_setup(readings_are_kept_in_their_order, set_up),
        cmocka_unit_test_setup(texts_may_be_as_long_as_their_bounds, set_up),
        cmocka_unit_test_setup(what_the_server_would_refuse_is_not_added, set_up),
        cmocka_unit_test_setup(the_same_tipo_in_the_same_unidade_is_added_once, set_up),
        cmocka_unit_test_setup(a_full_sample_takes_no_more, set_up),
        cmocka_unit_test_setup(a_sample_filled_by_hand_is_judged_by_the_same_rules, set_up),
        cmocka_unit_test_setup(a_stamped_sample_needs_a_time_of_the_calendar, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
