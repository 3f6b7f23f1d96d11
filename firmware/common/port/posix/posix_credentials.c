#include "posix_credentials.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>
#include <time.h>

static bool to_unix_s(const ASN1_TIME *from, int64_t *out)
{
    struct tm utc;
    if (from == NULL || ASN1_TIME_to_tm(from, &utc) != 1) {
        return false;
    }
    *out = (int64_t)timegm(&utc);
    return true;
}

bool posix_validity(const X509 *certificate, int64_t *not_before_unix_s, int64_t *not_after_unix_s)
{
    return to_unix_s(X509_get0_notBefore(certificate), not_before_unix_s) &&
           to_unix_s(X509_get0_notAfter(certificate), not_after_unix_s);
}

bool posix_is_of(const X509 *certificate, const char *code)
{
    const X509_NAME *subject = X509_get_subject_name(certificate);
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    if (at < 0 || X509_NAME_get_index_by_NID(subject, NID_commonName, at) >= 0) {
        return false;
    }
    const ASN1_STRING *name = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at));
    size_t len = (size_t)ASN1_STRING_length(name);
    return len == strlen(code) && memcmp(ASN1_STRING_get0_data(name), code, len) == 0;
}

STACK_OF(X509) * posix_certificates(const char *pem)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    STACK_OF(X509) *found = sk_X509_new_null();
    X509 *one = NULL;
    while (bio != NULL && found != NULL && (one = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL) {
        if (sk_X509_push(found, one) == 0) {
            X509_free(one);
            break;
        }
    }
    /* The end is an error too: no more lines that begin one. */
    bool whole = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
    ERR_clear_error();
    BIO_free(bio);
    if (!whole || sk_X509_num(found) == 0) {
        sk_X509_pop_free(found, X509_free);
        return NULL;
    }
    return found;
}

/* An encrypted key would have OpenSSL ask at the terminal. */
static int no_password(char *buffer, int size, int writing, void *ctx)
{
    (void)buffer;
    (void)size;
    (void)writing;
    (void)ctx;
    return -1;
}

bool posix_pair_read(posix_pair_t *out, const char *key_pem, const char *pem)
{
    *out = (posix_pair_t){0};
    BIO *bio = BIO_new_mem_buf(key_pem, -1);
    if (bio != NULL) {
        out->key = PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL);
        BIO_free(bio);
    }
    out->issuers = posix_certificates(pem);
    if (out->issuers != NULL) {
        out->leaf = sk_X509_shift(out->issuers);
    }
    bool fits = out->key != NULL && out->leaf != NULL && X509_check_private_key(out->leaf, out->key) == 1;
    ERR_clear_error();
    if (!fits) {
        posix_pair_free(out);
    }
    return fits;
}

void posix_pair_free(posix_pair_t *pair)
{
    EVP_PKEY_free(pair->key);
    X509_free(pair->leaf);
    sk_X509_pop_free(pair->issuers, X509_free);
    *pair = (posix_pair_t){0};
}

bool posix_pair_validity(const posix_pair_t *pair, int64_t *not_before_unix_s, int64_t *not_after_unix_s)
{
    return pair->leaf != NULL && posix_validity(pair->leaf, not_before_unix_s, not_after_unix_s);
}

bool posix_pair_is_of(const posix_pair_t *pair, const char *code)
{
    return pair->leaf != NULL && posix_is_of(pair->leaf, code);
}
