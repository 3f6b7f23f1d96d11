#include "json_in.h"
#include "ascii.h"
#include "bounds.h"
#include "json_char.h"

#include <string.h>

#define TEXT_MAX_BYTES UINT16_MAX /* what a token's places can say */

typedef struct {
    const char *text;
    size_t len, at;
    json_token_t *tokens;
    size_t max_tokens, count;
    json_status_t status;
    uint16_t open[JSON_MAX_DEPTH]; /* tokens of the objects and arrays around this place */
    size_t depth;
} parser_t;

/* What may come next. */
typedef enum { WANT_VALUE, WANT_FIRST_KEY, WANT_KEY, WANT_FIRST_ITEM, WANT_END_OR_COMMA, WANT_NOTHING } want_t;

/* The byte at this place, or -1 at the end. A NUL within the text is a byte like any other. */
static int peek(const parser_t *parser)
{
    return parser->at < parser->len ? (unsigned char)parser->text[parser->at] : -1;
}

static bool take(parser_t *parser, char wanted)
{
    if (peek(parser) != wanted) {
        return false;
    }
    parser->at++;
    return true;
}

static void fail(parser_t *parser, json_status_t why)
{
    if (parser->status == JSON_OK) {
        parser->status = why;
    }
}

static void skip_spaces(parser_t *parser)
{
    while (take(parser, ' ') || take(parser, '\t') || take(parser, '\n') || take(parser, '\r')) {
    }
}

static json_token_t *add_token(parser_t *parser, json_type_t type)
{
    if (parser->count >= parser->max_tokens) {
        fail(parser, JSON_TOO_MANY);
        return NULL;
    }
    json_token_t *token = &parser->tokens[parser->count++];
    *token = (json_token_t){.type = type, .start = (uint16_t)parser->at, .next = (uint16_t)parser->count};
    return token;
}

static void parse_string(parser_t *parser)
{
    parser->at++; /* its quote */
    json_token_t *token = add_token(parser, JSON_STRING);
    if (token == NULL) {
        return;
    }
    while (peek(parser) != '"') {
        uint32_t code_point = 0;
        size_t bytes = json_char_next(parser->text + parser->at, parser->len - parser->at, &code_point);
        if (bytes == 0) {
            fail(parser, JSON_MALFORMED);
            return;
        }
        parser->at += bytes;
    }
    token->end = (uint16_t)parser->at;
    parser->at++;
}

static bool take_digits(parser_t *parser)
{
    size_t from = parser->at;
    while (ascii_is_digit(peek(parser))) {
        parser->at++;
    }
    return parser->at > from;
}

/* RFC 8259, 6. */
static bool take_number(parser_t *parser)
{
    (void)take(parser, '-');
    if (!take(parser, '0') && !take_digits(parser)) {
        return false;
    }
    if (take(parser, '.') && !take_digits(parser)) {
        return false;
    }
    if (take(parser, 'e') || take(parser, 'E')) {
        if (!take(parser, '+')) {
            (void)take(parser, '-');
        }
        return take_digits(parser);
    }
    return true;
}

static bool take_word(parser_t *parser, const char *word)
{
    size_t len = strlen(word);
    if (len > parser->len - parser->at || memcmp(parser->text + parser->at, word, len) != 0) {
        return false;
    }
    parser->at += len;
    return true;
}

static void parse_scalar(parser_t *parser)
{
    static const struct {
        const char *word;
        json_type_t type;
    } WORDS[] = {{"true", JSON_TRUE}, {"false", JSON_FALSE}, {"null", JSON_NULL}};

    json_token_t *token = add_token(parser, JSON_NUMBER);
    if (token == NULL) {
        return;
    }
    if (peek(parser) == '-' || ascii_is_digit(peek(parser))) {
        if (!take_number(parser)) {
            fail(parser, JSON_MALFORMED);
        }
        token->end = (uint16_t)parser->at;
        return;
    }
    for (size_t i = 0; i < sizeof(WORDS) / sizeof(WORDS[0]); i++) {
        if (take_word(parser, WORDS[i].word)) {
            token->type = WORDS[i].type;
            token->end = (uint16_t)parser->at;
            return;
        }
    }
    fail(parser, JSON_MALFORMED);
}

static want_t open_level(parser_t *parser, json_type_t type)
{
    if (parser->depth >= JSON_MAX_DEPTH) {
        fail(parser, JSON_TOO_DEEP);
        return WANT_NOTHING;
    }
    if (add_token(parser, type) == NULL) {
        return WANT_NOTHING;
    }
    parser->at++;
    parser->open[parser->depth++] = (uint16_t)(parser->count - 1);
    return type == JSON_OBJECT ? WANT_FIRST_KEY : WANT_FIRST_ITEM;
}

static want_t after_value(const parser_t *parser)
{
    return parser->depth > 0 ? WANT_END_OR_COMMA : WANT_NOTHING;
}

static want_t close_level(parser_t *parser)
{
    json_token_t *token = &parser->tokens[parser->open[--parser->depth]];
    parser->at++;
    token->end = (uint16_t)parser->at;
    token->next = (uint16_t)parser->count;
    return after_value(parser);
}

static want_t parse_value(parser_t *parser)
{
    switch (peek(parser)) {
    case '{':
        return open_level(parser, JSON_OBJECT);
    case '[':
        return open_level(parser, JSON_ARRAY);
    case '"':
        parse_string(parser);
        return after_value(parser);
    default:
        parse_scalar(parser);
        return after_value(parser);
    }
}

static want_t parse_key(parser_t *parser)
{
    if (peek(parser) != '"') {
        fail(parser, JSON_MALFORMED);
        return WANT_NOTHING;
    }
    parse_string(parser);
    skip_spaces(parser);
    if (!take(parser, ':')) {
        fail(parser, JSON_MALFORMED);
    }
    return WANT_VALUE;
}

static want_t parse_end_or_comma(parser_t *parser)
{
    bool in_object = parser->tokens[parser->open[parser->depth - 1]].type == JSON_OBJECT;
    if (peek(parser) == (in_object ? '}' : ']')) {
        return close_level(parser);
    }
    if (!take(parser, ',')) {
        fail(parser, JSON_MALFORMED);
    }
    return in_object ? WANT_KEY : WANT_VALUE;
}

static want_t parse_next(parser_t *parser, want_t want)
{
    switch (want) {
    case WANT_VALUE:
        return parse_value(parser);
    case WANT_FIRST_KEY:
        return peek(parser) == '}' ? close_level(parser) : parse_key(parser);
    case WANT_KEY:
        return parse_key(parser);
    case WANT_FIRST_ITEM:
        return peek(parser) == ']' ? close_level(parser) : parse_value(parser);
    case WANT_END_OR_COMMA:
        return parse_end_or_comma(parser);
    case WANT_NOTHING:
        break;
    }
    return WANT_NOTHING;
}

json_status_t json_in_parse(const char *text, size_t len_bytes, json_token_t *tokens, size_t max_tokens, size_t *count)
{
    *count = 0;
    if (len_bytes > TEXT_MAX_BYTES) {
        return JSON_TOO_LONG;
    }
    parser_t parser = {
        .text = text,
        .len = len_bytes,
        .tokens = tokens,
        .max_tokens = max_tokens < UINT16_MAX ? max_tokens : UINT16_MAX,
    };
    want_t want = WANT_VALUE;
    skip_spaces(&parser);
    while (want != WANT_NOTHING && parser.status == JSON_OK) {
        want = parse_next(&parser, want);
        skip_spaces(&parser);
    }
    if (parser.at < parser.len) {
        fail(&parser, JSON_MALFORMED);
    }
    if (parser.status == JSON_OK) {
        *count = parser.count;
    }
    return parser.status;
}
