/* The first byte says what the others are: a whole document, or what a manifest or a ticket says. Every signature is
 * believed, so that what lies behind it is reached. */
#include <stdlib.h>
#include <string.h>

#include "core/base64url.h"
#include "core/manifest.h"
#include "core/signed.h"
#include "core/ticket.h"
#include "port/fake/fake_crypto.h"

#define NOW 1764115200
#define TEXT_BYTES 4096
#define KID "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool true_of_it)
{
    if (!true_of_it) {
        abort();
    }
}

/* There is one text for the same bytes. */
static void look_at_base64url(const char *text, size_t len)
{
    uint8_t bytes[TEXT_BYTES];
    char again[TEXT_BYTES * 2];
    size_t count = 0;
    if (base64url_decode(text, len, bytes, sizeof(bytes), &count)) {
        must(base64url_encode(bytes, count, again, sizeof(again)) == len && memcmp(again, text, len) == 0);
    }
}

static size_t write_document(const char *typ, const uint8_t *claims, size_t size, char *out)
{
    static const uint8_t SIGNATURE[P256_SIGNATURE_BYTES];
    char header[128] = "{\"alg\":\"ES256\",\"kid\":\"" KID "\",\"typ\":\"";
    strcat(strcat(header, typ), "\"}");
    size_t len = base64url_encode((const uint8_t *)header, strlen(header), out, TEXT_BYTES);
    out[len++] = '.';
    len += base64url_encode(claims, size, out + len, TEXT_BYTES - 256);
    out[len++] = '.';
    return len + base64url_encode(SIGNATURE, sizeof(SIGNATURE), out + len, 128);
}

static void look_at_claims(const claims_t *claims, signed_type_t type)
{
    manifest_t manifest;
    ticket_t ticket;
    if (type == SIGNED_MANIFEST && manifest_read(claims, &manifest) == NULL) {
        must(manifest.family_count >= 1 && manifest.family_count <= MANIFEST_MAX_FAMILIES);
        must(manifest_has_family(&manifest, manifest.families[manifest.family_count - 1]));
        must(manifest.revision_count >= 1 && manifest.revision_count <= MANIFEST_MAX_REVISIONS);
        must(manifest.counter >= 1 && manifest.size_bytes >= 1 && manifest.size_bytes <= IMAGE_MAX_BYTES);
    }
    if (type == SIGNED_TICKET && ticket_read(claims, &ticket) == NULL) {
        must(ticket.seq >= 1 && ticket.seq <= SEQ_MAX && ticket.gateway_code[0] != '\0');
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static claims_t claims;
    static char text[TEXT_BYTES + 256];
    static trust_t trust = {.version = 1, .key_count = 2};
    fake_crypto_t crypto;
    if (size == 0 || size > TEXT_BYTES / 2) {
        return 0;
    }
    fake_crypto_init(&crypto);
    crypto.verify = FAKE_VERIFY_YES;
    trust.keys[0] = (trust_key_t){.kid = KID, .use = TRUST_RELEASE, .exp_unix_s = NOW + 1};
    trust.keys[1] = (trust_key_t){.kid = KID, .use = TRUST_ASSIGNMENT, .exp_unix_s = NOW + 1};
    signed_type_t type = data[0] % 2 == 0 ? SIGNED_MANIFEST : SIGNED_TICKET;
    size_t len = size - 1;
    if (data[0] % 4 < 2) {
        memcpy(text, data + 1, len);
        look_at_base64url(text, len);
    } else {
        len = write_document(type == SIGNED_MANIFEST ? "tds-manifest+jws" : "tds-ticket+jws", data + 1, len, text);
    }
    char *exact = malloc(len + 1); /* so that a byte too far is seen */
    if (exact != NULL) {
        memcpy(exact, text, len);
        if (signed_check(&trust, &crypto.port, type, exact, len, NOW, &claims) == SIGNED_GOOD) {
            must(crypto.verified == 1);
            look_at_claims(&claims, type);
        }
        free(exact);
    }
    must(crypto.under_way == 0);
    return 0;
}
