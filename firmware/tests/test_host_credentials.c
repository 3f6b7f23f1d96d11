#include "port/posix/posix_credentials.h"
#include "port/posix/posix_request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <openssl/pkcs7.h>

#include "host_certificates.h"

static test_identity_t s_authority, s_device, s_other;
static char *s_key, *s_chain, *s_other_key, *s_locked_key;

static test_wanted_t of(const char *name)
{
    return (test_wanted_t){.name = name, .from_s = -TEST_DAY_S, .to_s = TEST_DAY_S};
}

static int make(void **state)
{
    (void)state;
    test_wanted_t authority = of("device-1"), device = of("GW-1"), other = of("GW-2");
    s_authority = test_identity(&authority, NULL);
    s_device = test_identity(&device, &s_authority);
    s_other = test_identity(&other, &s_authority);
    s_key = test_key_pem(s_device.key, NULL);
    s_chain = test_pem(s_device.certificate, s_authority.certificate);
    s_other_key = test_key_pem(s_other.key, NULL);
    s_locked_key = test_key_pem(s_device.key, "secret");
    return 0;
}

static int forget(void **state)
{
    (void)state;
    test_identity_free(&s_authority);
    test_identity_free(&s_device);
    test_identity_free(&s_other);
    free(s_key);
    free(s_chain);
    free(s_other_key);
    free(s_locked_key);
    return 0;
}

static void key_and_certificate_that_belong_together_are_a_pair(void **state)
{
    (void)state;
    posix_pair_t pair;
    int64_t begins = 0, ends = 0;
    assert_true(posix_pair_read(&pair, s_key, s_chain));
    assert_int_equal(sk_X509_num(pair.issuers), 1);
    assert_true(posix_pair_validity(&pair, &begins, &ends));
    assert_true(begins == TEST_NOW_UNIX_S - TEST_DAY_S);
    assert_true(ends == TEST_NOW_UNIX_S + TEST_DAY_S);
    assert_true(posix_pair_is_of(&pair, "GW-1"));
    assert_false(posix_pair_is_of(&pair, "GW-11"));
    assert_false(posix_pair_is_of(&pair, "GW-2"));
    posix_pair_free(&pair);
    assert_false(posix_pair_validity(&pair, &begins, &ends));
    assert_false(posix_pair_is_of(&pair, "GW-1"));
}

static void the_key_of_another_is_no_pair(void **state)
{
    (void)state;
    posix_pair_t pair;
    assert_false(posix_pair_read(&pair, s_other_key, s_chain));
    assert_null(pair.leaf);
}

static void a_key_with_a_password_is_refused_and_nobody_is_asked(void **state)
{
    (void)state;
    posix_pair_t pair;
    assert_false(posix_pair_read(&pair, s_locked_key, s_chain));
}

static void what_is_no_pem_is_refused(void **state)
{
    (void)state;
    posix_pair_t pair;
    assert_false(posix_pair_read(&pair, "", ""));
    assert_false(posix_pair_read(&pair, s_key, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"));
    assert_false(posix_pair_read(&pair, s_chain, s_chain));
    assert_null(posix_certificates("nothing"));
}

static void a_damaged_certificate_spoils_the_list(void **state)
{
    (void)state;
    char *damaged = calloc(1, strlen(s_chain) + 1);
    memcpy(damaged, s_chain, strlen(s_chain));
    strstr(damaged, "-----END")[-20] = '#';
    assert_null(posix_certificates(damaged));
    free(damaged);
}

static void a_certificate_with_two_names_is_nobodys(void **state)
{
    (void)state;
    test_wanted_t two = of("GW-1");
    two.second_name = "GW-2";
    test_identity_t made = test_identity(&two, &s_authority);
    assert_false(posix_is_of(made.certificate, "GW-1"));
    assert_false(posix_is_of(made.certificate, "GW-2"));
    test_identity_free(&made);
}

/* As an EST server answers (RFC 7030, 4.2.3). */
static char *answer_of(X509 *one, X509 *other)
{
    PKCS7 *message = PKCS7_new();
    PKCS7_set_type(message, NID_pkcs7_signed);
    PKCS7_content_new(message, NID_pkcs7_data);
    PKCS7_add_certificate(message, one);
    if (other != NULL) {
        PKCS7_add_certificate(message, other);
    }
    unsigned char *der = NULL;
    int len = i2d_PKCS7(message, &der);
    char *out = calloc(1, (size_t)len * 2 + 8);
    EVP_EncodeBlock((unsigned char *)out, der, len);
    OPENSSL_free(der);
    PKCS7_free(message);
    return out;
}

static char *issued(X509 *one, X509 *other, const EVP_PKEY *key, const char *code, const STACK_OF(X509) * former)
{
    int64_t begins = 0, ends = 0;
    char *answer = answer_of(one, other);
    char *out = posix_issued(answer, strlen(answer), key, code, former, &begins, &ends);
    if (out != NULL) {
        assert_true(begins < ends);
    }
    free(answer);
    return out;
}

static void assert_chain(const char *pem, int count)
{
    posix_pair_t pair;
    assert_non_null(pem);
    assert_true(posix_pair_read(&pair, s_key, pem));
    assert_int_equal(sk_X509_num(pair.issuers) + 1, count);
    posix_pair_free(&pair);
}

static void of_an_answer_our_certificate_comes_first_whatever_the_order(void **state)
{
    (void)state;
    char *one = issued(s_device.certificate, s_authority.certificate, s_device.key, "GW-1", NULL);
    char *other = issued(s_authority.certificate, s_device.certificate, s_device.key, "GW-1", NULL);
    assert_chain(one, 2);
    assert_chain(other, 2);
    free(one);
    free(other);
}

static void an_answer_without_its_issuer_takes_the_one_we_have(void **state)
{
    (void)state;
    STACK_OF(X509) *former = sk_X509_new_null();
    sk_X509_push(former, s_authority.certificate);
    char *one = issued(s_device.certificate, NULL, s_device.key, "GW-1", former);
    assert_chain(one, 2);
    free(one);
    sk_X509_set(former, 0, s_other.certificate);
    one = issued(s_device.certificate, NULL, s_device.key, "GW-1", former);
    assert_chain(one, 1);
    free(one);
    sk_X509_free(former);
}

static void a_certificate_for_another_key_or_name_is_not_taken(void **state)
{
    (void)state;
    char garbage[] = "no base64 at all!";
    int64_t begins, ends;
    assert_null(issued(s_device.certificate, NULL, s_other.key, "GW-1", NULL));
    assert_null(issued(s_device.certificate, NULL, s_device.key, "GW-2", NULL));
    assert_null(posix_issued(garbage, strlen(garbage), s_device.key, "GW-1", NULL, &begins, &ends));
}

static void a_request_is_for_the_code_and_nothing_else(void **state)
{
    (void)state;
    EVP_PKEY *key = posix_new_key();
    char *text = posix_request(key, "GW-1");
    assert_non_null(text);
    unsigned char der[1024];
    int len = EVP_DecodeBlock(der, (const unsigned char *)text, (int)strlen(text));
    const unsigned char *at = der;
    X509_REQ *request = d2i_X509_REQ(NULL, &at, len);
    assert_non_null(request);
    assert_int_equal(X509_REQ_verify(request, key), 1);
    assert_int_equal(X509_NAME_entry_count(X509_REQ_get_subject_name(request)), 1);
    assert_int_equal(X509_REQ_get_attr_count(request), 0);
    X509_REQ_free(request);
    free(text);
    EVP_PKEY_free(key);
}

static void a_key_goes_to_pem_and_back(void **state)
{
    (void)state;
    char *pem = posix_key_pem(s_device.key);
    posix_pair_t pair;
    assert_true(posix_pair_read(&pair, pem, s_chain));
    posix_pair_free(&pair);
    posix_wipe_text(pem);
    posix_wipe_text(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(key_and_certificate_that_belong_together_are_a_pair),
        cmocka_unit_test(the_key_of_another_is_no_pair),
        cmocka_unit_test(a_key_with_a_password_is_refused_and_nobody_is_asked),
        cmocka_unit_test(what_is_no_pem_is_refused),
        cmocka_unit_test(a_damaged_certificate_spoils_the_list),
        cmocka_unit_test(a_certificate_with_two_names_is_nobodys),
        cmocka_unit_test(of_an_answer_our_certificate_comes_first_whatever_the_order),
        cmocka_unit_test(an_answer_without_its_issuer_takes_the_one_we_have),
        cmocka_unit_test(a_certificate_for_another_key_or_name_is_not_taken),
        cmocka_unit_test(a_request_is_for_the_code_and_nothing_else),
        cmocka_unit_test(a_key_goes_to_pem_and_back),
    };
    return cmocka_run_group_tests(tests, make, forget);
}
