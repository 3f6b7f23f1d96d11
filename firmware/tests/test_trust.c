/* What the vectors (test_update_vectors.c) do not say: root keys, what a set that was taken is asked, and that one that
 * was refused leaves nothing behind. */
#include "signed_vectors.h"

#include "core/base64url.h"
#include "core/trust.h"
#include "port/fake/fake_crypto.h"

#define NOW 1764115200
#define X_OF_RFC_7515 "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"
#define Y_OF_RFC_7515 "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"

static cJSON *s_vectors;
static fake_crypto_t s_crypto;
static trust_t s_trust;
static claims_t s_claims;
static char s_roots[512], s_root[128];

static int begin(void **state)
{
    (void)state;
    s_vectors = vectors_open("trust");
    fake_crypto_init(&s_crypto);
    (void)snprintf(s_roots, sizeof(s_roots), "%s", vectors_text(s_vectors, "roots"));
    (void)snprintf(s_root, sizeof(s_root), "%.86s", s_roots);
    assert_true(trust_init(&s_trust, &s_crypto.port, s_roots));
    return 0;
}

static int end(void **state)
{
    (void)state;
    cJSON_Delete(s_vectors);
    assert_int_equal(s_crypto.under_way, 0);
    return 0;
}

static trust_result_t take(const char *name, int64_t now_unix_s)
{
    return trust_take(&s_trust, &s_crypto.port, s_vector, vectors_case(s_vectors, name), now_unix_s, &s_claims);
}

static bool is_nothing(const trust_t *trust)
{
    static const trust_t NOTHING;
    return memcmp(trust, &NOTHING, sizeof(NOTHING)) == 0;
}

static void one_or_two_roots_are_believed_and_no_set_is_there(void **state)
{
    (void)state;
    assert_int_equal(s_trust.root_count, 2);
    assert_int_equal(s_trust.version, 0);
    assert_true(trust_init(&s_trust, &s_crypto.port, s_root));
    assert_int_equal(s_trust.root_count, 1);
}

/* RFC 7638 has an example with RSA alone. This is RFC 7515's key of A.3, whose name other libraries say too. */
static void a_key_is_called_by_its_thumbprint(void **state)
{
    (void)state;
    char key[128];
    uint8_t point[P256_KEY_BYTES];
    size_t len = 0;
    assert_true(base64url_decode(X_OF_RFC_7515, 43, point, 32, &len));
    assert_true(base64url_decode(Y_OF_RFC_7515, 43, point + 32, 32, &len));
    key[base64url_encode(point, sizeof(point), key, sizeof(key))] = '\0';
    assert_true(trust_init(&s_trust, &s_crypto.port, key));
    assert_string_equal(s_trust.roots[0].kid, "oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U");
}

static void roots_that_are_written_in_another_way_are_none(void **state)
{
    (void)state;
    char text[1024];
    static const char *const FORMS[] = {"%s,", ",%s", "%s=", " %s", "%s;%s", "%s, %s", "%s,%s,%s", "%s,%.85s", "%.85s"};
    for (size_t i = 0; i < sizeof(FORMS) / sizeof(FORMS[0]); i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-extra-args"
        (void)snprintf(text, sizeof(text), FORMS[i], s_root, s_root, s_root);
#pragma GCC diagnostic pop
        assert_false(trust_init(&s_trust, &s_crypto.port, text));
        assert_true(is_nothing(&s_trust));
    }
    assert_false(trust_init(&s_trust, &s_crypto.port, ""));
}

static void a_root_that_is_no_point_of_the_curve_is_none(void **state)
{
    (void)state;
    s_root[0] = s_root[0] == 'A' ? 'B' : 'A';
    assert_false(trust_init(&s_trust, &s_crypto.port, s_root));
    memset(s_root, 'A', 86);
    assert_false(trust_init(&s_trust, &s_crypto.port, s_root));
    memset(s_root, '*', 86);
    assert_false(trust_init(&s_trust, &s_crypto.port, s_root));
}

static void without_a_hash_no_root_is_believed(void **state)
{
    (void)state;
    uint32_t before = s_crypto.calls;
    assert_true(trust_init(&s_trust, &s_crypto.port, s_roots));
    uint32_t calls = s_crypto.calls - before;
    for (uint32_t failing = 1; failing <= calls; failing++) {
        s_crypto.fail_call = s_crypto.calls + failing;
        assert_false(trust_init(&s_trust, &s_crypto.port, s_roots));
        assert_true(is_nothing(&s_trust));
        assert_int_equal(s_crypto.under_way, 0);
    }
}

static void a_hash_that_can_not_be_had_is_no_forgery_and_changes_nothing(void **state)
{
    (void)state;
    trust_t empty = s_trust;
    uint32_t before = s_crypto.calls;
    assert_int_equal(take("the most that a set can say", NOW), TRUST_TAKEN);
    uint32_t calls = s_crypto.calls - before;
    trust_t full = s_trust;
    for (uint32_t failing = 1; failing <= calls; failing++) {
        s_trust = empty;
        s_crypto.fail_call = s_crypto.calls + failing;
        assert_int_equal(take("the most that a set can say", NOW), TRUST_LOCAL_FAULT);
        assert_memory_equal(&s_trust, &empty, sizeof(empty));
        assert_int_equal(s_crypto.under_way, 0);
    }
    s_crypto.fail_call = 0;
    assert_int_equal(take("the most that a set can say", NOW), TRUST_TAKEN);
    assert_memory_equal(&s_trust, &full, sizeof(full));
}

static void the_set_that_is_there_is_known_again(void **state)
{
    (void)state;
    assert_int_equal(take("the first set", NOW), TRUST_TAKEN);
    trust_t before = s_trust;
    assert_int_equal(take("the first set", NOW), TRUST_SAME);
    assert_int_equal(take("a set signed by the other root", NOW), TRUST_SAME); /* the same words */
    assert_memory_equal(&s_trust, &before, sizeof(before));
}

static void a_set_with_less_in_it_leaves_nothing_of_the_former(void **state)
{
    (void)state;
    assert_int_equal(take("the first set", NOW), TRUST_TAKEN);
    const char *former = s_trust.keys[1].kid;
    assert_non_null(trust_find(&s_trust, TRUST_ASSIGNMENT, former));
    assert_non_null(trust_find(&s_trust, TRUST_RELEASE, s_trust.keys[0].kid));
    assert_null(trust_find(&s_trust, TRUST_RELEASE, former));
    assert_null(trust_find(&s_trust, TRUST_RELEASE, ""));
    assert_true(trust_is_revoked(&s_trust, s_trust.revoked[0]));
    assert_false(trust_is_revoked(&s_trust, former));
    assert_false(trust_is_revoked(&s_trust, ""));
    s_trust.version = 0;
    assert_int_equal(take("the least that a set can say", NOW), TRUST_TAKEN);
    assert_int_equal(s_trust.key_count, 1);
    assert_int_equal(s_trust.revoked_count, 0);
    assert_null(trust_find(&s_trust, TRUST_ASSIGNMENT, s_trust.keys[1].kid));
    assert_false(trust_is_revoked(&s_trust, s_trust.revoked[0]));
}

static void an_expired_set_runs_the_device_and_is_reported(void **state)
{
    (void)state;
    assert_false(trust_is_expired(&s_trust, NOW)); /* there is none */
    assert_int_equal(take("the first set", 0), TRUST_TAKEN);
    assert_false(trust_is_expired(&s_trust, 0)); /* the time is not known */
    assert_false(trust_is_expired(&s_trust, s_trust.exp_unix_s - 1));
    assert_true(trust_is_expired(&s_trust, s_trust.exp_unix_s));
    assert_non_null(trust_find(&s_trust, TRUST_RELEASE, s_trust.keys[0].kid));
    assert_int_equal(take("the first set", s_trust.exp_unix_s), TRUST_EXPIRED);
}

static void what_was_kept_is_taken_again_after_a_restart_without_a_clock(void **state)
{
    (void)state;
    assert_int_equal(take("an expired set, and the time is not known", NOW), TRUST_EXPIRED);
    assert_int_equal(take("an expired set, and the time is not known", 0), TRUST_TAKEN);
}

static void each_result_has_a_word_and_a_sentence(void **state)
{
    (void)state;
    for (int result = TRUST_TAKEN; result <= TRUST_LOCAL_FAULT; result++) {
        const char *sentence = trust_sentence((trust_result_t)result);
        assert_int_equal(sentence[strlen(sentence) - 1], '.');
        assert_int_equal(trust_reason((trust_result_t)result)[0] == '\0', result <= TRUST_SAME);
    }
    assert_string_equal(trust_reason(TRUST_LOCAL_FAULT), "local_fault");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_or_two_roots_are_believed_and_no_set_is_there, begin, end),
        cmocka_unit_test_setup_teardown(a_key_is_called_by_its_thumbprint, begin, end),
        cmocka_unit_test_setup_teardown(roots_that_are_written_in_another_way_are_none, begin, end),
        cmocka_unit_test_setup_teardown(a_root_that_is_no_point_of_the_curve_is_none, begin, end),
        cmocka_unit_test_setup_teardown(without_a_hash_no_root_is_believed, begin, end),
        cmocka_unit_test_setup_teardown(a_hash_that_can_not_be_had_is_no_forgery_and_changes_nothing, begin, end),
        cmocka_unit_test_setup_teardown(the_set_that_is_there_is_known_again, begin, end),
        cmocka_unit_test_setup_teardown(a_set_with_less_in_it_leaves_nothing_of_the_former, begin, end),
        cmocka_unit_test_setup_teardown(an_expired_set_runs_the_device_and_is_reported, begin, end),
        cmocka_unit_test_setup_teardown(what_was_kept_is_taken_again_after_a_restart_without_a_clock, begin, end),
        cmocka_unit_test_setup_teardown(each_result_has_a_word_and_a_sentence, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
