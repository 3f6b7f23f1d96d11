#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/crc32.h"
#include "core/le.h"

static void the_check_value_of_the_standard_comes_out(void **state)
{
    (void)state;
    assert_int_equal(crc32_add(0, "123456789", 9), 0xCBF43926); /* "CRC-32/ISO-HDLC", as catalogues list it */
    assert_int_equal(crc32_add(0, "", 0), 0);
}

static void pieces_give_what_the_whole_gives(void **state)
{
    (void)state;
    const char *whole = "123456789";
    for (size_t cut = 0; cut <= 9; cut++) {
        assert_int_equal(crc32_add(crc32_add(0, whole, cut), whole + cut, 9 - cut), 0xCBF43926);
    }
}

static void numbers_come_back_as_they_were_put(void **state)
{
    (void)state;
    uint8_t bytes[9] = {0};
    le_put64(bytes + 1, 0x0123456789ABCDEF); /* at an odd address */
    assert_int_equal(bytes[1], 0xEF);
    assert_true(le_get64(bytes + 1) == 0x0123456789ABCDEF);
    assert_int_equal(le_get32(bytes + 5), 0x01234567);
    assert_int_equal(le_get16(bytes + 7), 0x0123);
    le_put16(bytes, 0xFFFE);
    assert_int_equal(le_get16(bytes), 0xFFFE);
    le_put32(bytes, UINT32_MAX);
    assert_int_equal(le_get32(bytes), UINT32_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_check_value_of_the_standard_comes_out),
        cmocka_unit_test(pieces_give_what_the_whole_gives),
        cmocka_unit_test(numbers_come_back_as_they_were_put),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
