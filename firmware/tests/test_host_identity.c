/* Which of its pairs a program shows. */
#include "port/posix/posix_identity.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "host_certificates.h"
#include "port/fake/fake_kv.h"

#define GATEWAY "GW-1"

static test_identity_t s_authority, s_factory, s_renewed, s_older, s_other;
static fake_kv_t s_image, s_kv;
static posix_identity_t s_identity;
static posix_clock_t s_clock;

static void write_nothing(void *ctx, log_level_t level, const char *tag, const char *text)
{
    (void)ctx, (void)level, (void)tag, (void)text;
}

static const port_log_t s_log = {.write = write_nothing};

static test_identity_t device(const char *name, long from_s)
{
    const test_wanted_t wanted = {.name = name, .from_s = from_s, .to_s = 90 * TEST_DAY_S};
    return test_identity(&wanted, &s_authority);
}

static int make(void **state)
{
    (void)state;
    const test_wanted_t authority = {.name = "device-1", .from_s = -TEST_DAY_S, .to_s = TEST_DAY_S};
    s_authority = test_identity(&authority, NULL);
    s_factory = device(GATEWAY, -60 * TEST_DAY_S);
    s_renewed = device(GATEWAY, -TEST_DAY_S);
    s_older = device(GATEWAY, -61 * TEST_DAY_S);
    s_other = device("GW-2", -TEST_DAY_S);
    return 0;
}

static int forget(void **state)
{
    (void)state;
    test_identity_t *const all[] = {&s_authority, &s_factory, &s_renewed, &s_older, &s_other};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        test_identity_free(all[i]);
    }
    return 0;
}

static int begin(void **state)
{
    (void)state;
    fake_kv_init(&s_image);
    fake_kv_init(&s_kv);
    posix_clock_init(&s_clock, true, 0);
    char *authority = test_pem(s_authority.certificate, NULL);
    fake_kv_put_text(&s_image, "server_ca", authority);
    free(authority);
    return 0;
}

static int end(void **state)
{
    (void)state;
    posix_identity_end(&s_identity);
    return 0;
}

static void put_factory(const test_identity_t *identity)
{
    char *key = test_key_pem(identity->key, NULL), *certificate = test_pem(identity->certificate, NULL);
    fake_kv_put_text(&s_image, "device_key", key);
    fake_kv_put_text(&s_image, "device_cert", certificate);
    free(key);
    free(certificate);
}

/* Of what is kept all but the last `cut` bytes. */
static void put_renewed(const test_identity_t *identity, size_t cut)
{
    char both[FAKE_KV_VALUE_MAX_BYTES];
    char *key = test_key_pem(identity->key, NULL), *certificate = test_pem(identity->certificate, NULL);
    const size_t key_len = strlen(key), len = strlen(certificate);
    assert_true(key_len + 1 + len <= sizeof(both));
    memcpy(both, key, key_len + 1);
    memcpy(both + key_len + 1, certificate, len);
    fake_kv_put(&s_kv, POSIX_RENEWED_KEY, both, key_len + 1 + len - cut);
    free(key);
    free(certificate);
}

static const port_identity_t *power_up(void)
{
    posix_identity_init(&s_identity, &s_log, &s_clock, &s_image.port, &s_kv.port, GATEWAY);
    return &s_identity.port;
}

static bool shows(const test_identity_t *identity)
{
    posix_tls_options_t options;
    return posix_identity_tls(&s_identity, &options) && X509_cmp(options.pair->leaf, identity->certificate) == 0 &&
           EVP_PKEY_eq(options.pair->key, identity->key) == 1;
}

static bool is_known(pair_t pair, long from_s)
{
    pair_times_t times;
    const bool there = s_identity.port.validity(s_identity.port.ctx, pair, &times);
    return there && times.not_before_unix_s == TEST_NOW_UNIX_S + from_s &&
           times.not_after_unix_s == TEST_NOW_UNIX_S + 90 * TEST_DAY_S;
}

static bool is_missing(pair_t pair)
{
    pair_times_t times;
    return !s_identity.port.validity(s_identity.port.ctx, pair, &times) && times.not_after_unix_s == 0;
}

static void a_renewed_pair_is_shown_and_both_are_known(void **state)
{
    (void)state;
    put_factory(&s_factory);
    put_renewed(&s_renewed, 0);
    (void)power_up();
    assert_true(shows(&s_renewed));
    assert_true(is_known(PAIR_FACTORY, -60 * TEST_DAY_S));
    assert_true(is_known(PAIR_RENEWED, -TEST_DAY_S));
}

static void the_other_pair_is_shown_when_it_is_told_and_the_first_again(void **state)
{
    (void)state;
    put_factory(&s_factory);
    put_renewed(&s_renewed, 0);
    const port_identity_t *port = power_up();
    port->use(port->ctx, PAIR_FACTORY);
    assert_true(shows(&s_factory));
    assert_true(is_known(PAIR_RENEWED, -TEST_DAY_S));
    port->use(port->ctx, PAIR_RENEWED);
    assert_true(shows(&s_renewed));
    assert_true(fake_kv_has(&s_kv, POSIX_RENEWED_KEY));
}

static void without_a_renewed_pair_the_factorys_is_shown_whatever_is_wanted(void **state)
{
    (void)state;
    put_factory(&s_factory);
    const port_identity_t *port = power_up();
    assert_true(shows(&s_factory));
    assert_true(is_missing(PAIR_RENEWED));
    port->use(port->ctx, PAIR_RENEWED);
    assert_true(shows(&s_factory));
}

static void without_the_factorys_the_renewed_one_is_shown_whatever_is_wanted(void **state)
{
    (void)state;
    put_renewed(&s_renewed, 0);
    const port_identity_t *port = power_up();
    assert_true(is_missing(PAIR_FACTORY));
    port->use(port->ctx, PAIR_FACTORY);
    assert_true(shows(&s_renewed));
}

static void one_of_before_the_factorys_or_of_another_gateway_or_cut_short_is_none(void **state)
{
    (void)state;
    const struct {
        const test_identity_t *identity;
        size_t cut;
    } wrongs[] = {{&s_older, 0}, {&s_other, 0}, {&s_renewed, 100}, {&s_renewed, 700}};
    put_factory(&s_factory);
    for (size_t i = 0; i < sizeof(wrongs) / sizeof(wrongs[0]); i++) {
        put_renewed(wrongs[i].identity, wrongs[i].cut);
        (void)power_up();
        assert_true(shows(&s_factory));
        assert_true(is_missing(PAIR_RENEWED));
        posix_identity_end(&s_identity);
    }
    (void)power_up();
}

static void with_neither_there_is_nothing_to_connect_or_to_renew_with(void **state)
{
    (void)state;
    posix_tls_options_t options;
    event_t event;
    const port_identity_t *port = power_up();
    const posix_source_t source = posix_identity_source(&s_identity);
    assert_false(posix_identity_tls(&s_identity, &options));
    assert_false(source.take(source.ctx, &event));
    port->renew(port->ctx, "https://localhost:1", GATEWAY);
    assert_true(source.take(source.ctx, &event));
    assert_int_equal(event.type, EVENT_RENEWAL_DONE);
    assert_false(event.renewal.ok);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_renewed_pair_is_shown_and_both_are_known),
        TEST(the_other_pair_is_shown_when_it_is_told_and_the_first_again),
        TEST(without_a_renewed_pair_the_factorys_is_shown_whatever_is_wanted),
        TEST(without_the_factorys_the_renewed_one_is_shown_whatever_is_wanted),
        TEST(one_of_before_the_factorys_or_of_another_gateway_or_cut_short_is_none),
        TEST(with_neither_there_is_nothing_to_connect_or_to_renew_with),
    };
    return cmocka_run_group_tests(tests, make, forget);
}
