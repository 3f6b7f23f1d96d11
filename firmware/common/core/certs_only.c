#include "certs_only.h"

#include <string.h>

// ASN.1 tags (X.690, 8.1.2).
#define TAG_OID 0x06u
#define TAG_SEQUENCE 0x30u
#define TAG_CONTEXT_0 0xA0u
#define LENGTH_LONG 0x80u

typedef struct {
    const uint8_t *at;
    const uint8_t *end;
} span_t;

// 1.2.840.113549.1.7.2, id-signedData (RFC 5652, 5.1)
static const uint8_t SIGNED_DATA[] = {0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x07, 0x02};

// Steps over the element at the front of `in`; its contents are in `inside`, all of it in `whole`. DER: definite
// lengths of at most 2 bytes, for no certificate of a device is longer.
static bool step(span_t *in, uint8_t *tag, span_t *inside, span_t *whole)
{
    const uint8_t *at = in->at;
    if (in->end - at < 2) {
        return false;
    }
    whole->at = at;
    *tag = *at++;
    size_t len = *at++;
    if ((len & LENGTH_LONG) != 0) {
        size_t bytes = len & ~LENGTH_LONG;
        if (bytes == 0 || bytes > 2 || (size_t)(in->end - at) < bytes) {
            return false;
        }
        len = 0;
        for (; bytes > 0; bytes--) {
            len = len << 8 | *at++;
        }
    }
    if ((size_t)(in->end - at) < len) {
        return false;
    }
    inside->at = at;
    inside->end = at + len;
    whole->end = inside->end;
    in->at = inside->end;
    return true;
}

static bool expect(span_t *in, uint8_t wanted, span_t *inside)
{
    uint8_t tag = 0;
    span_t whole = {NULL, NULL};
    return step(in, &tag, inside, &whole) && tag == wanted;
}

bool certs_only_find(const uint8_t *der, size_t len_bytes, uint8_t index, const uint8_t **out, size_t *out_len_bytes)
{
    span_t message = {der, der + len_bytes};
    span_t content_info = {NULL, NULL};
    span_t oid = {NULL, NULL};
    span_t explicit_content = {NULL, NULL};
    span_t signed_data = {NULL, NULL};
    if (!expect(&message, TAG_SEQUENCE, &content_info) || !expect(&content_info, TAG_OID, &oid) ||
        (size_t)(oid.end - oid.at) != sizeof(SIGNED_DATA) || memcmp(oid.at, SIGNED_DATA, sizeof(SIGNED_DATA)) != 0 ||
        !expect(&content_info, TAG_CONTEXT_0, &explicit_content) ||
        !expect(&explicit_content, TAG_SEQUENCE, &signed_data)) {
        return false;
    }
    // version, digestAlgorithms, encapContentInfo; then certificates [0] (RFC 5652, 5.1).
    uint8_t tag = 0;
    span_t inside = {NULL, NULL};
    span_t whole = {NULL, NULL};
    for (int skipped = 0; skipped < 3; skipped++) {
        if (!step(&signed_data, &tag, &inside, &whole)) {
            return false;
        }
    }
    span_t certificates = {NULL, NULL};
    if (!expect(&signed_data, TAG_CONTEXT_0, &certificates)) {
        return false;
    }
    for (uint8_t found = 0; step(&certificates, &tag, &inside, &whole); found++) {
        if (tag != TAG_SEQUENCE) {
            return false;
        }
        if (found == index) {
            *out = whole.at;
            *out_len_bytes = (size_t)(whole.end - whole.at);
            return true;
        }
    }
    return false;
}

static int value_of(char c)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

size_t certs_only_unbase64(char *text, size_t len_bytes)
{
    size_t written = 0;
    size_t digits = 0;
    size_t padding = 0;
    uint32_t bits = 0;
    for (size_t i = 0; i < len_bytes; i++) {
        char c = text[i];
        if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
            continue;
        }
        if (c == '=') {
            padding++;
            continue;
        }
        int value = value_of(c);
        if (value < 0 || padding > 0) {
            return 0;
        }
        bits = bits << 6 | (uint32_t)value;
        digits++;
        if (digits % 4 != 1) { // never further than what was read
            text[written++] = (char)(uint8_t)(bits >> (6 - 2 * ((digits - 1) % 4)));
        }
    }
    return (digits + padding) % 4 == 0 && padding <= 2 && digits > 0 ? written : 0;
}
