#include "record.h"

#include <string.h>

#define FLAG_STAMPED 0x01u
#define VARINT_MAX_BYTES 10 /* of 64 bits */

/* Whatever fits a record fits the message that it becomes: a text's byte grows to two at most (a quote is escaped), a
 * reading gets 33 bytes of names and a decimal beside it, and there are the head and two codes. */
_Static_assert(2 * RECORD_MAX_BYTES + SAMPLE_MAX_READINGS * (33 + DECIMAL_MAX_CHARS) + 2 * CODE_MAX_CHARS + 128 <
                   MESSAGE_MAX_BYTES,
               "a record that the outbox took can always be sent");
_Static_assert(SAMPLE_MAX_READINGS <= UINT8_MAX && TIPO_MAX_BYTES <= UINT8_MAX && CODE_MAX_CHARS <= UINT8_MAX,
               "lengths and count take a byte");

typedef struct {
    uint8_t *bytes;
    size_t cap, len;
    bool failed;
} writer_t;

typedef struct {
    const uint8_t *bytes;
    size_t len, at;
    bool failed;
} reader_t;

static void put(writer_t *out, const void *bytes, size_t len)
{
    if (out->failed || len > out->cap - out->len) {
        out->failed = true;
        return;
    }
    memcpy(out->bytes + out->len, bytes, len);
    out->len += len;
}

static void put_uint(writer_t *out, uint64_t value, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint8_t byte = (uint8_t)(value >> (8 * i));
        put(out, &byte, 1);
    }
}

static void put_text(writer_t *out, const char *text)
{
    size_t len = strlen(text);
    put_uint(out, len, 1);
    put(out, text, len);
}

static void put_varint(writer_t *out, uint64_t value)
{
    for (; value > 0x7F; value >>= 7) {
        put_uint(out, 0x80u | (value & 0x7Fu), 1);
    }
    put_uint(out, value, 1);
}

/* Small magnitudes become small numbers: 0, -1, 1, -2, 2. */
static uint64_t zigzag(int64_t value)
{
    return value < 0 ? ~((uint64_t)value << 1) : (uint64_t)value << 1;
}

static int64_t unzigzag(uint64_t value)
{
    int64_t half = (int64_t)(value >> 1);
    return (value & 1) != 0 ? -half - 1 : half;
}

size_t record_encode(const sample_t *sample, uint8_t *out, size_t cap_bytes)
{
    if (!sample_is_valid(sample)) {
        return 0;
    }
    writer_t writer = {.bytes = out, .cap = cap_bytes};
    put_uint(&writer, RECORD_FORMAT, 1);
    put_uint(&writer, sample->moment.stamped ? FLAG_STAMPED : 0, 1);
    put_text(&writer, sample->device_code);
    if (sample->moment.stamped) {
        put_uint(&writer, (uint64_t)sample->moment.unix_s, 8);
    } else {
        put_uint(&writer, sample->moment.boot, 4);
        put_uint(&writer, sample->moment.since_boot_ms, 8);
    }
    put_uint(&writer, sample->count, 1);
    for (size_t i = 0; i < sample->count; i++) {
        const reading_t *reading = &sample->readings[i];
        put_text(&writer, reading->tipo);
        put_text(&writer, reading->unidade);
        put_uint(&writer, reading->valor.places, 1);
        put_varint(&writer, zigzag(reading->valor.digits));
    }
    return writer.failed ? 0 : writer.len;
}

static uint64_t take_uint(reader_t *in, size_t count)
{
    uint64_t value = 0;
    if (in->failed || count > in->len - in->at) {
        in->failed = true;
        return 0;
    }
    for (size_t i = 0; i < count; i++) {
        value |= (uint64_t)in->bytes[in->at++] << (8 * i);
    }
    return value;
}

static void take_text(reader_t *in, char *out, size_t max_bytes)
{
    size_t len = (size_t)take_uint(in, 1);
    if (in->failed || len > max_bytes || len > in->len - in->at || memchr(in->bytes + in->at, '\0', len) != NULL) {
        in->failed = true;
        len = 0;
    }
    memcpy(out, in->bytes + in->at, len);
    out[len] = '\0';
    in->at += len;
}

static uint64_t take_varint(reader_t *in)
{
    uint64_t value = 0;
    for (uint32_t i = 0; i < VARINT_MAX_BYTES; i++) {
        uint64_t byte = take_uint(in, 1);
        if (i == VARINT_MAX_BYTES - 1 && byte > 1) {
            break; /* a 65th bit, or one byte more */
        }
        value |= (byte & 0x7Fu) << (7 * i);
        if (byte < 0x80) {
            in->failed = in->failed || (byte == 0 && i > 0); /* zeros in front: a second form of the same number */
            return value;
        }
    }
    in->failed = true;
    return 0;
}

static void take_moment(reader_t *in, bool stamped, moment_t *out)
{
    *out = (moment_t){.stamped = stamped};
    if (stamped) {
        out->unix_s = (int64_t)take_uint(in, 8);
    } else {
        out->boot = (uint32_t)take_uint(in, 4);
        out->since_boot_ms = take_uint(in, 8);
    }
}

static bool take_reading(reader_t *in, sample_t *out)
{
    char tipo[TIPO_MAX_BYTES + 1];
    char unidade[UNIDADE_MAX_BYTES + 1];
    take_text(in, tipo, TIPO_MAX_BYTES);
    take_text(in, unidade, UNIDADE_MAX_BYTES);
    decimal_t valor = {.places = (uint8_t)take_uint(in, 1)};
    valor.digits = unzigzag(take_varint(in));
    return !in->failed && sample_add(out, tipo, unidade, valor);
}

bool record_decode(const uint8_t *bytes, size_t len_bytes, sample_t *out)
{
    reader_t in = {.bytes = bytes, .len = len_bytes};
    char device_code[CODE_MAX_CHARS + 1];
    uint64_t format = take_uint(&in, 1);
    uint64_t flags = take_uint(&in, 1);
    take_text(&in, device_code, CODE_MAX_CHARS);
    if (in.failed || format != RECORD_FORMAT || (flags & ~(uint64_t)FLAG_STAMPED) != 0 ||
        !sample_init(out, device_code)) {
        return false;
    }
    take_moment(&in, flags == FLAG_STAMPED, &out->moment);
    uint64_t count = take_uint(&in, 1);
    for (uint64_t i = 0; i < count; i++) {
        if (!take_reading(&in, out)) {
            return false;
        }
    }
    return !in.failed && in.at == in.len && sample_is_valid(out);
}
