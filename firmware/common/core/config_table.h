/* What the parts of the configuration share: the table of its keys, and each key's way between RAM and medium. Private
 * to config*.c. */
#pragma once

#include "config.h"
#include <stddef.h>

typedef enum {
    VALUE_MQTT_URI,
    VALUE_HTTPS_URI,
    VALUE_SSID,
    VALUE_PASSWORD,
    VALUE_APN,
    VALUE_NUMBER,
    VALUE_CODE
} value_t;

typedef struct {
    const char *name;
    value_t kind;
    uint16_t offset, size_bytes; /* of its text in a config_t, with the NUL */
    uint32_t min, max;           /* of numbers */
    const char *preset;          /* the default */
    const char *accepts;
    bool secret, connects;
} config_row_t;

const config_row_t *config_row(config_key_t key);

/* Whether it is a value of that key, and not the empty one. Any bytes, with a NUL behind them. */
bool config_value_is_valid(const config_row_t *row, const char *value, size_t len_bytes);

/* Puts in force what the user set, a valid value, or, for NULL, the factory's or the default; and what follows from it
 * for other keys. */
void config_take(config_t *config, config_key_t key, const char *value, size_t len_bytes);

/* On the medium; NULL: erased there. */
kv_status_t config_keep(const config_t *config, config_key_t key, const char *value, size_t len_bytes);

/* config_trial.c. The former value of `key` is on the medium as that of a trial; what is in force is not touched. */
kv_status_t config_trial_begin(config_t *config, config_key_t key);
/* What the medium did not take at the time is said to it once more. False: it still does not. */
bool config_trial_settle(config_t *config);
/* The trial that a power-up finds. */
void config_trial_load(config_t *config, uint64_t now_ms);
