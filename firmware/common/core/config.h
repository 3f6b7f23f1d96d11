/* The device's settings: one table of keys, what each accepts, and its default. Kept in a port_kv (NVS on the chip) as
 * texts without their NUL.
 *
 * A wrong value is refused with a sentence and the last good one stays. What is found damaged or out of range on the
 * medium counts as not set: the factory's value, then the default. A key of an older firmware that has another name now
 * is taken over once (config.c).
 *
 * A change that can cut the connection is on trial: the former value is kept in one value of the kv, written before the
 * new one, until a publish is acknowledged. A device that never got through has nothing to lose, and its changes are
 * not on trial: who sets it up at a desk without the network would find all gone after ten minutes.
 */
#pragma once

#include "../port/port_kv.h"
#include "bounds.h"
#include <stdbool.h>
#include <stdint.h>

typedef enum {
    CONFIG_BROKER_URI,      /* broker_uri: mqtts://host:port, or mqtt:// */
    CONFIG_WIFI_SSID,       /* wifi_ssid: 1 to 32 bytes (IEEE 802.11, 9.4.2.2) */
    CONFIG_WIFI_PASSWORD,   /* wifi_password: 8 to 63 printable characters or 64 hexadecimal digits, or none */
    CONFIG_APN,             /* apn: default claro.com.br */
    CONFIG_INTERVAL_S,      /* interval_s: 5 to 86400, default 60 */
    CONFIG_RESEND_WINDOW_S, /* resend_window_s: 30 to 600, default 90 */
    CONFIG_UPDATE_POLL_H,   /* update_poll_h: 1 to 168, default 6 */
    CONFIG_DEVICE_CODE,     /* device_code: of the board's own measurements, default D01 */
    CONFIG_OTA_URL, /* ota_url: https://host:port of the firmware server; default: the broker's host, port 8070 */
    CONFIG_KEYS
} config_key_t;

typedef enum { CONFIG_FROM_DEFAULT, CONFIG_FROM_FACTORY, CONFIG_FROM_USER } config_source_t;

typedef enum {
    CONFIG_TRIAL_NONE,
    CONFIG_TRIAL_RUNS,
    CONFIG_TRIAL_PASSED, /* what was on trial stays, and the medium has not taken that yet: said to it once more */
    CONFIG_TRIAL_UNDONE, /* the former values are in force, and the medium has not taken all of them yet: the same */
} config_trial_t;

#define CONFIG_OTA_PORT 8070
/* Power-ups within one trial. At the next one it is undone at once: a change that makes the device restart sooner than
 * a trial ends must not keep it in a loop. */
#define CONFIG_TRIAL_BOOTS_MAX 5

typedef struct {
    const port_kv_t *kv;
    const port_kv_t *factory; /* read-only values of the factory image, by the same names; NULL: none */
    struct {                  /* each as long as it may be, and its NUL */
        char broker_uri[CONFIG_VALUE_MAX_BYTES + 1];
        char wifi_ssid[32 + 1];
        char wifi_password[64 + 1];
        char apn[63 + 1]; /* 3GPP TS 23.003, 9.1 */
        char interval_s[5 + 1];
        char resend_window_s[3 + 1];
        char update_poll_h[3 + 1];
        char device_code[CODE_MAX_CHARS + 1];
        char ota_url[CONFIG_VALUE_MAX_BYTES + 1];
    } texts;
    config_source_t sources[CONFIG_KEYS];
    bool proven; /* this device once had a publish acknowledged: from then on there is a connection to lose */
    config_trial_t trial;
    bool undone_at_power_up; /* config_load() found a trial with all its power-ups, and has undone it */
    uint64_t trial_until_ms;
} config_t;

void config_load(config_t *config, const port_kv_t *kv, const port_kv_t *factory, uint64_t now_ms);
const char *config_text(const config_t *config, config_key_t key);
uint32_t config_number(const config_t *config, config_key_t key); /* of the numeric ones; 0 of others */
config_source_t config_source(const config_t *config, config_key_t key);
const char *config_name(config_key_t key);
const char *config_accepts(config_key_t key); /* "a whole number from 5 to 86400"; for help and sentences */
bool config_is_secret(config_key_t key);      /* show says that it is set, and not what to */
bool config_connects(config_key_t key);       /* a change of it can cut the connection: it is on trial */
int config_find(const char *name);            /* its config_key_t, or -1 */

/* Sets, keeps and, where it can cut the connection, puts on trial until config_confirm(). Empty: back to factory's or
 * default. Returns NULL, or a sentence on what is wrong and what is accepted; nothing changed then. The sentence is
 * static or in `sentence` (CONFIG_SENTENCE_MAX_BYTES hold each), and never has a secret in it. */
#define CONFIG_SENTENCE_MAX_BYTES 160
const char *config_set(config_t *config, config_key_t key, const char *value, uint64_t now_ms, char *sentence,
                       size_t cap_bytes);

/* Whether it is what the user has set; empty: that they have set nothing. */
bool config_is(const config_t *config, config_key_t key, const char *value);

/* A publish was acknowledged, over a connection that was made with the settings as they are: what is on trial stays. */
void config_confirm(config_t *config);
/* True when the trial was over without that, also over a reboot, and the former values are back: the caller reconnects.
 */
bool config_undo_due(config_t *config, uint64_t now_ms);
uint64_t config_next_due_ms(const config_t *config); /* UINT64_MAX: never */

/* Host and port of a URI as above; without a port it is 8883, 1883 or 443. An IPv6 address comes without its brackets.
 * False: not of that form. `tls` and `port` may be NULL. */
bool config_split_uri(const char *uri, bool *tls, char *host, size_t cap_bytes, uint16_t *port);
