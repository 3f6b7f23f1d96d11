#include "manifest.h"

#include <string.h>

#include "semver.h"

#define TEXT_OF(number) #number
#define AS_TEXT(number) TEXT_OF(number)
#define ANY "*"

static bool is_revision(const char *text)
{
    return strcmp(text, ANY) == 0 || claims_is_name(text);
}

static bool read_texts(const claims_t *claims, const char *key, bool (*is_valid)(const char *text), size_t max,
                       char out[][NAME_MAX_CHARS + 1], uint8_t *out_count)
{
    const json_token_t *at = NULL;
    size_t count = 0;
    if (!claims_array(claims, claims->tokens, key, 1, max, &at, &count)) {
        return false;
    }
    for (size_t i = 0; i < count; i++, at = claims_next(claims, at)) {
        if (!claims_string(claims, at, is_valid, out[i], NAME_MAX_CHARS + 1)) {
            return false;
        }
    }
    *out_count = (uint8_t)count;
    return true;
}

static bool read_number(const claims_t *claims, const char *key, int64_t min, int64_t max, uint32_t *out)
{
    int64_t value = 0;
    bool read = claims_int(claims, claims->tokens, key, min, max, &value);
    *out = (uint32_t)value;
    return read;
}

static const char *read_what_it_is_for(const claims_t *claims, manifest_t *out)
{
    if (!claims_text(claims, claims->tokens, "product", claims_is_name, out->product, sizeof(out->product))) {
        return "The manifest's product must be a name of 1 to " AS_TEXT(NAME_MAX_CHARS) " characters.";
    }
    if (!read_texts(claims, "families", claims_is_name, MANIFEST_MAX_FAMILIES, out->families, &out->family_count)) {
        return "The manifest's families must be 1 to " AS_TEXT(MANIFEST_MAX_FAMILIES) " names.";
    }
    if (!claims_text(claims, claims->tokens, "chip", claims_is_name, out->chip, sizeof(out->chip))) {
        return "The manifest's chip must be a name of 1 to " AS_TEXT(NAME_MAX_CHARS) " characters.";
    }
    if (!read_texts(claims, "hardware", is_revision, MANIFEST_MAX_REVISIONS, out->hardware, &out->revision_count)) {
        return "The manifest's hardware must be 1 to " AS_TEXT(MANIFEST_MAX_REVISIONS) " revisions, or '*' for any.";
    }
    return NULL;
}

static const char *read_what_it_is(const claims_t *claims, manifest_t *out)
{
    if (!claims_text(claims, claims->tokens, "version", semver_is_valid, out->version, sizeof(out->version))) {
        return "The manifest's version must be one of SemVer 2.0.0 of at most " AS_TEXT(
            VERSION_MAX_CHARS) " characters.";
    }
    if (!read_number(claims, "counter", 1, COUNTER_MAX, &out->counter)) {
        return "The manifest's counter must be an integer from 1 to " AS_TEXT(COUNTER_MAX) ".";
    }
    if (!read_number(claims, "min_source_counter", 0, COUNTER_MAX, &out->min_source_counter)) {
        return "The manifest's min_source_counter must be an integer from 0 to " AS_TEXT(COUNTER_MAX) ".";
    }
    if (!read_number(claims, "size", 1, IMAGE_MAX_BYTES, &out->size_bytes)) {
        return "The manifest's size must be an integer from 1 to 64 MiB, in bytes.";
    }
    if (!claims_hash(claims, claims->tokens, "sha256", out->sha256)) {
        return "The manifest's sha256 must be 64 lower-case hexadecimal digits.";
    }
    if (!claims_moment(claims, claims->tokens, "released_at", &out->released_at_unix_s)) {
        return "The manifest's released_at must be seconds since 1970.";
    }
    return NULL;
}

const char *manifest_read(const claims_t *claims, manifest_t *out)
{
    *out = (manifest_t){0};
    const char *wrong = read_what_it_is_for(claims, out);
    return wrong != NULL ? wrong : read_what_it_is(claims, out);
}

bool manifest_has_family(const manifest_t *manifest, const char *family)
{
    for (size_t i = 0; i < manifest->family_count; i++) {
        if (strcmp(manifest->families[i], family) == 0) {
            return true;
        }
    }
    return false;
}

bool manifest_has_hardware(const manifest_t *manifest, const char *revision)
{
    for (size_t i = 0; i < manifest->revision_count; i++) {
        if (strcmp(manifest->hardware[i], ANY) == 0 || strcmp(manifest->hardware[i], revision) == 0) {
            return true;
        }
    }
    return false;
}
