#include "mbedtls_pair.h"

#include <stdio.h>
#include <string.h>

#include "mbedtls/base64.h"
#include "mbedtls/ctr_drbg.h"
#include "mbedtls/ecp.h"
#include "mbedtls/entropy.h"
#include "mbedtls/oid.h"
#include "mbedtls/pem.h"
#include "mbedtls/pk.h"
#include "mbedtls/x509_crt.h"
#include "mbedtls/x509_csr.h"

#define DAYS_BEFORE_1970 719468 /* from 0000-03-01 */

typedef struct {
    mbedtls_entropy_context entropy;
    mbedtls_ctr_drbg_context random;
} randomness_t;

static bool seed(randomness_t *randomness)
{
    mbedtls_entropy_init(&randomness->entropy);
    mbedtls_ctr_drbg_init(&randomness->random);
    return mbedtls_ctr_drbg_seed(&randomness->random, mbedtls_entropy_func, &randomness->entropy, NULL, 0) == 0;
}

static void unseed(randomness_t *randomness)
{
    mbedtls_ctr_drbg_free(&randomness->random);
    mbedtls_entropy_free(&randomness->entropy);
}

static bool make_key(mbedtls_pk_context *key, randomness_t *randomness)
{
    return mbedtls_pk_setup(key, mbedtls_pk_info_from_type(MBEDTLS_PK_ECKEY)) == 0 &&
           mbedtls_ecp_gen_key(MBEDTLS_ECP_DP_SECP256R1, mbedtls_pk_ec(*key), mbedtls_ctr_drbg_random,
                               &randomness->random) == 0;
}

static bool request(mbedtls_pk_context *key, const char *gateway_code, randomness_t *randomness, char *base64,
                    size_t cap_bytes)
{
    char subject[80];
    unsigned char der[PAIR_REQUEST_DER_BYTES];
    if (snprintf(subject, sizeof(subject), "CN=%s", gateway_code) >= (int)sizeof(subject)) {
        return false;
    }
    mbedtls_x509write_csr writer;
    mbedtls_x509write_csr_init(&writer);
    mbedtls_x509write_csr_set_md_alg(&writer, MBEDTLS_MD_SHA256);
    mbedtls_x509write_csr_set_key(&writer, key);
    int len = -1;
    if (mbedtls_x509write_csr_set_subject_name(&writer, subject) == 0) {
        len = mbedtls_x509write_csr_der(&writer, der, sizeof(der), mbedtls_ctr_drbg_random, &randomness->random);
    }
    mbedtls_x509write_csr_free(&writer);
    size_t written = 0; /* it is at the end of the buffer */
    return len > 0 && mbedtls_base64_encode((unsigned char *)base64, cap_bytes, &written, der + sizeof(der) - len,
                                            (size_t)len) == 0;
}

bool mbedtls_pair_make(const char *gateway_code, char key_pem[PAIR_KEY_PEM_BYTES], char *request_base64,
                       size_t cap_bytes)
{
    randomness_t randomness;
    mbedtls_pk_context key;
    mbedtls_pk_init(&key);
    bool done = seed(&randomness) && make_key(&key, &randomness) &&
                mbedtls_pk_write_key_pem(&key, (unsigned char *)key_pem, PAIR_KEY_PEM_BYTES) == 0 &&
                request(&key, gateway_code, &randomness, request_base64, cap_bytes);
    mbedtls_pk_free(&key);
    unseed(&randomness);
    return done;
}

/* Days since 1970-01-01 in the Gregorian calendar (H. Hinnant, "chrono-Compatible Low-Level Date Algorithms"). */
static int64_t unix_s_of(const mbedtls_x509_time *time)
{
    int64_t year = time->year - (time->mon <= 2);
    int64_t era = year / 400; /* no certificate is of before the year 0 */
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (time->mon + (time->mon > 2 ? -3 : 9)) + 2) / 5 + time->day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    int64_t days = era * 146097 + day_of_era - DAYS_BEFORE_1970;
    return ((days * 24 + time->hour) * 60 + time->min) * 60 + time->sec;
}

static bool belongs(const char *key_pem, mbedtls_x509_crt *certificate)
{
    randomness_t randomness;
    mbedtls_pk_context key;
    mbedtls_pk_init(&key);
    bool fits = seed(&randomness) &&
                mbedtls_pk_parse_key(&key, (const unsigned char *)key_pem, strlen(key_pem) + 1, NULL, 0,
                                     mbedtls_ctr_drbg_random, &randomness.random) == 0 &&
                mbedtls_pk_check_pair(&certificate->pk, &key, mbedtls_ctr_drbg_random, &randomness.random) == 0;
    mbedtls_pk_free(&key);
    unseed(&randomness);
    return fits;
}

static bool is_of(const mbedtls_x509_crt *certificate, const char *gateway_code)
{
    size_t names = 0;
    bool fits = false;
    for (const mbedtls_x509_name *name = &certificate->subject; name != NULL; name = name->next) {
        if (MBEDTLS_OID_CMP(MBEDTLS_OID_AT_CN, &name->oid) == 0) {
            names++;
            fits = name->val.len == strlen(gateway_code) && memcmp(name->val.p, gateway_code, name->val.len) == 0;
        }
    }
    return fits && names == 1;
}

static void take_validity(const mbedtls_x509_crt *certificate, pair_validity_t *out)
{
    out->not_before_unix_s = unix_s_of(&certificate->valid_from);
    out->not_after_unix_s = unix_s_of(&certificate->valid_to);
}

static bool parse_first(mbedtls_x509_crt *certificate, const char *pem)
{
    mbedtls_x509_crt_init(certificate);
    return mbedtls_x509_crt_parse(certificate, (const unsigned char *)pem, strlen(pem) + 1) == 0;
}

bool mbedtls_pair_read(const char *key_pem, const char *certificate_pem, pair_validity_t *out)
{
    mbedtls_x509_crt certificate;
    bool fits = parse_first(&certificate, certificate_pem) && belongs(key_pem, &certificate);
    if (fits) {
        take_validity(&certificate, out);
    }
    mbedtls_x509_crt_free(&certificate);
    return fits;
}

bool mbedtls_pair_is_of(const char *certificate_pem, const char *gateway_code)
{
    mbedtls_x509_crt certificate;
    bool fits = parse_first(&certificate, certificate_pem) && is_of(&certificate, gateway_code);
    mbedtls_x509_crt_free(&certificate);
    return fits;
}

static bool write_pem(char *out, size_t cap_bytes, const uint8_t *der, size_t der_bytes)
{
    size_t written = 0;
    return mbedtls_pem_write_buffer("-----BEGIN CERTIFICATE-----\n", "-----END CERTIFICATE-----\n", der, der_bytes,
                                    (unsigned char *)out, cap_bytes, &written) == 0;
}

bool mbedtls_pair_join(const char *key_pem, const char *gateway_code, const uint8_t *der, size_t der_bytes,
                       char *certificate_pem, size_t cap_bytes, pair_validity_t *out)
{
    mbedtls_x509_crt certificate;
    mbedtls_x509_crt_init(&certificate);
    bool done = mbedtls_x509_crt_parse_der(&certificate, der, der_bytes) == 0 && is_of(&certificate, gateway_code) &&
                belongs(key_pem, &certificate) && write_pem(certificate_pem, cap_bytes, der, der_bytes);
    if (done) {
        take_validity(&certificate, out);
    }
    mbedtls_x509_crt_free(&certificate);
    return done;
}

static bool is_root(const mbedtls_x509_crt *certificate)
{
    return certificate->issuer_raw.len == certificate->subject_raw.len &&
           memcmp(certificate->issuer_raw.p, certificate->subject_raw.p, certificate->issuer_raw.len) == 0;
}

/* By its signature; whether both are valid now is not the question. */
static bool is_signed_by(mbedtls_x509_crt *certificate, mbedtls_x509_crt *authority)
{
    uint32_t flags = 0;
    return mbedtls_x509_crt_verify(certificate, authority, NULL, NULL, &flags, NULL, NULL) == 0 ||
           (flags & MBEDTLS_X509_BADCERT_NOT_TRUSTED) == 0;
}

bool mbedtls_pair_append_issuer(char *certificate_pem, size_t cap_bytes, const uint8_t *der, size_t der_bytes)
{
    mbedtls_x509_crt chain;
    mbedtls_x509_crt issuer;
    mbedtls_x509_crt_init(&issuer);
    const size_t len_bytes = strlen(certificate_pem);
    bool done = parse_first(&chain, certificate_pem) && mbedtls_x509_crt_parse_der(&issuer, der, der_bytes) == 0;
    mbedtls_x509_crt *last = &chain;
    while (last->next != NULL) {
        last = last->next;
    }
    done = done && !is_root(last) && is_signed_by(last, &issuer) &&
           write_pem(certificate_pem + len_bytes, cap_bytes - len_bytes, der, der_bytes);
    if (!done) {
        certificate_pem[len_bytes] = '\0';
    }
    mbedtls_x509_crt_free(&chain);
    mbedtls_x509_crt_free(&issuer);
    return done;
}
