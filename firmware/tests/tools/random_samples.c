/* random_samples COUNT SEED: so many random samples, as they go over the wire, and what was put into each.
 *
 * A line a sample, fields with tabs between: topic, payload, gateway, device, unix seconds, and then each reading as
 * tipo, unidade, digits, places. Names come as code points with commas between, so that nothing of our own that writes
 * text stands between the sample and who compares. tests/firmware/test_messages.py reads it.
 */
#include "core/record.h"
#include "core/telemetry.h"
#include "core/utf8.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define YEAR_1_UNIX_S (-INT64_C(62135596800))
#define SECONDS_OF_THE_CALENDAR UINT64_C(315537897600)

static uint64_t s_random;

/* xorshift64: Marsaglia, "Xorshift RNGs", Journal of Statistical Software 8, 2003. */
static uint64_t next_random(void)
{
    s_random ^= s_random << 13;
    s_random ^= s_random >> 7;
    s_random ^= s_random << 17;
    return s_random;
}

static uint32_t below(uint32_t bound)
{
    return (uint32_t)(next_random() >> 16) % bound;
}

static void make_code(char out[CODE_MAX_CHARS + 1])
{
    static const char CHARACTERS[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz._-";
    size_t len = 1 + below(below(4) == 0 ? CODE_MAX_CHARS : 8);
    for (size_t i = 0; i < len; i++) {
        out[i] = CHARACTERS[below(i == 0 ? 62 : 65)];
    }
    out[len] = '\0';
}

/* Any code points, most of them ASCII: quotes, backslashes and characters that sample_add() must refuse among them. */
static void make_name(char *out, size_t max_bytes)
{
    static const uint32_t BOUNDS[] = {0x80, 0x80, 0x80, 0x250, 0x3000, 0x110000};
    size_t wanted = below((uint32_t)max_bytes + 1);
    size_t len = 0;
    while (len + 4 <= wanted) {
        len += utf8_write(below(BOUNDS[below(6)]), out + len);
    }
    out[len] = '\0';
}

static decimal_t make_valor(void)
{
    uint64_t digits = next_random() >> below(64);
    return (decimal_t){.digits = (int64_t)digits, .places = (uint8_t)below(VALOR_MAX_PLACES + 1)};
}

static void make_sample(sample_t *out)
{
    static uint8_t record[RECORD_MAX_BYTES];
    char tipo[TIPO_MAX_BYTES + 1];
    char unidade[UNIDADE_MAX_BYTES + 1];
    do {
        char code[CODE_MAX_CHARS + 1];
        make_code(code);
        (void)sample_init(out, code);
        out->moment.stamped = true;
        out->moment.unix_s = below(2) == 0 ? (int64_t)below(UINT32_MAX)
                                           : YEAR_1_UNIX_S + (int64_t)(next_random() % SECONDS_OF_THE_CALENDAR);
        uint32_t count = 1 + below(SAMPLE_MAX_READINGS);
        for (uint32_t tries = 0; out->count < count && tries < 1000; tries++) {
            make_name(tipo, below(4) == 0 ? TIPO_MAX_BYTES : 12);
            make_name(unidade, below(4) == 0 ? UNIDADE_MAX_BYTES : 4);
            (void)sample_add(out, tipo, unidade, make_valor());
        }
    } while (record_encode(out, record, sizeof(record)) == 0); /* what does not fit the outbox is never sent */
}

static void print_name(const char *name)
{
    size_t len = strlen(name);
    uint32_t point = 0;
    (void)putchar('\t');
    for (size_t at = 0; at < len; at += utf8_next(name + at, len - at, &point)) {
        (void)utf8_next(name + at, len - at, &point);
        (void)printf(at > 0 ? ",%" PRIu32 : "%" PRIu32, point);
    }
}

static int print_sample(const char *gateway, const sample_t *sample)
{
    char topic[TOPIC_MAX_CHARS + 1];
    static char payload[MESSAGE_MAX_BYTES];
    if (telemetry_topic(gateway, sample->device_code, topic, sizeof(topic)) == 0 ||
        telemetry_payload(gateway, sample, payload, sizeof(payload)) == 0) {
        (void)fputs("a sample that the outbox takes makes no message\n", stderr);
        return EXIT_FAILURE;
    }
    (void)printf("%s\t%s\t%s\t%s\t%" PRId64, topic, payload, gateway, sample->device_code, sample->moment.unix_s);
    for (size_t i = 0; i < sample->count; i++) {
        const reading_t *reading = &sample->readings[i];
        print_name(reading->tipo);
        print_name(reading->unidade);
        (void)printf("\t%" PRId64 "\t%u", reading->valor.digits, reading->valor.places);
    }
    (void)putchar('\n');
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    static sample_t sample;
    if (argc != 3) {
        (void)fputs("random_samples COUNT SEED\n", stderr);
        return 2;
    }
    s_random = strtoull(argv[2], NULL, 10) * UINT64_C(0x9E3779B97F4A7C15) + 1; /* never 0, where xorshift stays */
    for (unsigned long left = strtoul(argv[1], NULL, 10); left > 0; left--) {
        char gateway[CODE_MAX_CHARS + 1];
        make_code(gateway);
        make_sample(&sample);
        if (print_sample(gateway, &sample) != EXIT_SUCCESS) {
            return EXIT_FAILURE;
        }
    }
    return EXIT_SUCCESS;
}
