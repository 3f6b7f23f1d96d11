/* A port_kv in memory for tests: bounded room, damage, failures, and power that goes at the n-th write.
 *
 * It costs what NVS does (ESP-IDF, "Non-Volatile Storage Library": entries of 32 bytes, the new value is written before
 * the old one is marked erased, setting what is there already writes nothing). After a cut every call answers KV_FAILED
 * until fake_kv_power_on(): the code under test can't go on as if nothing had been.
 */
#pragma once

#include "../port_kv.h"
#include <stdint.h>

#include "fake_power.h"

#define FAKE_KV_MAX_KEYS 48
#define FAKE_KV_VALUE_MAX_BYTES 4000 /* NVS's bound of a string */
#define FAKE_KV_ENTRY_BYTES 32

typedef enum {
    FAKE_KV_CUT_KEEPS_OLD, /* power went before the write was on the medium */
    FAKE_KV_CUT_KEEPS_NEW, /* it was, but the caller never heard of it */
} fake_kv_cut_t;

typedef struct {
    char key[KV_KEY_MAX_CHARS + 1]; /* empty: free */
    bool damaged;
    size_t len_bytes;
    uint8_t value[FAKE_KV_VALUE_MAX_BYTES];
} fake_kv_entry_t;

typedef struct {
    port_kv_t port; /* hand out &kv.port */
    fake_kv_entry_t entries[FAKE_KV_MAX_KEYS];
    size_t room_bytes; /* for values with their overhead; default: all that there is */
    uint32_t writes;   /* sets and erases that changed something, since init */
    uint32_t gets;
    uint32_t cut_at_write; /* power goes at this one, counted as `writes` is: 1 is the first. 0: never */
    fake_kv_cut_t cut;
    uint32_t fail_from_write; /* this write and all later ones answer KV_FAILED and change nothing. 0: never */
    bool fail_gets;           /* the medium can't be read */
    bool power_is_off;
    fake_power_t *power; /* with other media; NULL: its own */
} fake_kv_t;

void fake_kv_init(fake_kv_t *kv);
void fake_kv_power_on(fake_kv_t *kv); /* what is stored stays; cut and failures are over */

/* Straight to the medium: not counted, no cut, no bound of room. `text` is stored without its NUL. */
void fake_kv_put(fake_kv_t *kv, const char *key, const void *value, size_t len_bytes);
void fake_kv_put_text(fake_kv_t *kv, const char *key, const char *text);
void fake_kv_damage(fake_kv_t *kv, const char *key); /* get answers KV_FAILED until it is set anew */
bool fake_kv_has(const fake_kv_t *kv, const char *key);
bool fake_kv_is_text(const fake_kv_t *kv, const char *key, const char *text); /* it is there and says just this */
size_t fake_kv_used_bytes(const fake_kv_t *kv);
