/* The vectors under testdata/updates, which the platform's tests read too: signed documents, good ones and forged ones,
 * and the same verdict on each, with the same word for it. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/manifest.h"
#include "core/signed.h"
#include "core/ticket.h"
#include "port/fake/fake_crypto.h"
#include "signed_vectors.h"

static const char *const FILES[] = {"claims", "headers", "texts", "trust"};
#define FILE_COUNT (sizeof(FILES) / sizeof(FILES[0]))

typedef struct {
    const cJSON *item;
    const char *file, *name, *refused;
    const cJSON *accepted;
    int64_t now_unix_s;
    size_t len_bytes;
} case_t;

static fake_crypto_t s_crypto;
static trust_t s_trust;
static claims_t s_claims;
static size_t s_cases;

static void expect(bool true_of_it, const case_t *each, const char *what)
{
    s_cases++;
    if (!true_of_it) {
        fail_msg("%s.json: %s: %s", each->file, each->name, what);
    }
}

static void for_each_case(void (*look)(const case_t *each, const cJSON *root))
{
    s_cases = 0;
    for (size_t i = 0; i < FILE_COUNT; i++) {
        cJSON *root = vectors_open(FILES[i]);
        const cJSON *item;
        cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(root, "cases"))
        {
            const cJSON *now = cJSON_GetObjectItemCaseSensitive(item, "now");
            case_t each = {
                .item = item,
                .file = FILES[i],
                .name = vectors_text(item, "case"),
                .refused = vectors_text(item, "refused"),
                .accepted = cJSON_GetObjectItemCaseSensitive(item, "accepted"),
                .now_unix_s = cJSON_IsNumber(now) ? (int64_t)now->valuedouble : 0,
                .len_bytes = vectors_join(cJSON_GetObjectItemCaseSensitive(item, "jws")),
            };
            look(&each, root);
            assert_int_equal(s_crypto.under_way, 0);
        }
        cJSON_Delete(root);
    }
    assert_in_range(s_cases, 1, 100000);
}

static int begin(void **state)
{
    (void)state;
    fake_crypto_init(&s_crypto);
    return 0;
}

static void no_file_of_the_vectors_is_left_out(void **state)
{
    (void)state;
    DIR *folder = opendir(UPDATE_VECTORS);
    assert_non_null(folder);
    size_t found = 0;
    for (const struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        const char *end = strrchr(entry->d_name, '.');
        found += end != NULL && strcmp(end, ".json") == 0;
    }
    (void)closedir(folder);
    assert_int_equal(found, FILE_COUNT);
}

/* ---- What is accepted says the same here */

static bool says_text(const case_t *each, const char *key, const char *found)
{
    const char *wanted = vectors_text(each->accepted, key);
    return wanted != NULL && strcmp(wanted, found) == 0;
}

/* Exact: all are below 2^53. */
static bool says_number(const cJSON *object, const char *key, int64_t found)
{
    const cJSON *wanted = cJSON_GetObjectItemCaseSensitive(object, key);
    return cJSON_IsNumber(wanted) && (int64_t)wanted->valuedouble == found;
}

static bool says_hash(const case_t *each, const char *key, const uint8_t found[32])
{
    char text[65];
    for (size_t i = 0; i < 32; i++) {
        (void)snprintf(text + 2 * i, 3, "%02x", found[i]);
    }
    return says_text(each, key, text);
}

static bool says_texts(const case_t *each, const char *key, size_t count, const char found[][NAME_MAX_CHARS + 1])
{
    const cJSON *wanted = cJSON_GetObjectItemCaseSensitive(each->accepted, key);
    bool same = (size_t)cJSON_GetArraySize(wanted) == count;
    for (size_t i = 0; same && i < count; i++) {
        same = strcmp(cJSON_GetArrayItem(wanted, (int)i)->valuestring, found[i]) == 0;
    }
    return same;
}

static void look_at_manifest(const case_t *each, const manifest_t *found)
{
    expect(says_text(each, "product", found->product), each, "product");
    expect(says_text(each, "chip", found->chip), each, "chip");
    expect(says_text(each, "version", found->version), each, "version");
    expect(says_texts(each, "families", found->family_count, found->families), each, "families");
    expect(says_texts(each, "hardware", found->revision_count, found->hardware), each, "hardware");
    expect(says_number(each->accepted, "counter", found->counter), each, "counter");
    expect(says_number(each->accepted, "min_source_counter", found->min_source_counter), each, "min_source_counter");
    expect(says_number(each->accepted, "size", found->size_bytes), each, "size");
    expect(says_hash(each, "sha256", found->sha256), each, "sha256");
    expect(says_number(each->accepted, "released_at", found->released_at_unix_s), each, "released_at");
}

static void look_at_ticket(const case_t *each, const ticket_t *found)
{
    expect(says_text(each, "execution_id", found->execution_id), each, "execution_id");
    expect(says_text(each, "gateway_code", found->gateway_code), each, "gateway_code");
    expect(says_hash(each, "manifest_sha256", found->manifest_sha256), each, "manifest_sha256");
    expect(says_number(each->accepted, "seq", (int64_t)found->seq), each, "seq");
    expect(says_number(each->accepted, "iat", found->iat_unix_s), each, "iat");
    expect(says_number(each->accepted, "exp", found->exp_unix_s), each, "exp");
    expect(says_number(each->accepted, "not_before", found->not_before_unix_s), each, "not_before");
}

static bool same_key(const cJSON *wanted, const trust_key_t *found)
{
    return strcmp(vectors_text(wanted, "kid"), found->kid) == 0 &&
           (strcmp(vectors_text(wanted, "use"), "release") == 0) == (found->use == TRUST_RELEASE) &&
           says_number(wanted, "nbf", found->nbf_unix_s) && says_number(wanted, "exp", found->exp_unix_s);
}

static void look_at_trust(const case_t *each, const trust_t *found)
{
    const cJSON *keys = cJSON_GetObjectItemCaseSensitive(each->accepted, "keys");
    const cJSON *revoked = cJSON_GetObjectItemCaseSensitive(each->accepted, "revoked");
    expect(says_number(each->accepted, "version", found->version), each, "version");
    expect(says_number(each->accepted, "iat", found->iat_unix_s), each, "iat");
    expect(says_number(each->accepted, "exp", found->exp_unix_s), each, "exp");
    expect((size_t)cJSON_GetArraySize(keys) == found->key_count, each, "how many keys");
    for (size_t i = 0; i < found->key_count; i++) {
        expect(same_key(cJSON_GetArrayItem(keys, (int)i), &found->keys[i]), each, "a key");
    }
    expect((size_t)cJSON_GetArraySize(revoked) == found->revoked_count, each, "how many are revoked");
    for (size_t i = 0; i < found->revoked_count; i++) {
        expect(strcmp(cJSON_GetArrayItem(revoked, (int)i)->valuestring, found->revoked[i]) == 0, each, "a revoked one");
    }
}

/* ---- Verdicts */

static void take_trust(const char *roots, const char *set)
{
    assert_true(trust_init(&s_trust, &s_crypto.port, roots));
    if (set != NULL) {
        assert_int_equal(trust_take(&s_trust, &s_crypto.port, set, strlen(set), 0, &s_claims), TRUST_TAKEN);
    }
}

/* The wire's word, and whether anything came of it. */
static const char *judge(const case_t *each)
{
    manifest_t manifest;
    ticket_t ticket;
    const char *wrong = NULL;
    bool is_ticket = strcmp(vectors_text(each->item, "kind"), "ticket") == 0;
    signed_result_t result = signed_check(&s_trust, &s_crypto.port, is_ticket ? SIGNED_TICKET : SIGNED_MANIFEST,
                                          s_vector, each->len_bytes, each->now_unix_s, &s_claims);
    if (result != SIGNED_GOOD) {
        return signed_reason(result);
    }
    wrong = is_ticket ? ticket_read(&s_claims, &ticket) : manifest_read(&s_claims, &manifest);
    if (wrong != NULL) {
        expect(wrong[strlen(wrong) - 1] == '.', each, wrong);
        return "malformed";
    }
    if (each->accepted != NULL && is_ticket) {
        look_at_ticket(each, &ticket);
    } else if (each->accepted != NULL) {
        look_at_manifest(each, &manifest);
    }
    return "";
}

static void look_at_signed(const case_t *each, const cJSON *root)
{
    if (strcmp(each->file, "trust") != 0) {
        take_trust(vectors_text(root, "roots"), vectors_text(root, "trust"));
        const char *found = judge(each);
        expect(strcmp(found, each->refused != NULL ? each->refused : "") == 0, each, found);
    }
}

static void look_at_set(const case_t *each, const cJSON *root)
{
    if (strcmp(each->file, "trust") != 0) {
        return;
    }
    take_trust(vectors_text(root, "roots"), vectors_text(each->item, "there"));
    trust_t before = s_trust;
    trust_result_t result =
        trust_take(&s_trust, &s_crypto.port, s_vector, each->len_bytes, each->now_unix_s, &s_claims);
    expect(strcmp(trust_reason(result), each->refused != NULL ? each->refused : "") == 0, each, trust_reason(result));
    if (each->accepted != NULL) {
        look_at_trust(each, &s_trust);
    } else {
        expect(memcmp(&before, &s_trust, sizeof(before)) == 0, each,
               "what is trusted is another although it was refused");
    }
}

static void manifests_and_tickets_are_judged_as_the_vectors_say(void **state)
{
    (void)state;
    for_each_case(look_at_signed);
}

static void trust_sets_are_judged_as_the_vectors_say(void **state)
{
    (void)state;
    for_each_case(look_at_set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(no_file_of_the_vectors_is_left_out, begin),
        cmocka_unit_test_setup(manifests_and_tickets_are_judged_as_the_vectors_say, begin),
        cmocka_unit_test_setup(trust_sets_are_judged_as_the_vectors_say, begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
