#include "signed.h"

#include <string.h>

typedef struct {
    const char *typ;
    size_t max_bytes;
    trust_use_t use;
} document_t;

static const document_t DOCUMENTS[] = {
    [SIGNED_MANIFEST] = {"tds-manifest+jws", MANIFEST_MAX_BYTES, TRUST_RELEASE},
    [SIGNED_TICKET] = {"tds-ticket+jws", TICKET_MAX_BYTES, TRUST_ASSIGNMENT},
};

static bool is_in_time(const trust_key_t *key, int64_t now_unix_s)
{
    return now_unix_s == 0 || (now_unix_s >= key->nbf_unix_s && now_unix_s < key->exp_unix_s);
}

static signed_result_t check_signer(const trust_t *trust, const port_crypto_t *crypto, trust_use_t use,
                                    const jws_t *jws, int64_t now_unix_s)
{
    if (trust->version == 0) {
        return SIGNED_NO_TRUST;
    }
    if (trust_is_revoked(trust, jws->kid)) {
        return SIGNED_KEY_REVOKED;
    }
    const trust_key_t *key = trust_find(trust, use, jws->kid);
    if (key == NULL) {
        return SIGNED_KEY_UNKNOWN;
    }
    if (!is_in_time(key, now_unix_s)) {
        return SIGNED_KEY_OUT_OF_TIME;
    }
    switch (jws_is_signed_by(jws, crypto, key->public_key)) {
    case JWS_SIGNED:
        return SIGNED_GOOD;
    case JWS_NOT_SIGNED:
        return SIGNED_SIGNATURE_INVALID;
    case JWS_NOT_CHECKED:
        break;
    }
    return SIGNED_LOCAL_FAULT;
}

signed_result_t signed_check(const trust_t *trust, const port_crypto_t *crypto, signed_type_t type, const char *jws,
                             size_t len_bytes, int64_t now_unix_s, claims_t *claims)
{
    const document_t *document = &DOCUMENTS[type];
    jws_t found;
    if (len_bytes > document->max_bytes || !jws_split(jws, len_bytes, &found)) {
        return SIGNED_MALFORMED;
    }
    if (strcmp(found.typ, document->typ) != 0) {
        return SIGNED_WRONG_TYPE;
    }
    signed_result_t result = check_signer(trust, crypto, document->use, &found, now_unix_s);
    if (result != SIGNED_GOOD) {
        return result;
    }
    return claims_read(claims, found.claims, found.claims_len_chars) ? SIGNED_GOOD : SIGNED_MALFORMED;
}

const char *signed_reason(signed_result_t result)
{
    switch (result) {
    case SIGNED_GOOD:
        break;
    case SIGNED_MALFORMED:
    case SIGNED_WRONG_TYPE:
        return "malformed";
    case SIGNED_NO_TRUST:
        return "no_trust";
    case SIGNED_KEY_REVOKED:
        return "key_revoked";
    case SIGNED_KEY_UNKNOWN:
        return "key_unknown";
    case SIGNED_KEY_OUT_OF_TIME:
        return "key_out_of_time";
    case SIGNED_SIGNATURE_INVALID:
        return "signature_invalid";
    case SIGNED_LOCAL_FAULT:
        return "local_fault";
    }
    return "";
}

const char *signed_sentence(signed_result_t result)
{
    switch (result) {
    case SIGNED_GOOD:
        return "The document is signed by a key that is believed.";
    case SIGNED_MALFORMED:
        return "The document is malformed; make it with the platform's own tool.";
    case SIGNED_WRONG_TYPE:
        return "The document is of another type than its place; a manifest is no ticket.";
    case SIGNED_NO_TRUST:
        return "This device has no trust set yet; publish one that a root key of its factory signed.";
    case SIGNED_KEY_REVOKED:
        return "The document's key is revoked; sign with another one.";
    case SIGNED_KEY_UNKNOWN:
        return "The trust set has no such key for this kind of document; sign with one that it has, or publish a new "
               "set.";
    case SIGNED_KEY_OUT_OF_TIME:
        return "The document's key is not good yet, or no longer; sign with one that is.";
    case SIGNED_SIGNATURE_INVALID:
        return "The signature is not that of the document's key: it was changed, or somebody else's.";
    case SIGNED_LOCAL_FAULT:
        break;
    }
    return "The document can't be checked: this device has no memory or engine for SHA-256 now; try again.";
}
