/* What is asked of a document's claims, by itself: the vectors (test_update_vectors.c) say what documents come of it.
 */
#include "core/claims.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/base64url.h"
#include "core/kid.h"

static claims_t s_claims;

static bool take(const char *json)
{
    char text[2 * CLAIMS_MAX_BYTES];
    size_t len = base64url_encode((const uint8_t *)json, strlen(json), text, sizeof(text));
    return claims_read(&s_claims, text, len);
}

static void they_are_an_object(void **state)
{
    (void)state;
    assert_true(take("{}"));
    assert_true(take(" {\"x\": 1} "));
    assert_false(take("[{}]"));
    assert_false(take("1"));
    assert_false(take("{"));
    assert_false(take(""));
    assert_false(claims_read(&s_claims, "e30=", 4));
}

static void integers_are_within_their_bounds(void **state)
{
    (void)state;
    int64_t value = 0;
    assert_true(take("{\"x\": 5, \"y\": \"5\", \"z\": 5.0}"));
    assert_true(claims_int(&s_claims, s_claims.tokens, "x", 5, 5, &value));
    assert_int_equal(value, 5);
    assert_false(claims_int(&s_claims, s_claims.tokens, "x", 6, 7, &value));
    assert_false(claims_int(&s_claims, s_claims.tokens, "x", 3, 4, &value));
    assert_false(claims_int(&s_claims, s_claims.tokens, "y", 0, 9, &value));
    assert_false(claims_int(&s_claims, s_claims.tokens, "z", 0, 9, &value));
    assert_false(claims_int(&s_claims, s_claims.tokens, "w", 0, 9, &value));
}

static void bytes_are_as_many_as_they_must_be(void **state)
{
    (void)state;
    uint8_t bytes[4];
    assert_true(take("{\"x\": \"Zm9v\", \"y\": 1}"));
    assert_true(claims_bytes(&s_claims, s_claims.tokens, "x", bytes, 3));
    assert_memory_equal(bytes, "foo", 3);
    assert_false(claims_bytes(&s_claims, s_claims.tokens, "x", bytes, 4));
    assert_false(claims_bytes(&s_claims, s_claims.tokens, "x", bytes, 2));
    assert_false(claims_bytes(&s_claims, s_claims.tokens, "y", bytes, 3));
    assert_false(claims_bytes(&s_claims, s_claims.tokens, "z", bytes, 3));
}

static void names_of_keys_have_a_form(void **state)
{
    (void)state;
    char kid[KID_CHARS + 2];
    memset(kid, 'k', sizeof(kid));
    kid[KID_CHARS] = '\0';
    assert_true(kid_is_valid(kid));
    kid[7] = '+';
    assert_false(kid_is_valid(kid));
    kid[7] = '_';
    kid[KID_CHARS - 1] = '\0';
    assert_false(kid_is_valid(kid));
    kid[KID_CHARS - 1] = '-';
    assert_true(kid_is_valid(kid));
    kid[KID_CHARS] = 'k';
    kid[KID_CHARS + 1] = '\0';
    assert_false(kid_is_valid(kid));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(they_are_an_object),
        cmocka_unit_test(integers_are_within_their_bounds),
        cmocka_unit_test(bytes_are_as_many_as_they_must_be),
        cmocka_unit_test(names_of_keys_have_a_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
