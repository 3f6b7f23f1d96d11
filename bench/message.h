/* A telemetry PUBLISH of QoS 1, written once; for each message only codes, time, values and packet id are put in. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MESSAGE_MAX_BYTES 65536U /* of the whole packet; the platform takes 64 KiB of payload */
#define MESSAGE_MAX_READINGS 500U
#define CODE_MAX_BYTES 64U

/* Codes of one length: a text with a number of fixed width in it, such as BENCH-%04d. */
typedef struct {
    char prefix[CODE_MAX_BYTES];
    char suffix[CODE_MAX_BYTES];
    size_t digits;
} code_format_t;

typedef struct {
    uint8_t bytes[MESSAGE_MAX_BYTES];
    size_t count_bytes;
    size_t packet_id_at;
    size_t gateway_at[2]; /* the digits, in the topic and in the payload */
    size_t device_at[2];
    size_t timestamp_at;
    size_t values_at[MESSAGE_MAX_READINGS];
    size_t readings;
    size_t gateway_digits;
    size_t device_digits;
    int64_t formatted_s; /* the second that stands in the template, so that the calendar is asked once a second */
} message_t;

/* False after a sentence on standard error: a text that is no such format, or one too narrow for `count` numbers. */
bool code_format_read(code_format_t *format, const char *text, uint64_t count);
bool message_make(message_t *message, bool version_5, const code_format_t *gateway, const code_format_t *device,
                  size_t readings);

typedef struct {
    uint16_t packet_id;
    uint64_t gateway;
    uint64_t device;
    int64_t time_us; /* since 1970 */
    uint64_t value_thousandths; /* put in modulo what seven digits hold */
} message_numbers_t;

/* `out` has room for `count_bytes`. */
void message_write(message_t *message, uint8_t *out, const message_numbers_t *numbers);

/* RFC 3339 with Z and up to six digits of a second. */
bool time_read_us(const char *text, int64_t *time_us);
