#include "posix_request.h"

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "../../core/certs_only.h"

EVP_PKEY *posix_new_key(void)
{
    return EVP_EC_gen("P-256");
}

static X509_REQ *signed_request(EVP_PKEY *key, const char *code)
{
    X509_REQ *request = X509_REQ_new();
    X509_NAME *subject = X509_NAME_new();
    bool good = request != NULL && subject != NULL &&
                X509_NAME_add_entry_by_NID(subject, NID_commonName, MBSTRING_UTF8, (const unsigned char *)code, -1, -1,
                                           0) == 1 &&
                X509_REQ_set_version(request, 0) == 1 && /* the only one there is */
                X509_REQ_set_subject_name(request, subject) == 1 && X509_REQ_set_pubkey(request, key) == 1 &&
                X509_REQ_sign(request, key, EVP_sha256()) > 0;
    X509_NAME_free(subject);
    if (!good) {
        X509_REQ_free(request);
        return NULL;
    }
    return request;
}

char *posix_request(EVP_PKEY *key, const char *code)
{
    X509_REQ *request = signed_request(key, code);
    unsigned char *der = NULL;
    int len = request == NULL ? -1 : i2d_X509_REQ(request, &der);
    X509_REQ_free(request);
    ERR_clear_error();
    if (len <= 0) {
        return NULL;
    }
    char *out = malloc((size_t)(len + 2) / 3 * 4 + 1);
    if (out != NULL) {
        EVP_EncodeBlock((unsigned char *)out, der, len);
    }
    OPENSSL_free(der);
    return out;
}

static char *text_of(BIO *bio)
{
    char *data = NULL;
    long len = BIO_get_mem_data(bio, &data);
    char *out = len > 0 ? malloc((size_t)len + 1) : NULL;
    if (out != NULL) {
        memcpy(out, data, (size_t)len);
        out[len] = '\0';
    }
    return out;
}

static char *pem_of(X509 *leaf, const STACK_OF(X509) * issuers)
{
    BIO *bio = BIO_new(BIO_s_mem());
    bool good = bio != NULL && PEM_write_bio_X509(bio, leaf) == 1;
    for (int i = 0; good && i < sk_X509_num(issuers); i++) {
        X509 *one = sk_X509_value(issuers, i);
        good = one == leaf || PEM_write_bio_X509(bio, one) == 1;
    }
    char *out = good ? text_of(bio) : NULL;
    BIO_free(bio);
    return out;
}

static STACK_OF(X509) * certificates_of(char *answer, size_t len_bytes)
{
    STACK_OF(X509) *found = sk_X509_new_null();
    size_t message_len = certs_only_unbase64(answer, len_bytes);
    const uint8_t *der = NULL;
    size_t der_len = 0;
    for (uint8_t i = 0; i < UINT8_MAX && certs_only_find((const uint8_t *)answer, message_len, i, &der, &der_len);
         i++) {
        const unsigned char *at = der;
        X509 *one = d2i_X509(NULL, &at, (long)der_len);
        if (one == NULL || at != der + der_len || sk_X509_push(found, one) == 0) {
            X509_free(one);
            sk_X509_pop_free(found, X509_free);
            return NULL;
        }
    }
    return found;
}

static X509 *ours_among(const STACK_OF(X509) * all, const EVP_PKEY *key, const char *code)
{
    for (int i = 0; i < sk_X509_num(all); i++) {
        X509 *one = sk_X509_value(all, i);
        /* Another key or name is not ours, whoever signed it. */
        if (X509_check_private_key(one, key) == 1 && posix_is_of(one, code)) {
            return one;
        }
    }
    return NULL;
}

static bool issued_by_one_of(X509 *leaf, const STACK_OF(X509) * issuers)
{
    for (int i = 0; i < sk_X509_num(issuers); i++) {
        if (X509_check_issued(sk_X509_value(issuers, i), leaf) == X509_V_OK) {
            return true;
        }
    }
    return false;
}

char *posix_issued(char *answer, size_t len_bytes, const EVP_PKEY *key, const char *code, const STACK_OF(X509) * former,
                   int64_t *not_before_unix_s, int64_t *not_after_unix_s)
{
    STACK_OF(X509) *all = certificates_of(answer, len_bytes);
    X509 *leaf = ours_among(all, key, code);
    char *out = NULL;
    if (leaf != NULL && posix_validity(leaf, not_before_unix_s, not_after_unix_s)) {
        bool alone = sk_X509_num(all) == 1 && issued_by_one_of(leaf, former);
        out = pem_of(leaf, alone ? former : all);
    }
    sk_X509_pop_free(all, X509_free);
    ERR_clear_error();
    return out;
}

char *posix_key_pem(EVP_PKEY *key)
{
    /* Of OpenSSL's secure memory where there is some, and wiped when it is freed. */
    BIO *bio = BIO_new(BIO_s_secmem());
    char *out = NULL;
    if (bio != NULL && PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1) {
        out = text_of(bio);
    }
    BIO_free(bio);
    ERR_clear_error();
    return out;
}

void posix_wipe_text(char *text)
{
    if (text != NULL) {
        OPENSSL_cleanse(text, strlen(text));
        free(text);
    }
}
