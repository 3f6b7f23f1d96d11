/* Any bytes: what is a record is one in its only form, and can be sent. */
#include "core/json_in.h"
#include "core/record.h"
#include "core/telemetry.h"

#include <stdlib.h>
#include <string.h>

#define TOKENS 256

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void require_message(const sample_t *sample)
{
    static char payload[MESSAGE_MAX_BYTES];
    static json_token_t tokens[TOKENS];
    char code[CODE_MAX_CHARS + 1] = "";
    size_t count = 0;
    memset(code, 'g', CODE_MAX_CHARS); /* the longest */
    size_t len = telemetry_payload(code, sample, payload, sizeof(payload));
    require(len > 0 && len == strlen(payload));
    require(json_in_parse(payload, len, tokens, TOKENS, &count) == JSON_OK);
    /* The object, four keys and three values, the list, and each reading with its three keys and values. */
    require(count == 1 + 4 + 3 + 1 + (size_t)sample->count * 7);
    for (size_t i = 0; i < sample->count; i++) {
        char tipo[TIPO_MAX_BYTES + 1];
        require(json_in_string(payload, &tokens[9 + 7 * i + 2], tipo, sizeof(tipo)));
        require(strcmp(tipo, sample->readings[i].tipo) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static sample_t sample;
    static uint8_t again[RECORD_MAX_BYTES];
    if (!record_decode(data, size, &sample)) {
        return 0;
    }
    require(sample_is_valid(&sample));
    size_t len = record_encode(&sample, again, sizeof(again));
    require(size <= RECORD_MAX_BYTES ? len == size && memcmp(again, data, size) == 0 : len == 0);
    sample.moment = (moment_t){.stamped = true, .unix_s = 1771439400};
    if (size <= RECORD_MAX_BYTES) {
        require_message(&sample);
    }
    return 0;
}
