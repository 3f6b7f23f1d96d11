#include "command.h"
#include "ascii.h"

#include <string.h>

#define TEXT_OF(number) #number
#define AS_TEXT(number) TEXT_OF(number)

static const char HTTPS[] = "https://";

typedef enum { TOPIC_OWN, TOPIC_ALL, TOPIC_OTHER } topic_t;

static topic_t topic_of(const char *gateway_code, const char *topic)
{
    size_t code_len = strlen(gateway_code);
    size_t head_len = sizeof(COMMAND_TOPIC_HEAD) - 1;
    if (strcmp(topic, COMMAND_TOPIC_OF_ALL) == 0) {
        return TOPIC_ALL;
    }
    if (strncmp(topic, COMMAND_TOPIC_HEAD, head_len) == 0 && strncmp(topic + head_len, gateway_code, code_len) == 0 &&
        strcmp(topic + head_len + code_len, COMMAND_TOPIC_TAIL) == 0) {
        return TOPIC_OWN;
    }
    return TOPIC_OTHER;
}

/* NULL: it is JSON. */
static const char *parse(const char *text, size_t len_bytes, json_token_t *tokens)
{
    size_t count = 0;
    switch (json_in_parse(text, len_bytes, tokens, JSON_MAX_TOKENS, &count)) {
    case JSON_OK:
        return tokens[0].type == JSON_OBJECT ? NULL : "The command is no JSON object; send one that begins with '{'.";
    case JSON_MALFORMED:
        return "The command is no JSON in UTF-8; send it as RFC 8259 has it.";
    case JSON_TOO_DEEP:
        return "The command nests deeper than " AS_TEXT(JSON_MAX_DEPTH) " levels; send a flat object.";
    case JSON_TOO_MANY:
        return "The command has more than " AS_TEXT(JSON_MAX_TOKENS) " keys and values; send fewer.";
    case JSON_TOO_LONG:
        break;
    }
    return "The command is too long; send a shorter one.";
}

/* They go into logs, reports and requests: nothing that would have to be escaped there. */
static bool is_plain(const char *text, const char *also)
{
    if (text[0] == '\0') {
        return false;
    }
    for (; *text != '\0'; text++) {
        if (!ascii_is_letter_or_digit(*text) && strchr(also, *text) == NULL) {
            return false;
        }
    }
    return true;
}

static bool is_url(const char *text)
{
    size_t head_len = sizeof(HTTPS) - 1;
    if (strncmp(text, HTTPS, head_len) != 0 || text[head_len] == '\0') {
        return false;
    }
    for (text += head_len; *text != '\0'; text++) {
        if (*text == ' ' || !ascii_is_printable(*text)) {
            return false;
        }
    }
    return true;
}

/* RFC 7515, 3.1: three parts in base64url, none of them empty, with dots between. No character of those needs an escape
 * in JSON, so that what stands in the payload is the text itself. */
static bool is_jws_compact(const char *text, size_t len)
{
    size_t dots = 0;
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '.') {
            dots++;
            if (i == 0 || i == len - 1 || text[i - 1] == '.') {
                return false;
            }
        } else if (!ascii_is_letter_or_digit(text[i]) && text[i] != '-' && text[i] != '_') {
            return false;
        }
    }
    return dots == 2;
}

static bool take_jws(const char *text, const json_token_t *token, const char **out, uint16_t *len_bytes)
{
    if (token->type != JSON_STRING || !is_jws_compact(text + token->start, (size_t)token->end - token->start)) {
        return false;
    }
    *out = text + token->start;
    *len_bytes = (uint16_t)(token->end - token->start);
    return true;
}

/* NULL: all of it is there and in form. */
static const char *take_update(const char *text, const json_token_t *tokens, command_t *out)
{
    const json_token_t *execution_id = json_in_get(text, tokens, &tokens[0], "execution_id");
    const json_token_t *version = json_in_get(text, tokens, &tokens[0], "version");
    const json_token_t *url = json_in_get(text, tokens, &tokens[0], "url");
    const json_token_t *manifest = json_in_get(text, tokens, &tokens[0], "manifest");
    const json_token_t *ticket = json_in_get(text, tokens, &tokens[0], "ticket");

    if (execution_id == NULL || version == NULL || url == NULL || manifest == NULL || ticket == NULL) {
        return "The command lacks one of execution_id, version, url, manifest, ticket; send all five.";
    }
    if (!json_in_string(text, execution_id, out->execution_id, sizeof(out->execution_id)) ||
        !is_plain(out->execution_id, "._-")) {
        return "execution_id must be a text of 1 to " AS_TEXT(
            EXECUTION_ID_MAX_CHARS) " letters, digits, '.', '_', '-'.";
    }
    if (!json_in_string(text, version, out->version, sizeof(out->version)) || !is_plain(out->version, ".-+")) {
        return "version must be a text of 1 to " AS_TEXT(VERSION_MAX_CHARS) " letters, digits, '.', '-', '+'.";
    }
    if (!json_in_string(text, url, out->url, sizeof(out->url)) || !is_url(out->url)) {
        return "url must be an https:// address of at most " AS_TEXT(URL_MAX_CHARS) " visible ASCII characters.";
    }
    if (!take_jws(text, manifest, &out->manifest, &out->manifest_len_bytes)) {
        return "manifest must be a JWS in its compact form, without escapes.";
    }
    if (!take_jws(text, ticket, &out->ticket, &out->ticket_len_bytes)) {
        return "ticket must be a JWS in its compact form, without escapes.";
    }
    return NULL;
}

static void refuse(command_t *out, const char *why)
{
    *out = (command_t){.type = COMMAND_REFUSED, .refusal = why}; /* nothing half-read is left in it */
}

void command_parse(const char *gateway_code, const char *topic, const uint8_t *payload, size_t len_bytes,
                   command_t *out)
{
    json_token_t tokens[JSON_MAX_TOKENS];
    const char *text = (const char *)payload;
    const char *why = NULL;

    *out = (command_t){.type = COMMAND_UPDATE};
    topic_t is = topic_of(gateway_code, topic);
    if (is == TOPIC_OTHER) {
        why = "The command came on a topic that is not this gateway's.";
    } else if (len_bytes > COMMAND_MAX_BYTES) {
        why = "The command is longer than " AS_TEXT(COMMAND_MAX_BYTES) " bytes; send a shorter one.";
    } else if (is == TOPIC_ALL && len_bytes == 0) {
        out->type = COMMAND_CHECK_NOW;
    } else {
        why = parse(text, len_bytes, tokens);
        if (why == NULL && is == TOPIC_ALL) {
            out->type = COMMAND_CHECK_NOW;
        } else if (why == NULL) {
            why = take_update(text, tokens, out);
        }
    }
    if (why != NULL) {
        refuse(out, why);
    }
}
