/* Certificates for tests, made on the spot. */
#pragma once

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#define TEST_NOW_UNIX_S 1771439400 /* 2026-02-18T18:30:00Z */
#define TEST_DAY_S 86400

typedef struct {
    EVP_PKEY *key;
    X509 *certificate;
} test_identity_t;

typedef struct {
    const char *name;        /* common name */
    const char *subject_alt; /* as in openssl.cnf: "DNS:localhost"; NULL: none */
    const char *usage;       /* extended; NULL: none */
    long from_s, to_s;       /* against TEST_NOW_UNIX_S */
    const char *second_name; /* another common name; NULL: none */
} test_wanted_t;

static inline void test_extend(X509 *certificate, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
}

/* By `issuer`, or by itself. */
static inline test_identity_t test_identity(const test_wanted_t *wanted, const test_identity_t *issuer)
{
    static long serial = 1;
    test_identity_t made = {.key = EVP_EC_gen("P-256"), .certificate = X509_new()};
    X509 *certificate = made.certificate;
    X509 *by = issuer == NULL ? certificate : issuer->certificate;
    X509_NAME *subject = X509_get_subject_name(certificate);
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial++);
    ASN1_TIME_set(X509_getm_notBefore(certificate), TEST_NOW_UNIX_S + wanted->from_s);
    ASN1_TIME_set(X509_getm_notAfter(certificate), TEST_NOW_UNIX_S + wanted->to_s);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)wanted->name, -1, -1, 0);
    if (wanted->second_name != NULL) {
        X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)wanted->second_name, -1, -1, 0);
    }
    X509_set_issuer_name(certificate, X509_get_subject_name(by));
    X509_set_pubkey(certificate, made.key);
    if (issuer == NULL && wanted->subject_alt == NULL) {
        test_extend(certificate, by, NID_basic_constraints, "critical,CA:TRUE");
    }
    if (wanted->subject_alt != NULL) {
        test_extend(certificate, by, NID_subject_alt_name, wanted->subject_alt);
    }
    if (wanted->usage != NULL) {
        test_extend(certificate, by, NID_ext_key_usage, wanted->usage);
    }
    X509_sign(certificate, issuer == NULL ? made.key : issuer->key, EVP_sha256());
    return made;
}

static inline void test_identity_free(test_identity_t *identity)
{
    EVP_PKEY_free(identity->key);
    X509_free(identity->certificate);
}

static inline char *test_text(BIO *bio)
{
    char *data = NULL;
    size_t len = (size_t)BIO_get_mem_data(bio, &data);
    char *out = calloc(1, len + 1);
    memcpy(out, data, len);
    BIO_free(bio);
    return out;
}

static inline char *test_pem(X509 *one, X509 *other)
{
    BIO *bio = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(bio, one);
    if (other != NULL) {
        PEM_write_bio_X509(bio, other);
    }
    return test_text(bio);
}

static inline char *test_key_pem(EVP_PKEY *key, const char *password)
{
    BIO *bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PKCS8PrivateKey(bio, key, password == NULL ? NULL : EVP_aes_256_cbc(), password,
                                  password == NULL ? 0 : (int)strlen(password), NULL, NULL);
    return test_text(bio);
}
