#include "ticket.h"

#include <string.h>

#include "ascii.h"
#include "code.h"

#define TEXT_OF(number) #number
#define AS_TEXT(number) TEXT_OF(number)

/* It goes into logs, reports and requests: nothing that would have to be escaped there. */
static bool is_execution_id(const char *text)
{
    for (size_t i = 0; text[i] != '\0'; i++) {
        if (!ascii_is_letter_or_digit(text[i]) && strchr("._-", text[i]) == NULL) {
            return false;
        }
    }
    return text[0] != '\0';
}

static bool is_code(const char *text)
{
    return code_is_valid(text, strlen(text));
}

static const char *read_moments(const claims_t *claims, ticket_t *out)
{
    if (!claims_moment(claims, claims->tokens, "iat", &out->iat_unix_s) ||
        !claims_moment(claims, claims->tokens, "exp", &out->exp_unix_s) ||
        !claims_moment(claims, claims->tokens, "not_before", &out->not_before_unix_s)) {
        return "The ticket's iat, exp and not_before must be seconds since 1970.";
    }
    return NULL;
}

const char *ticket_read(const claims_t *claims, ticket_t *out)
{
    const json_token_t *object = claims->tokens;
    int64_t seq = 0;
    *out = (ticket_t){0};
    if (!claims_text(claims, object, "execution_id", is_execution_id, out->execution_id, sizeof(out->execution_id))) {
        return "The ticket's execution_id must be a text of 1 to " AS_TEXT(
            EXECUTION_ID_MAX_CHARS) " letters, digits, '.', '_', '-'.";
    }
    if (!claims_text(claims, object, "gateway_code", is_code, out->gateway_code, sizeof(out->gateway_code))) {
        return "The ticket's gateway_code is none.";
    }
    if (!claims_hash(claims, object, "manifest_sha256", out->manifest_sha256)) {
        return "The ticket's manifest_sha256 must be 64 lower-case hexadecimal digits.";
    }
    if (!claims_int(claims, object, "seq", 1, SEQ_MAX, &seq)) {
        return "The ticket's seq must be an integer from 1 to " AS_TEXT(SEQ_MAX) ".";
    }
    out->seq = (uint64_t)seq;
    return read_moments(claims, out);
}
