#include "port/posix/posix_crypto.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/base64url.h"
#include "core/digest.h"

/* RFC 7515, A.3: a JWS by ES256, and the key that signed it. */
#define SIGNED                                                                                                         \
    "eyJhbGciOiJFUzI1NiJ9."                                                                                            \
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVl"                     \
    "fQ"
#define SIGNATURE "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
#define X "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"
#define Y "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"

static uint8_t s_key[P256_KEY_BYTES], s_signature[P256_SIGNATURE_BYTES], s_hash[SHA256_BYTES];

static void decode(const char *text, uint8_t *out, size_t len_bytes)
{
    size_t len = 0;
    assert_true(base64url_decode(text, strlen(text), out, len_bytes, &len));
    assert_int_equal(len, len_bytes);
}

static int begin(void **state)
{
    (void)state;
    const digest_part_t text = {SIGNED, strlen(SIGNED)};
    decode(X, s_key, 32);
    decode(Y, s_key + 32, 32);
    decode(SIGNATURE, s_signature, sizeof(s_signature));
    assert_true(digest_of(&posix_crypto, &text, 1, s_hash));
    return 0;
}

static bool verify(void)
{
    return posix_crypto.verify_p256(posix_crypto.ctx, s_key, s_hash, s_signature);
}

/* FIPS 180-4's example. */
static void sha256_is_sha256_in_whatever_pieces(void **state)
{
    (void)state;
    static const uint8_t ABC[] = {0xBA, 0x78, 0x16, 0xBF, 0x8F, 0x01, 0xCF, 0xEA, 0x41, 0x41, 0x40,
                                  0xDE, 0x5D, 0xAE, 0x22, 0x23, 0xB0, 0x03, 0x61, 0xA3, 0x96, 0x17,
                                  0x7A, 0x9C, 0xB4, 0x10, 0xFF, 0x61, 0xF2, 0x00, 0x15, 0xAD};
    const digest_part_t parts[] = {{"a", 1}, {"", 0}, {"bc", 2}};
    uint8_t hash[SHA256_BYTES];
    assert_true(digest_of(&posix_crypto, parts, 3, hash));
    assert_memory_equal(hash, ABC, sizeof(ABC));
}

static void two_hashes_at_once_do_not_disturb_each_other(void **state)
{
    (void)state;
    port_sha256_t one, other;
    uint8_t hash[SHA256_BYTES];
    assert_true(posix_crypto.sha256_start(NULL, &one));
    assert_true(posix_crypto.sha256_start(NULL, &other));
    assert_true(posix_crypto.sha256_update(NULL, &one, SIGNED, 20));
    assert_true(posix_crypto.sha256_update(NULL, &other, "other", 5));
    assert_true(posix_crypto.sha256_update(NULL, &one, SIGNED + 20, strlen(SIGNED) - 20));
    assert_true(posix_crypto.sha256_finish(NULL, &other, NULL)); /* given up: the sanitizer sees what is left behind */
    assert_true(posix_crypto.sha256_finish(NULL, &one, hash));
    assert_memory_equal(hash, s_hash, sizeof(hash));
}

static void the_rfcs_own_signature_holds(void **state)
{
    (void)state;
    assert_true(posix_crypto.is_p256_key(NULL, s_key));
    assert_true(verify());
}

static void any_bit_that_is_another_breaks_it(void **state)
{
    (void)state;
    for (size_t bit = 0; bit < 8 * P256_SIGNATURE_BYTES; bit++) {
        s_signature[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_false(verify());
        s_signature[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (size_t bit = 0; bit < 8 * SHA256_BYTES; bit++) {
        s_hash[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_false(verify());
        s_hash[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (size_t bit = 0; bit < 8 * P256_KEY_BYTES; bit++) {
        s_key[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_false(posix_crypto.is_p256_key(NULL, s_key));
        assert_false(verify());
        s_key[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_true(verify());
}

static void no_key_is_made_of_noughts_or_of_what_is_no_coordinate(void **state)
{
    (void)state;
    memset(s_key, 0, sizeof(s_key));
    assert_false(posix_crypto.is_p256_key(NULL, s_key));
    assert_false(verify());
    memset(s_key, 0xFF, sizeof(s_key));
    assert_false(posix_crypto.is_p256_key(NULL, s_key));
    assert_false(verify());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(sha256_is_sha256_in_whatever_pieces, begin),
        cmocka_unit_test_setup(two_hashes_at_once_do_not_disturb_each_other, begin),
        cmocka_unit_test_setup(the_rfcs_own_signature_holds, begin),
        cmocka_unit_test_setup(any_bit_that_is_another_breaks_it, begin),
        cmocka_unit_test_setup(no_key_is_made_of_noughts_or_of_what_is_no_coordinate, begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
