#include "posix_tls.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>

static posix_tls_t *of_ssl(const SSL *ssl)
{
    return SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
}

static int on_verify(int good, X509_STORE_CTX *store)
{
    const SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    if (good == 0) {
        of_ssl(ssl)->verify_error = X509_STORE_CTX_get_error(store);
    }
    return good;
}

static void on_info(const SSL *ssl, int where, int value)
{
    posix_tls_t *tls = of_ssl(ssl);
    if ((where & SSL_CB_HANDSHAKE_START) != 0 && !tls->established) {
        /* libmosquitto connects to an address and would name that; RFC 6066, 3 allows names alone. Before ClientHello.
         */
        SSL *own = (SSL *)(uintptr_t)ssl;
        SSL_set_tlsext_host_name(own, tls->is_address ? NULL : tls->host);
    }
    if ((where & SSL_CB_HANDSHAKE_DONE) != 0) {
        tls->established = true;
        tls->version = SSL_get_version(ssl);
    }
    bool is_fatal = (where & SSL_CB_READ_ALERT) == SSL_CB_READ_ALERT && value >> 8 == SSL3_AL_FATAL;
    if (is_fatal) {
        tls->alert = value & 0xff;
    }
}

static bool is_address(const char *host)
{
    unsigned char bytes[sizeof(struct in6_addr)];
    return inet_pton(AF_INET, host, bytes) == 1 || inet_pton(AF_INET6, host, bytes) == 1;
}

static bool expect_host(X509_VERIFY_PARAM *wanted, const posix_tls_t *tls)
{
    /* The common name counts for nothing where there are names (RFC 6125, 6.4.4); our servers always have them. */
    X509_VERIFY_PARAM_set_hostflags(wanted, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    return tls->is_address ? X509_VERIFY_PARAM_set1_ip_asc(wanted, tls->host) == 1
                           : X509_VERIFY_PARAM_set1_host(wanted, tls->host, 0) == 1;
}

static X509_STORE *store_of(const STACK_OF(X509) * pinned)
{
    X509_STORE *store = X509_STORE_new();
    bool good = store != NULL && sk_X509_num(pinned) > 0;
    for (int i = 0; good && i < sk_X509_num(pinned); i++) {
        good = X509_STORE_add_cert(store, sk_X509_value(pinned, i)) == 1;
    }
    if (!good) {
        X509_STORE_free(store);
        return NULL;
    }
    return store;
}

static bool show(SSL_CTX *context, const posix_pair_t *pair)
{
    bool good = SSL_CTX_use_certificate(context, pair->leaf) == 1 && SSL_CTX_use_PrivateKey(context, pair->key) == 1;
    for (int i = 0; good && i < sk_X509_num(pair->issuers); i++) {
        good = SSL_CTX_add1_chain_cert(context, sk_X509_value(pair->issuers, i)) == 1;
    }
    return good;
}

bool posix_tls_configure(SSL_CTX *context, const posix_tls_options_t *options, posix_tls_t *tls)
{
    *tls = (posix_tls_t){.verify_error = X509_V_OK, .alert = -1, .version = ""};
    if (options->pinned == NULL || strlen(options->host) > POSIX_TLS_NAME_MAX_CHARS) {
        return false;
    }
    strcpy(tls->host, options->host);
    tls->is_address = is_address(tls->host);
    X509_STORE *store = store_of(options->pinned);
    if (store == NULL) {
        return false;
    }
    SSL_CTX_set_cert_store(context, store);
    X509_VERIFY_PARAM *wanted = SSL_CTX_get0_param(context);
    if (options->has_time) {
        X509_VERIFY_PARAM_set_time(wanted, (time_t)options->unix_s);
    } else {
        X509_VERIFY_PARAM_set_flags(wanted, X509_V_FLAG_NO_CHECK_TIME);
    }
    SSL_CTX_set_app_data(context, tls);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, on_verify);
    SSL_CTX_set_info_callback(context, on_info);
    SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    return SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1 && expect_host(wanted, tls) &&
           (options->pair == NULL || show(context, options->pair));
}

SSL_CTX *posix_tls_context(const posix_tls_options_t *options, posix_tls_t *tls)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (context != NULL && !posix_tls_configure(context, options, tls)) {
        SSL_CTX_free(context);
        context = NULL;
    }
    ERR_clear_error();
    return context;
}

static failure_t of_verification(int error)
{
    switch (error) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return FAILURE_TLS_EXPIRED;
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        return FAILURE_TLS_HOST;
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
    case X509_V_ERR_CERT_UNTRUSTED:
    case X509_V_ERR_INVALID_CA:
        return FAILURE_TLS_AUTHORITY;
    default: /* OpenSSL's numbers are no enum */
        return FAILURE_TLS_OTHER;
    }
}

failure_t posix_tls_failure(const posix_tls_t *tls)
{
    if (tls->verify_error != X509_V_OK) {
        return of_verification(tls->verify_error);
    }
    return tls->alert >= 0 ? FAILURE_TLS_OTHER : FAILURE_NONE;
}

const char *posix_tls_why(const posix_tls_t *tls)
{
    if (tls->verify_error != X509_V_OK) {
        return X509_verify_cert_error_string(tls->verify_error);
    }
    return tls->alert >= 0 ? SSL_alert_desc_string_long(tls->alert) : "";
}
