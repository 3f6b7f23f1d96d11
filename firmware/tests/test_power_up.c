#include "app/power_up.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "port/fake/fake_kv.h"

static fake_kv_t s_kv;

static int without_anything(void **state)
{
    (void)state;
    fake_kv_init(&s_kv);
    return 0;
}

static void the_code_of_the_factory_image_is_the_units(void **state)
{
    (void)state;
    char code[CODE_MAX_CHARS + 1];
    fake_kv_put_text(&s_kv, "gateway_code", "GW-1");
    assert_true(power_up_gateway_code(&s_kv.port, code));
    assert_string_equal(code, "GW-1");
}

static void a_code_of_64_characters_is_taken_whole(void **state)
{
    (void)state;
    char longest[CODE_MAX_CHARS + 1];
    char code[CODE_MAX_CHARS + 1];
    memset(longest, 'G', CODE_MAX_CHARS);
    longest[CODE_MAX_CHARS] = '\0';
    fake_kv_put_text(&s_kv, "gateway_code", longest);
    assert_true(power_up_gateway_code(&s_kv.port, code));
    assert_string_equal(code, longest);
}

static void what_is_no_code_is_none(void **state)
{
    (void)state;
    static const char *const TEXTS[] = {"", "GW 1", "GW/1", "+", "#", "$SYS", "-GW"};
    char code[CODE_MAX_CHARS + 1] = "before";
    assert_false(power_up_gateway_code(&s_kv.port, code)); /* not there at all */
    assert_string_equal(code, "");
    for (size_t i = 0; i < sizeof(TEXTS) / sizeof(TEXTS[0]); i++) {
        fake_kv_put_text(&s_kv, "gateway_code", TEXTS[i]);
        assert_false(power_up_gateway_code(&s_kv.port, code));
        assert_string_equal(code, "");
    }
}

static void each_start_is_counted(void **state)
{
    (void)state;
    uint32_t boots = 77;
    for (uint32_t start = 1; start < 4; start++) {
        assert_true(power_up_count(&s_kv.port, &boots));
        assert_int_equal(boots, start);
    }
}

static void a_count_that_is_damaged_begins_anew_and_one_that_is_not_kept_says_so(void **state)
{
    (void)state;
    uint32_t boots = 0;
    fake_kv_put_text(&s_kv, "boots", "many of them");
    assert_true(power_up_count(&s_kv.port, &boots));
    assert_int_equal(boots, 1);
    s_kv.fail_from_write = s_kv.writes + 1;
    assert_false(power_up_count(&s_kv.port, &boots));
    assert_int_equal(boots, 2);
}

static void each_device_has_a_place_of_its_own_that_stays(void **state)
{
    (void)state;
    assert_int_equal(power_up_place(""), 2166136261u);  /* the offset basis of FNV-1a, 32 bits */
    assert_int_equal(power_up_place("a"), 0xE40C292Cu); /* draft-eastlake-fnv, its test vectors */
    assert_true(power_up_place("GW-0001") != power_up_place("GW-0002"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_code_of_the_factory_image_is_the_units, without_anything),
        cmocka_unit_test_setup(a_code_of_64_characters_is_taken_whole, without_anything),
        cmocka_unit_test_setup(what_is_no_code_is_none, without_anything),
        cmocka_unit_test_setup(each_start_is_counted, without_anything),
        cmocka_unit_test_setup(a_count_that_is_damaged_begins_anew_and_one_that_is_not_kept_says_so, without_anything),
        cmocka_unit_test_setup(each_device_has_a_place_of_its_own_that_stays, without_anything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
