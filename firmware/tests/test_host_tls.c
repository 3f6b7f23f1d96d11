#include "port/posix/posix_tls.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "host_certificates.h"

static test_identity_t s_root, s_service, s_other_root, s_device;
static STACK_OF(X509) * s_pinned;
static posix_tls_t s_tls;
static posix_pair_t s_pair;
static char s_name_asked_for[64]; /* what the server saw */
static bool s_client_was_shown;

static test_wanted_t of(const char *name, const char *names)
{
    return (test_wanted_t){
        .name = name, .subject_alt = names, .usage = "serverAuth", .from_s = -TEST_DAY_S, .to_s = TEST_DAY_S};
}

static test_identity_t authority(const char *name, const test_identity_t *by)
{
    test_wanted_t wanted = {.name = name, .from_s = -TEST_DAY_S * 100, .to_s = TEST_DAY_S * 100};
    test_identity_t made = test_identity(&wanted, by);
    if (by != NULL) { /* an authority below another is made by hand */
        test_extend(made.certificate, by->certificate, NID_basic_constraints, "critical,CA:TRUE");
        X509_sign(made.certificate, by->key, EVP_sha256());
    }
    return made;
}

static int make(void **state)
{
    (void)state;
    s_root = authority("root", NULL);
    s_service = authority("service-1", &s_root);
    s_other_root = authority("root", NULL); /* the same name, another key */
    test_wanted_t device = {.name = "GW-1", .usage = "clientAuth", .from_s = -TEST_DAY_S, .to_s = TEST_DAY_S};
    s_device = test_identity(&device, &s_service);
    s_pinned = sk_X509_new_null();
    sk_X509_push(s_pinned, s_root.certificate);
    s_pair = (posix_pair_t){.key = s_device.key, .leaf = s_device.certificate};
    return 0;
}

static int forget(void **state)
{
    (void)state;
    sk_X509_free(s_pinned);
    test_identity_free(&s_root);
    test_identity_free(&s_service);
    test_identity_free(&s_other_root);
    test_identity_free(&s_device);
    return 0;
}

static posix_tls_options_t usual(const char *host)
{
    return (posix_tls_options_t){
        .pair = &s_pair, .pinned = s_pinned, .host = host, .has_time = true, .unix_s = TEST_NOW_UNIX_S};
}

static int server_sees(X509_STORE_CTX *store, void *ctx)
{
    (void)store;
    (void)ctx;
    s_client_was_shown = true;
    return 1;
}

typedef struct {
    const test_identity_t *shows, *issuer;
    int most_version; /* 0: any */
    bool refuses_client;
} server_t;

static int server_refuses(X509_STORE_CTX *store, void *ctx)
{
    (void)ctx;
    X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REVOKED);
    return 0;
}

/* One handshake in memory; true: both sides are content. */
static bool shake(const posix_tls_options_t *options, const server_t *server)
{
    SSL_CTX *client_context = posix_tls_context(options, &s_tls);
    SSL_CTX *server_context = SSL_CTX_new(TLS_server_method());
    BIO *client_end = NULL, *server_end = NULL;
    assert_non_null(client_context);
    SSL_CTX_use_certificate(server_context, server->shows->certificate);
    SSL_CTX_use_PrivateKey(server_context, server->shows->key);
    if (server->issuer != NULL) {
        SSL_CTX_add1_chain_cert(server_context, server->issuer->certificate);
    }
    SSL_CTX_set_max_proto_version(server_context, server->most_version);
    if (server->most_version != 0 && server->most_version < TLS1_2_VERSION) {
        SSL_CTX_set_security_level(server_context, 0);
    }
    SSL_CTX_set_verify(server_context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set_cert_verify_callback(server_context, server->refuses_client ? server_refuses : server_sees, NULL);
    SSL *client = SSL_new(client_context), *peer = SSL_new(server_context);
    BIO_new_bio_pair(&client_end, 0, &server_end, 0);
    SSL_set_bio(client, client_end, client_end);
    SSL_set_bio(peer, server_end, server_end);
    SSL_set_tlsext_host_name(client, "192.0.2.1"); /* as libmosquitto does with the address that it is given */
    s_client_was_shown = false;
    bool client_is_done = false, server_is_done = false;
    char byte;
    for (int i = 0; i < 20; i++) {
        client_is_done = SSL_connect(client) == 1 || client_is_done;
        server_is_done = SSL_accept(peer) == 1 || server_is_done;
        if (client_is_done) {
            SSL_read(client, &byte, 1); /* an alert of TLS 1.3 comes behind the handshake */
        }
    }
    const char *name = SSL_get_servername(peer, TLSEXT_NAMETYPE_host_name);
    strncpy(s_name_asked_for, name == NULL ? "" : name, sizeof(s_name_asked_for) - 1);
    SSL_free(client);
    SSL_free(peer);
    SSL_CTX_free(client_context);
    SSL_CTX_free(server_context);
    return client_is_done && server_is_done;
}

static bool shake_with(const test_wanted_t *wanted, const test_identity_t *issuer, const posix_tls_options_t *options)
{
    test_identity_t shows = test_identity(wanted, issuer);
    server_t server = {.shows = &shows, .issuer = issuer};
    bool good = shake(options, &server);
    test_identity_free(&shows);
    return good;
}

static void a_server_of_a_pinned_authority_is_good_and_sees_our_certificate(void **state)
{
    (void)state;
    test_wanted_t wanted = of("x", "DNS:localhost");
    posix_tls_options_t options = usual("localhost");
    assert_true(shake_with(&wanted, &s_service, &options));
    assert_int_equal(posix_tls_failure(&s_tls), FAILURE_NONE);
    assert_string_equal(posix_tls_why(&s_tls), "");
    assert_true(s_tls.established);
    assert_true(s_client_was_shown);
    assert_string_equal(s_name_asked_for, "localhost");
}

static void an_address_is_asked_for_by_no_name_and_must_be_in_the_certificate(void **state)
{
    (void)state;
    test_wanted_t wanted = of("x", "IP:192.0.2.7,DNS:localhost");
    posix_tls_options_t options = usual("192.0.2.7");
    assert_true(shake_with(&wanted, &s_service, &options));
    assert_string_equal(s_name_asked_for, "");
    options = usual("192.0.2.8");
    assert_false(shake_with(&wanted, &s_service, &options));
    assert_int_equal(posix_tls_failure(&s_tls), FAILURE_TLS_HOST);
}

static void a_certificate_of_another_host_is_refused(void **state)
{
    (void)state;
    test_wanted_t wanted = of("localhost", "DNS:other.example"); /* a common name counts for nothing */
    posix_tls_options_t options = usual("localhost");
    assert_false(shake_with(&wanted, &s_service, &options));
    assert_int_equal(posix_tls_failure(&s_tls), FAILURE_TLS_HOST);
    assert_true(strlen(posix_tls_why(&s_tls)) > 0);
}

static void an_expired_certificate_is_refused(void **state)
{
    (void)state;
    test_wanted_t wanted = of("x", "DNS:localhost");
    wanted.to_s = -1;
    posix_tls_options_t options = usual("localhost");
    assert_false(shake_with(&wanted, &s_service, &options));
    assert_int_equal(posix_tls_failure(&s_tls), FAILURE_TLS_EXPIRED);
}

static void a_certificate_that_is_not_yet_valid_is_refused(void **state)
{
    (void)state;
    test_wanted_t wanted = of("x", "DNS:localhost");
    wanted.from_s = 60;
    posix_tls_options_t options = usual("localhost");
    assert_false(shake_with(&wanted, &s_service, &options));
    assert_int_equal(posix_tls_failure(&s_tls), FAILURE_TLS_EXPIRED);
}

static void without_a_clock_no_certificate_is_judged_by_its_time(void **state)
{
    (void)state;
    test_wanted_t wanted = of("x", "DNS:localhost");
    wanted.to_s = -1;
    posix_tls_options_t options = usual("localhost");
    options.has_time = false;
    assert_true(shake_with(&wanted, &s_service, &options));
}

static void a_certificate_of_another_authority_is_refused(void **state)
{
    (void)state;
    test_wanted_t wanted = of("x", "DNS:localhost");
    posix_tls_options_t options = usual("localhost");
    assert_false(shake_with(&wanted, &s_other_root, &options));
    assert_int_equal(posix_tls_failure(&s_tls), FAILURE_TLS_AUTHORITY);
}

static void a_self_signed_certificate_is_refused(void **state)
{
    (void)state;
    test_wanted_t wanted = of("x", "DNS:localhost");
    posix_tls_options_t options = usual("localhost");
    assert_false(shake_with(&wanted, NULL, &options));
    assert_int_equal(posix_tls_failure(&s_tls), FAILURE_TLS_AUTHORITY);
}

static void a_gateways_certificate_is_refused_as_a_servers(void **state)
{
    (void)state;
    test_wanted_t wanted = of("localhost", "DNS:localhost");
    wanted.usage = "clientAuth";
    posix_tls_options_t options = usual("localhost");
    assert_false(shake_with(&wanted, &s_service, &options));
    assert_int_equal(posix_tls_failure(&s_tls), FAILURE_TLS_OTHER);
}

static void a_server_that_refuses_our_certificate_is_told_apart(void **state)
{
    (void)state;
    test_wanted_t wanted = of("x", "DNS:localhost");
    posix_tls_options_t options = usual("localhost");
    const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    for (size_t i = 0; i < 2; i++) {
        test_identity_t shows = test_identity(&wanted, &s_service);
        server_t server = {.shows = &shows, .issuer = &s_service, .most_version = versions[i], .refuses_client = true};
        assert_false(shake(&options, &server));
        assert_int_equal(posix_tls_failure(&s_tls), FAILURE_TLS_OTHER);
        assert_string_equal(posix_tls_why(&s_tls), "certificate revoked");
        test_identity_free(&shows);
    }
}

static void tls_before_1_2_is_refused(void **state)
{
    (void)state;
    test_wanted_t wanted = of("x", "DNS:localhost");
    posix_tls_options_t options = usual("localhost");
    test_identity_t shows = test_identity(&wanted, &s_service);
    server_t server = {.shows = &shows, .issuer = &s_service, .most_version = TLS1_1_VERSION};
    assert_false(shake(&options, &server));
    assert_int_equal(posix_tls_failure(&s_tls), FAILURE_TLS_OTHER); /* protocol version, by alert */
    test_identity_free(&shows);
}

static void without_authorities_or_with_half_a_pair_there_is_no_context(void **state)
{
    (void)state;
    char long_name[POSIX_TLS_NAME_MAX_CHARS + 2];
    posix_tls_options_t options = usual("localhost");
    options.pinned = NULL;
    assert_null(posix_tls_context(&options, &s_tls));
    options = usual("localhost");
    posix_pair_t half = {.leaf = s_device.certificate, .key = s_root.key};
    options.pair = &half;
    assert_null(posix_tls_context(&options, &s_tls));
    memset(long_name, 'a', sizeof(long_name) - 1);
    long_name[sizeof(long_name) - 1] = '\0';
    options = usual(long_name);
    assert_null(posix_tls_context(&options, &s_tls));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_server_of_a_pinned_authority_is_good_and_sees_our_certificate),
        cmocka_unit_test(an_address_is_asked_for_by_no_name_and_must_be_in_the_certificate),
        cmocka_unit_test(a_certificate_of_another_host_is_refused),
        cmocka_unit_test(an_expired_certificate_is_refused),
        cmocka_unit_test(a_certificate_that_is_not_yet_valid_is_refused),
        cmocka_unit_test(without_a_clock_no_certificate_is_judged_by_its_time),
        cmocka_unit_test(a_certificate_of_another_authority_is_refused),
        cmocka_unit_test(a_self_signed_certificate_is_refused),
        cmocka_unit_test(a_gateways_certificate_is_refused_as_a_servers),
        cmocka_unit_test(a_server_that_refuses_our_certificate_is_told_apart),
        cmocka_unit_test(tls_before_1_2_is_refused),
        cmocka_unit_test(without_authorities_or_with_half_a_pair_there_is_no_context),
    };
    return cmocka_run_group_tests(tests, make, forget);
}
