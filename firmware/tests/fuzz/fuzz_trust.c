/* What a trust set says, signed by a root: every signature is believed. Before it another one was taken. */
#include <stdlib.h>
#include <string.h>

#include "core/base64url.h"
#include "core/trust.h"
#include "port/fake/fake_crypto.h"

#define TEXT_BYTES 4096
/* A public key of the vectors, as a factory image has it. */
#define ROOT "HF226CucP1jZ2gIbOmapIztMHQ-TPKGqaIwNBzGK-Bjgc55wdwbHmrNwLd0d9lwbhpSVopXT8-y1TnnRsRXClA"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool true_of_it)
{
    if (!true_of_it) {
        abort();
    }
}

static size_t write_document(const char *kid, const uint8_t *claims, size_t size, char *out)
{
    static const uint8_t SIGNATURE[P256_SIGNATURE_BYTES];
    char header[128] = "{\"alg\":\"ES256\",\"kid\":\"";
    strcat(strcat(header, kid), "\",\"typ\":\"tds-trust+jws\"}");
    size_t len = base64url_encode((const uint8_t *)header, strlen(header), out, TEXT_BYTES);
    out[len++] = '.';
    len += base64url_encode(claims, size, out + len, TEXT_BYTES - 256);
    out[len++] = '.';
    return len + base64url_encode(SIGNATURE, sizeof(SIGNATURE), out + len, 128);
}

static void look_at(const trust_t *trust)
{
    must(trust->version >= 1 && trust->key_count >= 1 && trust->key_count <= TRUST_MAX_KEYS);
    must(trust->revoked_count <= TRUST_MAX_REVOKED);
    for (size_t i = 0; i < trust->key_count; i++) {
        must(strlen(trust->keys[i].kid) == KID_CHARS);
        must(trust_find(trust, trust->keys[i].use, trust->keys[i].kid) != NULL);
    }
    for (size_t i = 0; i < trust->revoked_count; i++) {
        must(strlen(trust->revoked[i]) == KID_CHARS);
        must(strcmp(trust->revoked[i], trust->roots[0].kid) != 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static claims_t claims;
    static trust_t trust, before;
    static fake_crypto_t crypto;
    char text[TEXT_BYTES + 256];
    if (size > TEXT_BYTES / 2) {
        return 0;
    }
    fake_crypto_init(&crypto);
    crypto.verify = FAKE_VERIFY_YES;
    must(trust_init(&trust, &crypto.port, ROOT));
    before = trust;
    size_t len = write_document(trust.roots[0].kid, data, size, text);
    trust_result_t result = trust_take(&trust, &crypto.port, text, len, 0, &claims);
    if (result != TRUST_TAKEN) {
        must(memcmp(&before, &trust, sizeof(trust)) == 0);
    } else {
        look_at(&trust);
        must(trust_take(&trust, &crypto.port, text, len, 0, &claims) == TRUST_SAME);
    }
    must(crypto.under_way == 0);
    return 0;
}
