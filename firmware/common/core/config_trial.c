/* The trial of changes that can cut the connection: on the medium it is one value, so that it is there whole or not at
 * all. Format (1), power-ups since it began (1), then each key with its former value: length of the name (1), name,
 * length of the value (2, little endian; 0: it was not set), value. Names and not numbers: another firmware may find
 * it. */
#include "config_table.h"

#include <string.h>

#define FORMAT 1
#define FORMAT_AT 0
#define BOOTS_AT 1
#define HEAD_BYTES 2
#define IS_OVER 0xFF /* for the count of power-ups: it is being undone, and whoever finds this goes on with that */
#define ENTRY_OVERHEAD_BYTES (1 + KV_KEY_MAX_CHARS + 2)
#define TRIAL_MAX_BYTES 560

_Static_assert(HEAD_BYTES + 4 * ENTRY_OVERHEAD_BYTES + CONFIG_VALUE_MAX_BYTES + 32 + 64 + 63 <= TRIAL_MAX_BYTES,
               "the four keys that connect, each at its longest");

static const char KEY_TRIAL[] = "config_trial";

typedef struct {
    uint8_t bytes[TRIAL_MAX_BYTES];
    size_t len;
} record_t;

typedef struct {
    const char *name, *value;
    size_t name_len, value_len;
} entry_t;

/* The entry at `*at`, which then is behind it. False: there is no whole one. */
static bool next_entry(const record_t *record, size_t *at, entry_t *out)
{
    const uint8_t *bytes = record->bytes + *at;
    size_t left = record->len - *at;
    if (left == 0 || left < 1u + bytes[0] + 2u) {
        return false;
    }
    out->name = (const char *)bytes + 1;
    out->name_len = bytes[0];
    bytes += 1 + out->name_len;
    out->value_len = bytes[0] | (size_t)bytes[1] << 8;
    out->value = (const char *)bytes + 2;
    size_t len = 1 + out->name_len + 2 + out->value_len;
    *at += len;
    return len <= left;
}

static bool is_whole(const record_t *record)
{
    size_t at = HEAD_BYTES;
    entry_t entry;
    if (record->len < HEAD_BYTES || record->bytes[FORMAT_AT] != FORMAT) {
        return false;
    }
    while (at < record->len) {
        if (!next_entry(record, &at, &entry)) {
            return false;
        }
    }
    return true;
}

static int key_of(const entry_t *entry)
{
    char name[KV_KEY_MAX_CHARS + 1] = "";
    if (entry->name_len <= KV_KEY_MAX_CHARS) {
        memcpy(name, entry->name, entry->name_len);
    }
    return config_find(name);
}

static bool has(const record_t *record, config_key_t key)
{
    size_t at = HEAD_BYTES;
    entry_t entry;
    while (next_entry(record, &at, &entry)) {
        if (key_of(&entry) == (int)key) {
            return true;
        }
    }
    return false;
}

/* False: no room, as when another firmware has keys of its own in it. */
static bool append_entry(record_t *record, const char *name, const char *value)
{
    size_t name_len = strlen(name);
    size_t value_len = strlen(value);
    size_t len = 1 + name_len + 2 + value_len;
    if (len > sizeof(record->bytes) - record->len) {
        return false;
    }
    uint8_t *at = record->bytes + record->len;
    *at++ = (uint8_t)name_len;
    memcpy(at, name, name_len);
    at += name_len;
    *at++ = (uint8_t)value_len;
    *at++ = (uint8_t)(value_len >> 8);
    memcpy(at, value, value_len);
    record->len += len;
    return true;
}

/* False: there is none, or it can't be read, or is damaged. */
static bool find(const config_t *config, record_t *out)
{
    return config->kv->get(config->kv->ctx, KEY_TRIAL, out->bytes, sizeof(out->bytes), &out->len) == KV_OK &&
           is_whole(out);
}

static kv_status_t write(const config_t *config, const record_t *record)
{
    return config->kv->set(config->kv->ctx, KEY_TRIAL, record->bytes, record->len);
}

static bool forget(config_t *config)
{
    if (config->kv->erase(config->kv->ctx, KEY_TRIAL) != KV_OK) {
        return false;
    }
    config->trial = CONFIG_TRIAL_NONE;
    return true;
}

kv_status_t config_trial_begin(config_t *config, config_key_t key)
{
    record_t record = {.bytes = {FORMAT}, .len = HEAD_BYTES};
    bool set = config->sources[key] == CONFIG_FROM_USER;
    /* Several changes within one trial go back to what was before the first of them. */
    if (config->trial == CONFIG_TRIAL_RUNS && !find(config, &record)) {
        return KV_FAILED;
    }
    record.bytes[BOOTS_AT] = 0;
    if (!has(&record, key) && !append_entry(&record, config_name(key), set ? config_text(config, key) : "")) {
        return KV_FULL;
    }
    return write(config, &record);
}

/* The former values on the medium, and then the end of the trial there. */
static bool write_back(config_t *config, const record_t *record)
{
    size_t at = HEAD_BYTES;
    entry_t entry;
    bool all = true;
    while (next_entry(record, &at, &entry)) {
        int key = key_of(&entry);
        const char *former = entry.value_len > 0 ? entry.value : NULL;
        if (key >= 0 && config_keep(config, (config_key_t)key, former, entry.value_len) != KV_OK) {
            all = false;
        }
    }
    return all && forget(config);
}

/* The former values in force. True: some are others than those that were. */
static bool take_back(config_t *config, const record_t *record)
{
    size_t at = HEAD_BYTES;
    entry_t entry;
    bool changed = false;
    while (next_entry(record, &at, &entry)) {
        char former[CONFIG_VALUE_MAX_BYTES + 1];
        int key = key_of(&entry);
        if (key < 0) {
            continue; /* of another firmware */
        }
        size_t len = entry.value_len < sizeof(former) ? entry.value_len : 0;
        memcpy(former, entry.value, len);
        former[len] = '\0';
        bool set = config_value_is_valid(config_row((config_key_t)key), former, len);
        changed = !config_is(config, (config_key_t)key, set ? former : "") || changed;
        config_take(config, (config_key_t)key, set ? former : NULL, len);
    }
    return changed;
}

static bool undo(config_t *config, record_t *record, uint64_t now_ms)
{
    /* Power may go between two former values: whoever finds the record marked goes on at once. */
    record->bytes[BOOTS_AT] = IS_OVER;
    (void)write(config, record);
    bool changed = take_back(config, record);
    config->trial = CONFIG_TRIAL_UNDONE;
    config->trial_until_ms = now_ms + CONFIG_TRIAL_S * UINT64_C(1000);
    (void)write_back(config, record);
    return changed;
}

bool config_trial_settle(config_t *config)
{
    record_t record;
    switch (config->trial) {
    case CONFIG_TRIAL_NONE:
    case CONFIG_TRIAL_RUNS:
        return true;
    case CONFIG_TRIAL_PASSED:
        return forget(config);
    case CONFIG_TRIAL_UNDONE:
        return find(config, &record) && write_back(config, &record);
    }
    return false;
}

void config_trial_load(config_t *config, uint64_t now_ms)
{
    record_t record;
    kv_status_t status = config->kv->get(config->kv->ctx, KEY_TRIAL, record.bytes, sizeof(record.bytes), &record.len);
    if (status == KV_MISSING || status == KV_FAILED) {
        return;
    }
    if (status != KV_OK || !is_whole(&record)) {
        (void)forget(config); /* the former values are not known */
        return;
    }
    if (record.bytes[BOOTS_AT] >= CONFIG_TRIAL_BOOTS_MAX) {
        config->undone_at_power_up = undo(config, &record, now_ms);
        return;
    }
    record.bytes[BOOTS_AT]++;
    (void)write(config, &record);
    config->trial = CONFIG_TRIAL_RUNS;
    config->trial_until_ms = now_ms + CONFIG_TRIAL_S * UINT64_C(1000);
}

bool config_undo_due(config_t *config, uint64_t now_ms)
{
    record_t record;
    if (now_ms < config_next_due_ms(config)) {
        return false;
    }
    config->trial_until_ms = now_ms + CONFIG_TRIAL_S * UINT64_C(1000);
    if (config->trial == CONFIG_TRIAL_UNDONE) {
        (void)config_trial_settle(config);
        return false;
    }
    return find(config, &record) && undo(config, &record, now_ms);
}

uint64_t config_next_due_ms(const config_t *config)
{
    bool waits = config->trial == CONFIG_TRIAL_RUNS || config->trial == CONFIG_TRIAL_UNDONE;
    return waits ? config->trial_until_ms : UINT64_MAX;
}
