/* What a board measured at one moment: the readings of one device. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bounds.h"
#include "code.h"
#include "decimal.h"

typedef struct {
    char tipo[TIPO_MAX_BYTES + 1];
    char unidade[UNIDADE_MAX_BYTES + 1]; /* UTF-8; empty when it has none */
    decimal_t valor;
} reading_t;

/* When. A moment before the clock was set is a boot and the milliseconds since that boot; it is stamped afterwards. */
typedef struct {
    bool stamped;
    int64_t unix_s; /* when stamped */
    uint32_t boot;  /* otherwise: which boot, counted over the device's life */
    uint64_t since_boot_ms;
} moment_t;

typedef struct {
    char device_code[CODE_MAX_CHARS + 1];
    moment_t moment;
    uint8_t count;
    reading_t readings[SAMPLE_MAX_READINGS];
} sample_t;

/* Empties it, for a device; its moment is none yet. False: that is no code. */
bool sample_init(sample_t *sample, const char *device_code);

/* Appends a reading. False, and nothing appended: no room, or the server would refuse the whole message for it: a text
 * is empty (tipo), too long, no UTF-8 or has control or format characters, the value has too many places, or this tipo
 * in this unidade is in the sample already. */
bool sample_add(sample_t *sample, const char *tipo, const char *unidade, decimal_t valor);

/* Whether the server would take it: texts and values as above, at least one reading, a time of the years 1 to 9999 when
 * stamped. For samples whose fields were filled by hand: reads any struct safely. */
bool sample_is_valid(const sample_t *sample);
