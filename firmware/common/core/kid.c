#include "kid.h"

#include "ascii.h"
#include "base64url.h"
#include "digest.h"

#define COORDINATE_BYTES (P256_KEY_BYTES / 2)
#define COORDINATE_CHARS 43

/* RFC 7638, 3: the members that a public key needs, in the order of their names, without spaces. */
bool kid_of(const port_crypto_t *crypto, const uint8_t public_key[P256_KEY_BYTES], char kid[KID_CHARS + 1])
{
    static const char BEFORE_X[] = "{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"";
    static const char BEFORE_Y[] = "\",\"y\":\"";
    static const char END[] = "\"}";
    char x[COORDINATE_CHARS], y[COORDINATE_CHARS];
    uint8_t hash[SHA256_BYTES];
    (void)base64url_encode(public_key, COORDINATE_BYTES, x, sizeof(x));
    (void)base64url_encode(public_key + COORDINATE_BYTES, COORDINATE_BYTES, y, sizeof(y));
    const digest_part_t jwk[] = {{BEFORE_X, sizeof(BEFORE_X) - 1},
                                 {x, sizeof(x)},
                                 {BEFORE_Y, sizeof(BEFORE_Y) - 1},
                                 {y, sizeof(y)},
                                 {END, sizeof(END) - 1}};
    if (!digest_of(crypto, jwk, sizeof(jwk) / sizeof(jwk[0]), hash)) {
        return false;
    }
    kid[base64url_encode(hash, sizeof(hash), kid, KID_CHARS)] = '\0';
    return true;
}

bool kid_is_valid(const char *text)
{
    for (size_t i = 0; i < KID_CHARS; i++) {
        if (!ascii_is_letter_or_digit(text[i]) && text[i] != '-' && text[i] != '_') {
            return false; /* also a text that ends sooner */
        }
    }
    return text[KID_CHARS] == '\0';
}
