#include "fake_kv.h"

#include <string.h>

/* Its place, or FAKE_KV_MAX_KEYS. */
static size_t place_of(const fake_kv_t *kv, const char *key)
{
    size_t place = 0;
    while (place < FAKE_KV_MAX_KEYS &&
           (kv->entries[place].key[0] == '\0' || strcmp(kv->entries[place].key, key) != 0)) {
        place++;
    }
    return place;
}

static fake_kv_entry_t *find(fake_kv_t *kv, const char *key)
{
    size_t place = place_of(kv, key);
    return place < FAKE_KV_MAX_KEYS ? &kv->entries[place] : NULL;
}

static bool key_is_valid(const char *key)
{
    size_t len = strlen(key);
    return len > 0 && len <= KV_KEY_MAX_CHARS;
}

static size_t cost_bytes(size_t len_bytes)
{
    size_t entries = 1 + (len_bytes + FAKE_KV_ENTRY_BYTES - 1) / FAKE_KV_ENTRY_BYTES;
    return entries * FAKE_KV_ENTRY_BYTES;
}

size_t fake_kv_used_bytes(const fake_kv_t *kv)
{
    size_t used = 0;
    for (size_t i = 0; i < FAKE_KV_MAX_KEYS; i++) {
        if (kv->entries[i].key[0] != '\0') {
            used += cost_bytes(kv->entries[i].len_bytes);
        }
    }
    return used;
}

typedef enum { WRITE_DONE, WRITE_NOT_DONE, WRITE_DONE_UNHEARD } write_t;

/* Counts a write and says what becomes of it. */
static write_t begin_write(fake_kv_t *kv)
{
    kv->writes++;
    if (kv->fail_from_write != 0 && kv->writes >= kv->fail_from_write) {
        return WRITE_NOT_DONE;
    }
    const bool of_all = fake_power_goes(kv->power);
    if (of_all || (kv->cut_at_write != 0 && kv->writes == kv->cut_at_write)) {
        kv->power_is_off = true;
        return kv->cut == FAKE_KV_CUT_KEEPS_NEW ? WRITE_DONE_UNHEARD : WRITE_NOT_DONE;
    }
    return WRITE_DONE;
}

static bool store(fake_kv_t *kv, const char *key, const void *value, size_t len_bytes)
{
    fake_kv_entry_t *entry = find(kv, key);
    for (size_t i = 0; entry == NULL && i < FAKE_KV_MAX_KEYS; i++) {
        if (kv->entries[i].key[0] == '\0') {
            entry = &kv->entries[i];
        }
    }
    if (entry == NULL || len_bytes > FAKE_KV_VALUE_MAX_BYTES || !key_is_valid(key)) {
        return false;
    }
    strcpy(entry->key, key);
    if (len_bytes > 0) {
        memcpy(entry->value, value, len_bytes);
    }
    entry->len_bytes = len_bytes;
    entry->damaged = false;
    return true;
}

static bool is_off(const fake_kv_t *kv)
{
    return kv->power_is_off || fake_power_is_off(kv->power);
}

static kv_status_t get(void *ctx, const char *key, void *out, size_t cap_bytes, size_t *len_bytes)
{
    fake_kv_t *kv = ctx;
    kv->gets++;
    if (is_off(kv) || kv->fail_gets) {
        return KV_FAILED;
    }
    const fake_kv_entry_t *entry = find(kv, key);
    if (entry == NULL) {
        return KV_MISSING;
    }
    if (entry->damaged) {
        return KV_FAILED;
    }
    *len_bytes = entry->len_bytes;
    if (entry->len_bytes > cap_bytes) {
        return KV_TOO_SMALL;
    }
    if (entry->len_bytes > 0) {
        memcpy(out, entry->value, entry->len_bytes);
    }
    return KV_OK;
}

static kv_status_t set(void *ctx, const char *key, const void *value, size_t len_bytes)
{
    fake_kv_t *kv = ctx;
    if (is_off(kv) || !key_is_valid(key)) {
        return KV_FAILED;
    }
    const fake_kv_entry_t *entry = find(kv, key);
    if (entry != NULL && !entry->damaged && entry->len_bytes == len_bytes &&
        (len_bytes == 0 || memcmp(entry->value, value, len_bytes) == 0)) {
        return KV_OK; /* NVS compares before it writes */
    }
    /* The old value counts too: NVS marks it erased only when the new one is written. */
    if (len_bytes > FAKE_KV_VALUE_MAX_BYTES || fake_kv_used_bytes(kv) + cost_bytes(len_bytes) > kv->room_bytes) {
        return KV_FULL;
    }
    write_t write = begin_write(kv);
    if (write == WRITE_NOT_DONE) {
        return KV_FAILED;
    }
    if (!store(kv, key, value, len_bytes)) {
        return KV_FULL;
    }
    return write == WRITE_DONE ? KV_OK : KV_FAILED;
}

static kv_status_t erase(void *ctx, const char *key)
{
    fake_kv_t *kv = ctx;
    if (is_off(kv)) {
        return KV_FAILED;
    }
    fake_kv_entry_t *entry = find(kv, key);
    if (entry == NULL) {
        return KV_OK;
    }
    write_t write = begin_write(kv);
    if (write == WRITE_NOT_DONE) {
        return KV_FAILED;
    }
    *entry = (fake_kv_entry_t){.key = ""};
    return write == WRITE_DONE ? KV_OK : KV_FAILED;
}

void fake_kv_init(fake_kv_t *kv)
{
    memset(kv, 0, sizeof(*kv));
    kv->port = (port_kv_t){.ctx = kv, .get = get, .set = set, .erase = erase};
    kv->room_bytes = SIZE_MAX / 2;
}

void fake_kv_power_on(fake_kv_t *kv)
{
    kv->power_is_off = false;
    kv->cut_at_write = 0;
    kv->fail_from_write = 0;
    kv->fail_gets = false;
}

void fake_kv_put(fake_kv_t *kv, const char *key, const void *value, size_t len_bytes)
{
    (void)store(kv, key, value, len_bytes);
}

void fake_kv_put_text(fake_kv_t *kv, const char *key, const char *text)
{
    fake_kv_put(kv, key, text, strlen(text));
}

void fake_kv_damage(fake_kv_t *kv, const char *key)
{
    fake_kv_entry_t *entry = find(kv, key);
    if (entry != NULL) {
        entry->damaged = true;
    }
}

bool fake_kv_has(const fake_kv_t *kv, const char *key)
{
    return place_of(kv, key) < FAKE_KV_MAX_KEYS;
}

bool fake_kv_is_text(const fake_kv_t *kv, const char *key, const char *text)
{
    size_t place = place_of(kv, key);
    if (place == FAKE_KV_MAX_KEYS || kv->entries[place].damaged) {
        return false;
    }
    const fake_kv_entry_t *entry = &kv->entries[place];
    return entry->len_bytes == strlen(text) && memcmp(entry->value, text, entry->len_bytes) == 0;
}
