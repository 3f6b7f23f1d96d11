#define _GNU_SOURCE
#include "message.h"

#include "mqtt_wire.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define PUBLISH_QOS_1 0x32
#define TIMESTAMP "2000-01-01T00:00:00.000000Z"
#define TIMESTAMP_SECONDS_BYTES 19U /* up to the point */
#define MICROSECOND_DIGITS 6U
#define US_PER_S 1000000
#define VALUE "1000.000"
/* The first digit is never 0 (JSON forbids it), so seven digits hold this many values. */
#define VALUE_LOWEST 1000000U
#define VALUE_COUNT 9000000U

static const struct {
    const char *tipo;
    const char *unidade;
} s_readings[] = {{"temperatura", "°C"}, {"umidade", "%"}, {"energia", "kWh"}, {"tensao", "V"}};

bool code_format_read(code_format_t *format, const char *text, uint64_t count)
{
    unsigned width = 0;
    int end = 0;
    int prefix_bytes = 0;
    uint64_t holds = 1;
    if (sscanf(text, "%*[A-Za-z0-9._-]%n", &prefix_bytes) < 0) {
        prefix_bytes = 0;
    }
    if (sscanf(text + prefix_bytes, "%%0%1ud%n", &width, &end) != 1 || end == 0 || width == 0 ||
        strlen(text) + width > CODE_MAX_BYTES || strchr(text + prefix_bytes + end, '%')) {
        fprintf(stderr, "%s is no format of codes; write one number of fixed width in it, such as BENCH-%%04d.\n",
                text);
        return false;
    }
    for (unsigned digit = 0; digit < width; digit++) {
        holds *= 10;
    }
    if (count > holds) {
        fprintf(stderr, "%s is too narrow for %" PRIu64 " codes.\n", text, count);
        return false;
    }
    memcpy(format->prefix, text, (size_t)prefix_bytes);
    format->prefix[prefix_bytes] = '\0';
    strcpy(format->suffix, text + prefix_bytes + end); /* both were measured above */
    format->digits = width;
    return true;
}

typedef struct {
    char *out;
    size_t capacity_bytes;
    size_t at;
    bool full;
} writer_t;

__attribute__((format(printf, 2, 3))) static void put(writer_t *writer, const char *format, ...)
{
    va_list arguments;
    size_t left_bytes = writer->capacity_bytes - writer->at;
    va_start(arguments, format);
    int bytes = vsnprintf(writer->out + writer->at, left_bytes, format, arguments);
    va_end(arguments);
    if (bytes < 0 || (size_t)bytes >= left_bytes) {
        writer->full = true;
    } else {
        writer->at += (size_t)bytes;
    }
}

/* The code with zeros for its number; returns where the digits begin. */
static size_t put_code(writer_t *writer, const code_format_t *format)
{
    put(writer, "%s", format->prefix);
    size_t digits_at = writer->at;
    put(writer, "%0*d%s", (int)format->digits, 0, format->suffix);
    return digits_at;
}

static size_t put_payload(message_t *message, writer_t *writer, const code_format_t *gateway,
                          const code_format_t *device, size_t readings)
{
    size_t from = writer->at;
    put(writer, "{\"gateway_code\":\"");
    message->gateway_at[1] = put_code(writer, gateway);
    put(writer, "\",\"device_code\":\"");
    message->device_at[1] = put_code(writer, device);
    put(writer, "\",\"timestamp\":\"");
    message->timestamp_at = writer->at;
    put(writer, TIMESTAMP "\",\"leituras\":[");
    for (size_t n = 0; n < readings; n++) {
        put(writer, n > 0 ? ",{\"tipo\":\"" : "{\"tipo\":\"");
        if (n < sizeof(s_readings) / sizeof(s_readings[0])) {
            put(writer, "%s\",\"unidade\":\"%s", s_readings[n].tipo, s_readings[n].unidade);
        } else {
            put(writer, "canal-%03zu\",\"unidade\":\"", n);
        }
        put(writer, "\",\"valor\":");
        message->values_at[n] = writer->at;
        put(writer, VALUE "}");
    }
    put(writer, "]}");
    return writer->at - from;
}

bool message_make(message_t *message, bool version_5, const code_format_t *gateway, const code_format_t *device,
                  size_t readings)
{
    static char s_body[MESSAGE_MAX_BYTES]; /* topic to payload: the header before it says how long it is */
    writer_t writer = {.out = s_body, .capacity_bytes = sizeof(s_body) - MQTT_MAX_HEADER_BYTES, .at = 2};
    put(&writer, "telemetry/");
    message->gateway_at[0] = put_code(&writer, gateway);
    put(&writer, "/");
    message->device_at[0] = put_code(&writer, device);
    put(&writer, "/data");
    mqtt_write_u16((uint8_t *)s_body, (uint16_t)(writer.at - 2));
    message->packet_id_at = writer.at;
    writer.at += 2;
    if (version_5) {
        s_body[writer.at++] = 0; /* no properties */
    }
    put_payload(message, &writer, gateway, device, readings);
    if (writer.full) {
        fprintf(stderr, "A message with %zu readings is larger than %u bytes.\n", readings, MESSAGE_MAX_BYTES);
        return false;
    }
    size_t header_bytes = mqtt_write_header(message->bytes, PUBLISH_QOS_1, writer.at);
    memcpy(message->bytes + header_bytes, s_body, writer.at);
    message->count_bytes = header_bytes + writer.at;
    message->packet_id_at += header_bytes;
    message->timestamp_at += header_bytes;
    for (size_t n = 0; n < 2; n++) {
        message->gateway_at[n] += header_bytes;
        message->device_at[n] += header_bytes;
    }
    for (size_t n = 0; n < readings; n++) {
        message->values_at[n] += header_bytes;
    }
    message->readings = readings;
    message->gateway_digits = gateway->digits;
    message->device_digits = device->digits;
    message->formatted_s = INT64_MIN;
    return true;
}

static void put_digits(uint8_t *out, size_t digits, uint64_t number)
{
    while (digits-- > 0) {
        out[digits] = (uint8_t)('0' + number % 10);
        number /= 10;
    }
}

/* Into the template, where it stays until the second is over. */
static void put_second(message_t *message, int64_t second)
{
    char text[sizeof(TIMESTAMP)];
    struct tm utc;
    time_t at = (time_t)second;
    if (gmtime_r(&at, &utc) && strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &utc) == TIMESTAMP_SECONDS_BYTES) {
        memcpy(message->bytes + message->timestamp_at, text, TIMESTAMP_SECONDS_BYTES);
    }
    message->formatted_s = second;
}

void message_write(message_t *message, uint8_t *out, const message_numbers_t *numbers)
{
    int64_t second = numbers->time_us / US_PER_S;
    if (second != message->formatted_s) {
        put_second(message, second);
    }
    memcpy(out, message->bytes, message->count_bytes);
    mqtt_write_u16(out + message->packet_id_at, numbers->packet_id);
    for (size_t n = 0; n < 2; n++) {
        put_digits(out + message->gateway_at[n], message->gateway_digits, numbers->gateway);
        put_digits(out + message->device_at[n], message->device_digits, numbers->device);
    }
    put_digits(out + message->timestamp_at + TIMESTAMP_SECONDS_BYTES + 1, MICROSECOND_DIGITS,
               (uint64_t)(numbers->time_us % US_PER_S));
    uint64_t value = VALUE_LOWEST + numbers->value_thousandths % VALUE_COUNT;
    for (size_t n = 0; n < message->readings; n++) {
        uint8_t *at = out + message->values_at[n];
        put_digits(at, 4, value / 1000);
        put_digits(at + 5, 3, value % 1000);
    }
}

bool time_read_us(const char *text, int64_t *time_us)
{
    struct tm utc = {0};
    int64_t fraction_us = 0;
    int64_t digit_us = US_PER_S / 10;
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &utc);
    if (rest && *rest == '.') {
        for (rest++; *rest >= '0' && *rest <= '9'; rest++, digit_us /= 10) {
            fraction_us += (*rest - '0') * digit_us;
        }
    }
    time_t second = rest && strcmp(rest, "Z") == 0 ? timegm(&utc) : -1;
    if (second < 0) {
        fprintf(stderr, "%s is no time; write it as 2026-02-18T15:30:00.000000Z, from 1970 on.\n", text);
        return false;
    }
    *time_us = (int64_t)second * US_PER_S + fraction_us;
    return true;
}
