#include "jws.h"

#include <string.h>

#include "base64url.h"
#include "digest.h"
#include "json_in.h"

#define HEADER_MAX_BYTES (JWS_HEADER_MAX_CHARS / 4 * 3)
#define HEADER_TOKENS 7 /* an object, three keys, three values: no room for more */
#define ALG "ES256"
#define SIGNATURE_CHARS 86

/* Where the next dot is, or the end. */
static size_t part_chars(const char *text, size_t len_bytes)
{
    const char *dot = memchr(text, '.', len_bytes);
    return dot != NULL ? (size_t)(dot - text) : len_bytes;
}

/* What does not fit is none of ours: empty. */
static void take_name(const char *text, const json_token_t *token, char *out, size_t cap_bytes)
{
    if (!json_in_string(text, token, out, cap_bytes)) {
        out[0] = '\0';
    }
}

/* Three members of which none is missing: each is there once, and there is no other. */
static bool take_members(const char *header, const json_token_t tokens[HEADER_TOKENS], jws_t *out)
{
    char alg[sizeof(ALG)];
    const json_token_t *alg_token = json_in_get(header, tokens, tokens, "alg");
    const json_token_t *kid_token = json_in_get(header, tokens, tokens, "kid");
    const json_token_t *typ_token = json_in_get(header, tokens, tokens, "typ");
    if (alg_token == NULL || kid_token == NULL || typ_token == NULL || kid_token->type != JSON_STRING ||
        typ_token->type != JSON_STRING || !json_in_string(header, alg_token, alg, sizeof(alg)) ||
        strcmp(alg, ALG) != 0) {
        return false;
    }
    take_name(header, kid_token, out->kid, sizeof(out->kid));
    take_name(header, typ_token, out->typ, sizeof(out->typ));
    return true;
}

static bool take_header(const char *text, size_t len_chars, jws_t *out)
{
    uint8_t header[HEADER_MAX_BYTES];
    json_token_t tokens[HEADER_TOKENS];
    size_t len_bytes = 0;
    size_t count = 0;
    return base64url_decode(text, len_chars, header, sizeof(header), &len_bytes) &&
           json_in_parse((const char *)header, len_bytes, tokens, HEADER_TOKENS, &count) == JSON_OK &&
           take_members((const char *)header, tokens, out);
}

bool jws_split(const char *text, size_t len_bytes, jws_t *out)
{
    *out = (jws_t){.text = text};
    size_t header_chars = part_chars(text, len_bytes);
    if (header_chars == len_bytes || !take_header(text, header_chars, out)) {
        return false;
    }
    out->claims = text + header_chars + 1;
    out->claims_len_chars = part_chars(out->claims, len_bytes - header_chars - 1);
    out->signed_len_bytes = header_chars + 1 + out->claims_len_chars;
    size_t signature_bytes = 0; /* so many characters are never another count */
    return len_bytes - out->signed_len_bytes == 1 + SIGNATURE_CHARS &&
           base64url_decode(text + out->signed_len_bytes + 1, SIGNATURE_CHARS, out->signature, sizeof(out->signature),
                            &signature_bytes);
}

jws_check_t jws_is_signed_by(const jws_t *jws, const port_crypto_t *crypto, const uint8_t public_key[P256_KEY_BYTES])
{
    const digest_part_t part = {jws->text, jws->signed_len_bytes};
    uint8_t hash[SHA256_BYTES];
    if (!digest_of(crypto, &part, 1, hash)) {
        return JWS_NOT_CHECKED;
    }
    return crypto->verify_p256(crypto->ctx, public_key, hash, jws->signature) ? JWS_SIGNED : JWS_NOT_SIGNED;
}
