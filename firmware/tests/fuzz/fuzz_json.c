/* Any bytes: what is accepted is in order, is UTF-8, and says the same to cJSON. The other way round cJSON proves
 * nothing: it takes control characters, invalid UTF-8 and numbers that RFC 8259 does not know. */
#include "core/bounds.h"
#include "core/json_in.h"
#include "core/utf8.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

#define TOKENS 512
#define CJSON_NUMBER_MAX_CHARS 63 /* longer ones it cuts */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static json_token_t s_tokens[TOKENS];

static void require(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void require_string(const char *text, const json_token_t *token, const char *wanted)
{
    static char out[1 << 16];
    size_t raw = (size_t)token->end - token->start;
    if (!json_in_string(text, token, out, sizeof(out))) {
        return; /* it has a U+0000, where a C string ends */
    }
    require(strcmp(out, wanted) == 0 && strlen(out) <= raw);
    uint32_t point = 0;
    for (size_t at = 0, len = strlen(out), step = 0; at < len; at += step) {
        step = utf8_next(out + at, len - at, &point);
        require(step > 0);
    }
    /* It fits exactly, and one byte less is too little. */
    require(json_in_string(text, token, out, strlen(out) + 1));
    require(!json_in_string(text, token, out, strlen(out)));
}

static void require_number(const char *text, const json_token_t *token, const cJSON *item)
{
    int64_t value = 0;
    if (json_in_int(text, token, &value)) {
        require(cJSON_IsNumber(item) && (double)value - item->valuedouble == 0.0);
    }
}

/* Depth is bounded by the parser. */
static void require_same(const char *text, const json_token_t *token, const cJSON *item)
{
    const json_token_t *end = s_tokens + token->next;
    const json_token_t *at = token + 1;
    const cJSON *child = item->child;
    switch (token->type) {
    case JSON_OBJECT:
        require(cJSON_IsObject(item));
        for (; at < end; child = child->next) {
            require(child != NULL && at->type == JSON_STRING);
            require_string(text, at, child->string);
            require_same(text, at + 1, child);
            at = s_tokens + at[1].next;
        }
        require(child == NULL && at == end);
        break;
    case JSON_ARRAY:
        require(cJSON_IsArray(item));
        for (; at < end; child = child->next) {
            require(child != NULL);
            require_same(text, at, child);
            at = s_tokens + at->next;
        }
        require(child == NULL && at == end);
        break;
    case JSON_STRING:
        require(cJSON_IsString(item));
        require_string(text, token, item->valuestring);
        break;
    case JSON_NUMBER:
        require(cJSON_IsNumber(item));
        require_number(text, token, item);
        break;
    case JSON_TRUE:
        require(cJSON_IsTrue(item));
        break;
    case JSON_FALSE:
        require(cJSON_IsFalse(item));
        break;
    case JSON_NULL:
        require(cJSON_IsNull(item));
        break;
    }
}

static bool has_long_number(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (s_tokens[i].type == JSON_NUMBER && s_tokens[i].end - s_tokens[i].start > CJSON_NUMBER_MAX_CHARS) {
            return true;
        }
    }
    return false;
}

static void require_in_order(size_t size, size_t count)
{
    require(count > 0 && count <= TOKENS && s_tokens[0].next == count);
    for (size_t i = 0; i < count; i++) {
        const json_token_t *token = &s_tokens[i];
        require(token->start <= token->end && token->end <= size);
        require(token->next > i && token->next <= count);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    size_t count = 0;
    json_status_t status = json_in_parse(text, size, s_tokens, TOKENS, &count);
    if (status != JSON_OK) {
        require(count == 0);
        return 0;
    }
    require_in_order(size, count);
    /* Room for one token less is too little, and what was read must not depend on how much room there is. */
    size_t fewer = 0;
    static json_token_t others[TOKENS];
    require(json_in_parse(text, size, others, count - 1, &fewer) == JSON_TOO_MANY && fewer == 0);
    if (s_tokens[0].type == JSON_OBJECT) {
        const json_token_t *found = json_in_get(text, s_tokens, s_tokens, "url");
        require(found == NULL || (found > s_tokens && found < s_tokens + count));
    }
    if (has_long_number(count)) {
        return 0;
    }
    cJSON *root = cJSON_ParseWithLength(text, size);
    require(root != NULL);
    require_same(text, s_tokens, root);
    cJSON_Delete(root);
    return 0;
}
