/* What the vectors (test_update_vectors.c) do not say: what a device does without a trust set, without a hash, and that
 * a signature is looked at before anything that it signs. */
#include "signed_vectors.h"

#include "core/jws.h"
#include "core/manifest.h"
#include "core/signed.h"
#include "core/ticket.h"
#include "port/fake/fake_crypto.h"

#define NOW 1764115200

static cJSON *s_headers;
static fake_crypto_t s_crypto;
static trust_t s_trust;
static claims_t s_claims;

static int begin(void **state)
{
    (void)state;
    s_headers = vectors_open("headers");
    const char *set = vectors_text(s_headers, "trust");
    fake_crypto_init(&s_crypto);
    assert_true(trust_init(&s_trust, &s_crypto.port, vectors_text(s_headers, "roots")));
    assert_int_equal(trust_take(&s_trust, &s_crypto.port, set, strlen(set), NOW, &s_claims), TRUST_TAKEN);
    return 0;
}

static int end(void **state)
{
    (void)state;
    cJSON_Delete(s_headers);
    assert_int_equal(s_crypto.under_way, 0);
    return 0;
}

static signed_result_t check(signed_type_t type, size_t len_bytes)
{
    return signed_check(&s_trust, &s_crypto.port, type, s_vector, len_bytes, NOW, &s_claims);
}

static void without_a_trust_set_nothing_is_believed(void **state)
{
    (void)state;
    size_t len_bytes = vectors_case(s_headers, "a manifest");
    assert_true(trust_init(&s_trust, &s_crypto.port, vectors_text(s_headers, "roots")));
    assert_int_equal(check(SIGNED_MANIFEST, len_bytes), SIGNED_NO_TRUST);
    assert_string_equal(signed_reason(SIGNED_NO_TRUST), "no_trust");
    assert_int_equal(s_crypto.verified, 1); /* the set of begin() */
}

static void a_document_of_another_type_is_told_apart(void **state)
{
    (void)state;
    assert_int_equal(check(SIGNED_TICKET, vectors_case(s_headers, "a manifest")), SIGNED_WRONG_TYPE);
    assert_int_equal(check(SIGNED_MANIFEST, vectors_case(s_headers, "a ticket")), SIGNED_WRONG_TYPE);
    assert_int_equal(check(SIGNED_TICKET, vectors_case(s_headers, "a ticket")), SIGNED_GOOD);
    assert_int_equal(check(SIGNED_MANIFEST, vectors_case(s_headers, "typ null")), SIGNED_MALFORMED);
    assert_string_equal(signed_reason(SIGNED_WRONG_TYPE), "malformed");
}

static void claims_come_out_only_after_the_signature_held(void **state)
{
    (void)state;
    size_t len_bytes = vectors_case(s_headers, "a manifest");
    memset(&s_claims, 0x55, sizeof(s_claims));
    claims_t before = s_claims;
    s_crypto.verify = FAKE_VERIFY_NO;
    assert_int_equal(check(SIGNED_MANIFEST, len_bytes), SIGNED_SIGNATURE_INVALID);
    assert_memory_equal(&before, &s_claims, sizeof(before));
}

static void a_hash_that_can_not_be_had_is_no_forgery(void **state)
{
    (void)state;
    size_t len_bytes = vectors_case(s_headers, "a manifest");
    uint32_t before = s_crypto.calls;
    assert_int_equal(check(SIGNED_MANIFEST, len_bytes), SIGNED_GOOD);
    uint32_t calls = s_crypto.calls - before;
    for (uint32_t failing = 1; failing <= calls; failing++) {
        s_crypto.fail_call = s_crypto.calls + failing;
        assert_int_equal(check(SIGNED_MANIFEST, len_bytes), SIGNED_LOCAL_FAULT);
        assert_int_equal(s_crypto.under_way, 0);
    }
    assert_int_equal(calls, 3); /* start, all of it, finish */
}

static void a_bit_that_is_another_anywhere_in_the_text_makes_it_no_manifest(void **state)
{
    (void)state;
    size_t len_bytes = vectors_case(s_headers, "a manifest");
    for (size_t bit = 0; bit < len_bytes * 8; bit++) {
        s_vector[bit / 8] = (char)(s_vector[bit / 8] ^ (1 << bit % 8));
        assert_int_not_equal(check(SIGNED_MANIFEST, len_bytes), SIGNED_GOOD);
        s_vector[bit / 8] = (char)(s_vector[bit / 8] ^ (1 << bit % 8));
    }
    assert_int_equal(check(SIGNED_MANIFEST, len_bytes), SIGNED_GOOD);
}

static void a_text_that_is_cut_short_anywhere_is_none(void **state)
{
    (void)state;
    size_t len_bytes = vectors_case(s_headers, "a manifest");
    for (size_t less = 0; less < len_bytes; less++) {
        assert_int_equal(check(SIGNED_MANIFEST, less), SIGNED_MALFORMED);
    }
}

static void each_result_has_a_word_and_a_sentence(void **state)
{
    (void)state;
    for (int result = SIGNED_GOOD; result <= SIGNED_LOCAL_FAULT; result++) {
        const char *sentence = signed_sentence((signed_result_t)result);
        assert_int_equal(sentence[strlen(sentence) - 1], '.');
        assert_int_equal(signed_reason((signed_result_t)result)[0] == '\0', result == SIGNED_GOOD);
    }
    assert_string_equal(signed_reason(SIGNED_LOCAL_FAULT), "local_fault");
}

static void a_manifest_says_which_families_and_revisions_it_is_for(void **state)
{
    (void)state;
    manifest_t manifest;
    assert_int_equal(check(SIGNED_MANIFEST, vectors_case(s_headers, "a manifest")), SIGNED_GOOD);
    assert_null(manifest_read(&s_claims, &manifest));
    assert_true(manifest_has_family(&manifest, "dcu-0080"));
    assert_true(manifest_has_family(&manifest, "dcu-all"));
    assert_false(manifest_has_family(&manifest, "dcu"));
    assert_false(manifest_has_family(&manifest, ""));
    assert_true(manifest_has_hardware(&manifest, "B.2"));
    assert_false(manifest_has_hardware(&manifest, "B"));
    assert_false(manifest_has_hardware(&manifest, "*"));
    assert_int_equal(check(SIGNED_MANIFEST, vectors_case(s_headers, "the least that a manifest can say")), SIGNED_GOOD);
    assert_null(manifest_read(&s_claims, &manifest));
    assert_true(manifest_has_hardware(&manifest, "B"));
    assert_true(manifest_has_hardware(&manifest, ""));
}

static void a_manifest_is_no_ticket_in_what_it_says_either(void **state)
{
    (void)state;
    manifest_t manifest;
    ticket_t ticket;
    assert_int_equal(check(SIGNED_MANIFEST, vectors_case(s_headers, "a manifest")), SIGNED_GOOD);
    assert_non_null(ticket_read(&s_claims, &ticket));
    assert_int_equal(check(SIGNED_TICKET, vectors_case(s_headers, "a ticket")), SIGNED_GOOD);
    assert_non_null(manifest_read(&s_claims, &manifest));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(without_a_trust_set_nothing_is_believed, begin, end),
        cmocka_unit_test_setup_teardown(a_document_of_another_type_is_told_apart, begin, end),
        cmocka_unit_test_setup_teardown(claims_come_out_only_after_the_signature_held, begin, end),
        cmocka_unit_test_setup_teardown(a_hash_that_can_not_be_had_is_no_forgery, begin, end),
        cmocka_unit_test_setup_teardown(a_bit_that_is_another_anywhere_in_the_text_makes_it_no_manifest, begin, end),
        cmocka_unit_test_setup_teardown(a_text_that_is_cut_short_anywhere_is_none, begin, end),
        cmocka_unit_test_setup_teardown(each_result_has_a_word_and_a_sentence, begin, end),
        cmocka_unit_test_setup_teardown(a_manifest_says_which_families_and_revisions_it_is_for, begin, end),
        cmocka_unit_test_setup_teardown(a_manifest_is_no_ticket_in_what_it_says_either, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
