#define _GNU_SOURCE
#include "box.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#define PATH_MAX_BYTES 4096
#define TLS_1_2 12U

static const char *openssl_reason(void)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    return reason ? reason : "no reason";
}

static FILE *open_file(const char *folder, const char *code, const char *name)
{
    char path[PATH_MAX_BYTES];
    if (snprintf(path, sizeof(path), "%s/%s/%s", folder, code, name) >= (int)sizeof(path)) {
        fprintf(stderr, "The path of the box is too long.\n");
        return NULL;
    }
    FILE *file = fopen(path, "r");
    if (!file) {
        fprintf(stderr, "%s can't be read; fill the box with `./tds provision`.\n", path);
    }
    return file;
}

static bool read_identity(box_identity_t *identity, const char *folder)
{
    FILE *file = open_file(folder, identity->code, "gateway.key");
    if (file) {
        identity->key = PEM_read_PrivateKey(file, NULL, NULL, NULL);
        fclose(file);
    }
    file = identity->key ? open_file(folder, identity->code, "gateway.crt") : NULL;
    if (file) {
        identity->leaf = PEM_read_X509(file, NULL, NULL, NULL);
        identity->issuer = identity->leaf ? PEM_read_X509(file, NULL, NULL, NULL) : NULL;
        ERR_clear_error(); /* the end of the file, where an issuer may be */
        fclose(file);
    }
    if (!identity->leaf || X509_check_private_key(identity->leaf, identity->key) != 1) {
        fprintf(stderr, "%s/%s holds no key with its certificate.\n", folder, identity->code);
        return false;
    }
    return true;
}

bool box_code(char code[static CODE_MAX_BYTES], const code_format_t *codes, size_t number)
{
    int wrote = snprintf(code, CODE_MAX_BYTES, "%s%0*zu%s", codes->prefix, (int)codes->digits, number, codes->suffix);
    if (wrote < 0 || wrote >= (int)CODE_MAX_BYTES) {
        fprintf(stderr, "A code has more than %u characters.\n", CODE_MAX_BYTES - 1);
        return false;
    }
    return true;
}

bool box_read(box_t *box, const char *folder, const code_format_t *codes, size_t count)
{
    box->count = 0;
    box->identities = calloc(count, sizeof(*box->identities));
    if (!box->identities) {
        fprintf(stderr, "Out of memory.\n");
        return false;
    }
    for (; box->count < count; box->count++) {
        box_identity_t *identity = &box->identities[box->count];
        if (!box_code(identity->code, codes, box->count) || !read_identity(identity, folder)) {
            box->count++; /* what it has so far is freed with the others */
            return false;
        }
    }
    return true;
}

void box_free(box_t *box)
{
    for (size_t n = 0; n < box->count; n++) {
        EVP_PKEY_free(box->identities[n].key);
        X509_free(box->identities[n].leaf);
        X509_free(box->identities[n].issuer);
    }
    free(box->identities);
    box->identities = NULL;
    box->count = 0;
}

static bool know_servers(SSL_CTX *context, const box_t *box, const char *folder, const char *host)
{
    char path[PATH_MAX_BYTES];
    struct in6_addr address;
    X509_VERIFY_PARAM *known = SSL_CTX_get0_param(context);
    bool is_address = inet_pton(AF_INET, host, &address) == 1 || inet_pton(AF_INET6, host, &address) == 1;
    if (snprintf(path, sizeof(path), "%s/%s/ca.pem", folder, box->identities[0].code) >= (int)sizeof(path)) {
        return false;
    }
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    return SSL_CTX_load_verify_locations(context, path, NULL) == 1 &&
           (is_address ? X509_VERIFY_PARAM_set1_ip_asc(known, host) : X509_VERIFY_PARAM_set1_host(known, host, 0)) == 1;
}

SSL_CTX *box_context(const box_t *box, const char *folder, const char *host, unsigned version)
{
    int wire = version == TLS_1_2 ? TLS1_2_VERSION : TLS1_3_VERSION;
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (context && SSL_CTX_set_min_proto_version(context, wire) == 1 &&
        SSL_CTX_set_max_proto_version(context, wire) == 1 && know_servers(context, box, folder, host)) {
        SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
        return context;
    }
    fprintf(stderr, "TLS can't be set up (%s).\n", openssl_reason());
    SSL_CTX_free(context);
    return NULL;
}

SSL *box_connection(const box_identity_t *identity, SSL_CTX *context, const char *host, int fd)
{
    SSL *ssl = SSL_new(context);
    if (ssl && SSL_use_certificate(ssl, identity->leaf) == 1 && SSL_use_PrivateKey(ssl, identity->key) == 1 &&
        (!identity->issuer || SSL_add1_chain_cert(ssl, identity->issuer) == 1) &&
        SSL_set_tlsext_host_name(ssl, host) == 1 && SSL_set_fd(ssl, fd) == 1) {
        return ssl;
    }
    SSL_free(ssl);
    return NULL;
}

io_result_t box_shake_hands(SSL *ssl, uint32_t *events)
{
    int rc = SSL_connect(ssl);
    if (rc == 1) {
        return IO_OK;
    }
    switch (SSL_get_error(ssl, rc)) {
    case SSL_ERROR_WANT_READ:
        *events = EPOLLIN;
        return IO_WOULD_BLOCK;
    case SSL_ERROR_WANT_WRITE:
        *events = EPOLLOUT;
        return IO_WOULD_BLOCK;
    default:
        return IO_CLOSED;
    }
}
