/* The vectors under testdata/wire, which the platform's tests read too: our encoder makes what is in them byte for
 * byte, our parser agrees with the platform's on what is JSON, and our samples take nothing that the platform refuses.
 */
#include "core/json_in.h"
#include "core/telemetry.h"
#include "core/wall_time.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dirent.h>

#include <cjson/cJSON.h>
#include <cmocka.h>

#define PAYLOAD_MAX_BYTES 70000
#define TOKENS 16384
#define TEXT_BYTES 1024

static const char *const FILES[] = {"calendar", "codes",   "firmware", "http",      "json",  "leituras",
                                    "order",    "reading", "size",     "timestamp", "topic", "valor"};
#define FILE_COUNT (sizeof(FILES) / sizeof(FILES[0]))

typedef struct {
    const char *file, *name, *topic, *refused;
    const cJSON *accepted;
    const char *payload;
    size_t len;
} case_t;

static char s_payload[PAYLOAD_MAX_BYTES];
static json_token_t s_tokens[TOKENS];
static size_t s_count;
static size_t s_cases;

static cJSON *read_file(const char *name)
{
    static char text[1 << 17];
    char path[512];
    (void)snprintf(path, sizeof(path), WIRE_VECTORS "/%s.json", name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    size_t len = fread(text, 1, sizeof(text), file);
    (void)fclose(file);
    assert_in_range(len, 1, sizeof(text) - 1);
    cJSON *root = cJSON_ParseWithLength(text, len);
    assert_non_null(root);
    return root;
}

static const char *text_of(const cJSON *object, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
    return cJSON_IsString(item) ? item->valuestring : NULL;
}

static size_t append(size_t len, const char *bytes, size_t count)
{
    assert_in_range(count, 0, PAYLOAD_MAX_BYTES - len);
    memcpy(s_payload + len, bytes, count);
    return len + count;
}

static size_t append_hex(size_t len, const char *hex)
{
    for (; *hex != '\0'; hex += 2) {
        char pair[] = {hex[0], hex[1], '\0'};
        char byte = (char)strtoul(pair, NULL, 16);
        len = append(len, &byte, 1);
    }
    return len;
}

static size_t join(const cJSON *parts)
{
    size_t len = 0;
    const cJSON *part;
    cJSON_ArrayForEach(part, parts)
    {
        const cJSON *times = cJSON_GetObjectItemCaseSensitive(part, "times");
        const char *text = text_of(part, "text");
        for (int left = times != NULL ? times->valueint : 1; left > 0; left--) {
            len = text != NULL ? append(len, text, strlen(text)) : append_hex(len, text_of(part, "hex"));
        }
    }
    return len;
}

static void for_each_case(void (*look)(const case_t *each))
{
    s_cases = 0;
    for (size_t i = 0; i < FILE_COUNT; i++) {
        cJSON *root = read_file(FILES[i]);
        const cJSON *item;
        cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(root, "cases"))
        {
            case_t each = {
                .file = FILES[i],
                .name = text_of(item, "case"),
                .topic = text_of(item, "topic"),
                .refused = text_of(item, "refused"),
                .accepted = cJSON_GetObjectItemCaseSensitive(item, "accepted"),
                .payload = s_payload,
                .len = join(cJSON_GetObjectItemCaseSensitive(item, "payload")),
            };
            look(&each);
        }
        cJSON_Delete(root);
    }
    assert_in_range(s_cases, 1, 100000);
}

static void expect(bool true_of_it, const case_t *each, const char *what)
{
    s_cases++;
    if (!true_of_it) {
        fail_msg("%s.json: %s: %s", each->file, each->name, what);
    }
}

static bool is_refused_for(const case_t *each, const char *reason)
{
    return each->refused != NULL && strcmp(each->refused, reason) == 0;
}

static json_status_t parse(const case_t *each)
{
    return json_in_parse(each->payload, each->len, s_tokens, TOKENS, &s_count);
}

static const json_token_t *get(const case_t *each, const json_token_t *object, const char *key)
{
    return json_in_get(each->payload, s_tokens, object, key);
}

static bool get_text(const case_t *each, const json_token_t *object, const char *key, char out[TEXT_BYTES])
{
    const json_token_t *token = get(each, object, key);
    return token != NULL && json_in_string(each->payload, token, out, TEXT_BYTES);
}

/* Missing or null is no unit. */
static bool get_unidade(const case_t *each, const json_token_t *entry, char out[TEXT_BYTES])
{
    const json_token_t *token = get(each, entry, "unidade");
    out[0] = '\0';
    return token == NULL || token->type == JSON_NULL || json_in_string(each->payload, token, out, TEXT_BYTES);
}

/* Microseconds, as the vectors have them, are cut: a device has none. */
static int64_t unix_s_of(const char *time)
{
    int year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0;
    assert_int_equal(sscanf(time, "%d-%d-%dT%d:%d:%d", &year, &month, &day, &hour, &minute, &second), 6);
    /* Julian day number: Fliegel and Van Flandern, Communications of the ACM 11, 1968. */
    int64_t a = (month - 14) / 12;
    int64_t days = (1461 * (year + 4800 + a)) / 4 + (367 * (month - 2 - 12 * a)) / 12 -
                   (3 * ((year + 4900 + a) / 100)) / 4 + day - 32075 - 2440588;
    return ((days * 24 + hour) * 60 + minute) * 60 + second;
}

static void no_file_of_the_vectors_is_left_out(void **state)
{
    (void)state;
    DIR *folder = opendir(WIRE_VECTORS);
    assert_non_null(folder);
    size_t found = 0;
    for (const struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        const char *end = strrchr(entry->d_name, '.');
        found += end != NULL && strcmp(end, ".json") == 0;
    }
    (void)closedir(folder);
    assert_int_equal(found, FILE_COUNT);
}

/* ---- Encoding */

static uint8_t places_of(const case_t *each, const json_token_t *valor)
{
    const char *from = each->payload + valor->start;
    size_t len = (size_t)valor->end - valor->start;
    const char *point = memchr(from, '.', len);
    return point != NULL ? (uint8_t)(from + len - point - 1) : 0;
}

static void fill(const case_t *each, sample_t *out)
{
    assert_true(sample_init(out, text_of(each->accepted, "device_code")));
    out->moment = (moment_t){.stamped = true, .unix_s = unix_s_of(text_of(each->accepted, "time"))};
    assert_int_equal(parse(each), JSON_OK);
    const json_token_t *entry = get(each, s_tokens, "leituras") + 1;
    const cJSON *reading;
    cJSON_ArrayForEach(reading, cJSON_GetObjectItemCaseSensitive(each->accepted, "readings"))
    {
        decimal_t valor;
        uint8_t places = places_of(each, get(each, entry, "valor"));
        assert_true(decimal_from_double(cJSON_GetArrayItem(reading, 2)->valuedouble, places, &valor));
        assert_true(sample_add(out, cJSON_GetArrayItem(reading, 0)->valuestring,
                               cJSON_GetArrayItem(reading, 1)->valuestring, valor));
        entry = s_tokens + entry->next;
    }
}

static void look_at_encoding(const case_t *each)
{
    static char text[MESSAGE_MAX_BYTES];
    static sample_t sample;
    if (strcmp(each->file, "firmware") != 0) {
        return;
    }
    fill(each, &sample);
    size_t len = telemetry_payload(text_of(each->accepted, "gateway_code"), &sample, text, sizeof(text));
    expect(len == each->len && memcmp(text, each->payload, len) == 0, each, text);
    assert_true(telemetry_topic(text_of(each->accepted, "gateway_code"), sample.device_code, text, sizeof(text)) > 0);
    expect(strcmp(text, each->topic) == 0, each, text);
}

static void the_encoder_makes_the_payloads_byte_for_byte(void **state)
{
    (void)state;
    for_each_case(look_at_encoding);
    assert_int_equal(s_cases, 2 * 4);
}

/* ---- Reading */

/* What the contract accepts and our bounds do not: commands are all that a device reads, and they are flat and small.
 */
static json_status_t tighter_bound_of(const case_t *each)
{
    static const char *const DEEPER_THAN_16[] = {"32 levels", "32 levels of objects", "32 levels inside an entry"};
    for (size_t i = 0; i < sizeof(DEEPER_THAN_16) / sizeof(DEEPER_THAN_16[0]); i++) {
        if (strcmp(each->file, "json") == 0 && strcmp(each->name, DEEPER_THAN_16[i]) == 0) {
            return JSON_TOO_DEEP;
        }
    }
    return each->len > UINT16_MAX ? JSON_TOO_LONG : JSON_OK; /* the contract lets 65,536 bytes through */
}

static bool same_number(double a, double b)
{
    return memcmp(&a, &b, sizeof(a)) == 0 || (!(a > 0) && !(a < 0) && !(b > 0) && !(b < 0));
}

static void look_at_reading(const case_t *each, const json_token_t *entry, const cJSON *wanted)
{
    char text[TEXT_BYTES];
    expect(get_text(each, entry, "tipo", text) && strcmp(text, cJSON_GetArrayItem(wanted, 0)->valuestring) == 0, each,
           "another tipo");
    expect(get_unidade(each, entry, text) && strcmp(text, cJSON_GetArrayItem(wanted, 1)->valuestring) == 0, each,
           "another unidade");
    const json_token_t *valor = get(each, entry, "valor");
    expect(valor != NULL && valor->type == JSON_NUMBER, each, "no valor");
    /* The byte behind a number is a comma, a space or a bracket: strtod() ends there. */
    expect(same_number(strtod(each->payload + valor->start, NULL), cJSON_GetArrayItem(wanted, 2)->valuedouble), each,
           "another valor");
}

static void look_at_accepted(const case_t *each)
{
    char text[TEXT_BYTES];
    if (each->accepted == NULL) {
        return;
    }
    json_status_t status = parse(each);
    expect(status == tighter_bound_of(each), each, "what is accepted is read, but for our own bounds");
    if (status != JSON_OK) {
        return;
    }
    expect(get_text(each, s_tokens, "gateway_code", text) && strcmp(text, text_of(each->accepted, "gateway_code")) == 0,
           each, "another gateway_code");
    expect(get_text(each, s_tokens, "device_code", text) && strcmp(text, text_of(each->accepted, "device_code")) == 0,
           each, "another device_code");
    const json_token_t *leituras = get(each, s_tokens, "leituras");
    expect(leituras != NULL && leituras->type == JSON_ARRAY, each, "no leituras");
    const json_token_t *entry = leituras + 1;
    const cJSON *wanted;
    cJSON_ArrayForEach(wanted, cJSON_GetObjectItemCaseSensitive(each->accepted, "readings"))
    {
        expect(entry < s_tokens + leituras->next, each, "fewer readings");
        look_at_reading(each, entry, wanted);
        entry = s_tokens + entry->next;
    }
    expect(entry == s_tokens + leituras->next, each, "more readings");
}

static void what_is_accepted_is_read_with_the_same_readings(void **state)
{
    (void)state;
    for_each_case(look_at_accepted);
}

static void look_at_what_is_no_json(const case_t *each)
{
    if (is_refused_for(each, "not_json")) {
        expect(parse(each) != JSON_OK || s_tokens[0].type != JSON_OBJECT, each, "it was read as an object");
    }
}

static void what_is_no_json_is_refused(void **state)
{
    (void)state;
    for_each_case(look_at_what_is_no_json);
}

static void look_at_what_is_json_and_wrong(const case_t *each)
{
    /* Judged before the payload is read. */
    bool unread = is_refused_for(each, "bad_topic") || is_refused_for(each, "too_large");
    if (each->refused != NULL && !unread && !is_refused_for(each, "not_json") && each->len <= UINT16_MAX) {
        expect(parse(each) == JSON_OK && s_tokens[0].type == JSON_OBJECT, each, "it was not read");
    }
}

static void what_is_refused_for_another_reason_is_json(void **state)
{
    (void)state;
    for_each_case(look_at_what_is_json_and_wrong);
}

/* ---- Codes and times */

static bool is_topic(const char *topic)
{
    static const char HEAD[] = "telemetry/";
    if (strncmp(topic, HEAD, sizeof(HEAD) - 1) != 0) {
        return false;
    }
    const char *gateway = topic + sizeof(HEAD) - 1;
    size_t gateway_len = strcspn(gateway, "/");
    if (gateway[gateway_len] == '\0') {
        return false;
    }
    const char *device = gateway + gateway_len + 1;
    size_t device_len = strcspn(device, "/");
    return code_is_valid(gateway, gateway_len) && code_is_valid(device, device_len) &&
           strcmp(device + device_len, "/data") == 0;
}

static void look_at_topic(const case_t *each)
{
    if (each->topic != NULL) {
        expect(is_topic(each->topic) != is_refused_for(each, "bad_topic"), each, "another verdict on its codes");
    }
}

static void codes_in_topics_are_codes_to_us_too(void **state)
{
    (void)state;
    for_each_case(look_at_topic);
}

/* Over HTTP and in codes.json the codes are in the payload. */
static void look_at_codes(const case_t *each)
{
    char gateway[TEXT_BYTES];
    char device[TEXT_BYTES];
    bool of_codes = strcmp(each->file, "codes") == 0 || strcmp(each->file, "http") == 0;
    if (!of_codes || parse(each) != JSON_OK || !get_text(each, s_tokens, "gateway_code", gateway) ||
        !get_text(each, s_tokens, "device_code", device)) {
        return;
    }
    bool both = code_is_valid(gateway, strlen(gateway)) && code_is_valid(device, strlen(device));
    if (each->accepted != NULL) {
        expect(both, each, "a code that is accepted");
    } else if (is_refused_for(each, "bad_topic")) {
        expect(!both, each, "a code that is refused");
    }
}

static void codes_in_payloads_are_codes_to_us_too(void **state)
{
    (void)state;
    for_each_case(look_at_codes);
}

static void look_at_time(const case_t *each)
{
    char text[WALL_TIME_CHARS + 1];
    if (each->accepted == NULL) {
        return;
    }
    const char *time = text_of(each->accepted, "time");
    expect(wall_time_print(unix_s_of(time), text) == WALL_TIME_CHARS && strncmp(text, time, WALL_TIME_CHARS - 1) == 0 &&
               text[WALL_TIME_CHARS - 1] == 'Z',
           each, text);
}

static void times_are_printed_as_the_vectors_have_them(void **state)
{
    (void)state;
    for_each_case(look_at_time);
}

/* ---- Samples */

/* All of leituras into a sample; false: the sample did not take one of them. */
static bool take_readings(const case_t *each)
{
    static sample_t sample;
    char tipo[TEXT_BYTES];
    char unidade[TEXT_BYTES];
    const json_token_t *leituras = get(each, s_tokens, "leituras");
    assert_true(sample_init(&sample, "D01"));
    if (leituras == NULL || leituras->type != JSON_ARRAY) {
        return false;
    }
    for (const json_token_t *at = leituras + 1; at < s_tokens + leituras->next; at = s_tokens + at->next) {
        if (!get_text(each, at, "tipo", tipo) || !get_unidade(each, at, unidade) ||
            !sample_add(&sample, tipo, unidade, (decimal_t){0, 0})) {
            return false;
        }
    }
    return sample.count > 0;
}

static void look_at_refused_readings(const case_t *each)
{
    if (is_refused_for(each, "bad_reading") || is_refused_for(each, "repeated_reading") ||
        is_refused_for(each, "no_readings") || is_refused_for(each, "too_many_readings")) {
        expect(parse(each) == JSON_OK && !take_readings(each), each, "a sample took it");
    }
}

static void readings_that_are_refused_get_into_no_sample(void **state)
{
    (void)state;
    for_each_case(look_at_refused_readings);
}

/* Ours are tighter: lengths are bytes and not code points, and there are 24 readings and not 500. */
static void look_at_accepted_readings(const case_t *each)
{
    const cJSON *readings =
        each->accepted != NULL ? cJSON_GetObjectItemCaseSensitive(each->accepted, "readings") : NULL;
    bool fits = readings != NULL && cJSON_GetArraySize(readings) <= SAMPLE_MAX_READINGS;
    const cJSON *reading;
    cJSON_ArrayForEach(reading, readings)
    {
        fits = fits && strlen(cJSON_GetArrayItem(reading, 0)->valuestring) <= TIPO_MAX_BYTES &&
               strlen(cJSON_GetArrayItem(reading, 1)->valuestring) <= UNIDADE_MAX_BYTES;
    }
    if (fits && parse(each) == JSON_OK) {
        expect(take_readings(each), each, "no sample took it");
    }
}

static void readings_that_are_accepted_fit_a_sample_within_our_bounds(void **state)
{
    (void)state;
    for_each_case(look_at_accepted_readings);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_file_of_the_vectors_is_left_out),
        cmocka_unit_test(the_encoder_makes_the_payloads_byte_for_byte),
        cmocka_unit_test(what_is_accepted_is_read_with_the_same_readings),
        cmocka_unit_test(what_is_no_json_is_refused),
        cmocka_unit_test(what_is_refused_for_another_reason_is_json),
        cmocka_unit_test(codes_in_topics_are_codes_to_us_too),
        cmocka_unit_test(codes_in_payloads_are_codes_to_us_too),
        cmocka_unit_test(times_are_printed_as_the_vectors_have_them),
        cmocka_unit_test(readings_that_are_refused_get_into_no_sample),
        cmocka_unit_test(readings_that_are_accepted_fit_a_sample_within_our_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
