#include "config_table.h"

#include <stdio.h>
#include <string.h>

#define TEXT_OF(number) #number
#define AS_TEXT(number) TEXT_OF(number)
#define FROM_TO(min, max) "a whole number from " AS_TEXT(min) " to " AS_TEXT(max)
#define PLACE(member) offsetof(config_t, texts.member), sizeof(((config_t *)0)->texts.member)

#define RESEND_WINDOW_MIN_S 30
#define UPDATE_POLL_MIN_H 1
#define UPDATE_POLL_MAX_H 168

static const char KEY_PROVEN[] = "config_proven";
static const char KEY_INTERVAL_OF_FORMAT_0[] = "intervalo"; /* seconds, as text, like interval_s since */

static const config_row_t ROWS[CONFIG_KEYS] = {
    [CONFIG_BROKER_URI] = {"broker_uri", VALUE_MQTT_URI, PLACE(broker_uri), 0, 0, "",
                           "mqtts://host:port, or mqtt:// where there is no TLS", false, true},
    [CONFIG_WIFI_SSID] = {"wifi_ssid", VALUE_SSID, PLACE(wifi_ssid), 0, 0, "",
                          "the name of a network, 1 to 32 bytes, without a space at either end", false, true},
    [CONFIG_WIFI_PASSWORD] = {"wifi_password", VALUE_PASSWORD, PLACE(wifi_password), 0, 0, "",
                              "8 to 63 printable ASCII characters without a space at either end, or 64 hexadecimal "
                              "digits",
                              true, true},
    [CONFIG_APN] = {"apn", VALUE_APN, PLACE(apn), 0, 0, "claro.com.br",
                    "an access point name: at most 63 letters, digits, dashes and dots", false, true},
    [CONFIG_INTERVAL_S] = {"interval_s", VALUE_NUMBER, PLACE(interval_s), INTERVAL_MIN_S, INTERVAL_MAX_S,
                           AS_TEXT(INTERVAL_DEFAULT_S), FROM_TO(INTERVAL_MIN_S, INTERVAL_MAX_S), false, false},
    [CONFIG_RESEND_WINDOW_S] = {"resend_window_s", VALUE_NUMBER, PLACE(resend_window_s), RESEND_WINDOW_MIN_S,
                                RESEND_WINDOW_MAX_S, AS_TEXT(RESEND_WINDOW_DEFAULT_S),
                                FROM_TO(RESEND_WINDOW_MIN_S, RESEND_WINDOW_MAX_S), false, false},
    [CONFIG_UPDATE_POLL_H] = {"update_poll_h", VALUE_NUMBER, PLACE(update_poll_h), UPDATE_POLL_MIN_H, UPDATE_POLL_MAX_H,
                              "6", FROM_TO(UPDATE_POLL_MIN_H, UPDATE_POLL_MAX_H), false, false},
    [CONFIG_DEVICE_CODE] = {"device_code", VALUE_CODE, PLACE(device_code), 0, 0, "D01",
                            "1 to 64 letters, digits, '.', '_' or '-', a letter or digit first, and not SYS", false,
                            false},
    [CONFIG_OTA_URL] = {"ota_url", VALUE_HTTPS_URI, PLACE(ota_url), 0, 0, "", "https://host:port, without a path",
                        false, false},
};

const config_row_t *config_row(config_key_t key)
{
    return &ROWS[key];
}

const char *config_name(config_key_t key)
{
    return ROWS[key].name;
}

const char *config_accepts(config_key_t key)
{
    return ROWS[key].accepts;
}

bool config_is_secret(config_key_t key)
{
    return ROWS[key].secret;
}

bool config_connects(config_key_t key)
{
    return ROWS[key].connects;
}

int config_find(const char *name)
{
    for (int key = 0; key < CONFIG_KEYS; key++) {
        if (strcmp(ROWS[key].name, name) == 0) {
            return key;
        }
    }
    return -1;
}

const char *config_text(const config_t *config, config_key_t key)
{
    return (const char *)config + ROWS[key].offset;
}

config_source_t config_source(const config_t *config, config_key_t key)
{
    return config->sources[key];
}

uint32_t config_number(const config_t *config, config_key_t key)
{
    uint32_t value = 0;
    if (ROWS[key].kind == VALUE_NUMBER) {
        for (const char *digit = config_text(config, key); *digit != '\0'; digit++) {
            value = value * 10 + (uint32_t)(*digit - '0');
        }
    }
    return value;
}

/* A valid value from a medium, with its NUL. False: it has none, or what it has is damaged or was valid once. */
static bool read_value(const port_kv_t *kv, const char *name, config_key_t key, char out[CONFIG_VALUE_MAX_BYTES + 1],
                       size_t *len_bytes)
{
    if (kv == NULL || kv->get(kv->ctx, name, out, CONFIG_VALUE_MAX_BYTES, len_bytes) != KV_OK) {
        return false;
    }
    out[*len_bytes] = '\0';
    return config_value_is_valid(&ROWS[key], out, *len_bytes);
}

static void put(config_t *config, config_key_t key, const char *value, size_t len_bytes, config_source_t source)
{
    char *text = (char *)config + ROWS[key].offset;
    memcpy(text, value, len_bytes);
    text[len_bytes] = '\0';
    config->sources[key] = source;
}

/* A password opens one network: the factory's goes with the factory's network, and another that somebody has set is
 * without one until they set that too. */
static bool factory_goes_with(const config_t *config, config_key_t key)
{
    const port_kv_t *factory = config->factory;
    char ssid[sizeof(config->texts.wifi_ssid)];
    size_t len = 0;
    return key != CONFIG_WIFI_PASSWORD ||
           (factory->get(factory->ctx, "wifi_ssid", ssid, sizeof(ssid) - 1, &len) == KV_OK &&
            len == strlen(config->texts.wifi_ssid) && memcmp(ssid, config->texts.wifi_ssid, len) == 0);
}

static void put_ota_url_beside_broker(config_t *config)
{
    char host[CONFIG_HOST_MAX_CHARS + 1];
    char url[sizeof("https://[]:65535") + CONFIG_HOST_MAX_CHARS]; /* brackets are IPv6's, which is short: it fits */
    if (!config_split_uri(config->texts.broker_uri, NULL, host, sizeof(host), NULL)) {
        put(config, CONFIG_OTA_URL, "", 0, CONFIG_FROM_DEFAULT);
        return;
    }
    bool ipv6 = strchr(host, ':') != NULL;
    (void)snprintf(url, sizeof(url), "https://%s%s%s:%d", ipv6 ? "[" : "", host, ipv6 ? "]" : "", CONFIG_OTA_PORT);
    put(config, CONFIG_OTA_URL, url, strlen(url), CONFIG_FROM_DEFAULT);
}

/* What is in force while the user has set nothing. */
static void put_given(config_t *config, config_key_t key)
{
    char value[CONFIG_VALUE_MAX_BYTES + 1];
    size_t len = 0;
    if (read_value(config->factory, ROWS[key].name, key, value, &len) && factory_goes_with(config, key)) {
        put(config, key, value, len, CONFIG_FROM_FACTORY);
    } else if (key == CONFIG_OTA_URL) {
        put_ota_url_beside_broker(config);
    } else {
        put(config, key, ROWS[key].preset, strlen(ROWS[key].preset), CONFIG_FROM_DEFAULT);
    }
}

void config_take(config_t *config, config_key_t key, const char *value, size_t len_bytes)
{
    /* These follow from others. */
    static const config_key_t DERIVED[] = {CONFIG_WIFI_PASSWORD, CONFIG_OTA_URL};

    if (value != NULL) {
        put(config, key, value, len_bytes, CONFIG_FROM_USER);
    } else {
        put_given(config, key);
    }
    for (size_t i = 0; i < sizeof(DERIVED) / sizeof(DERIVED[0]); i++) {
        if (config->sources[DERIVED[i]] != CONFIG_FROM_USER) {
            put_given(config, DERIVED[i]);
        }
    }
}

kv_status_t config_keep(const config_t *config, config_key_t key, const char *value, size_t len_bytes)
{
    const port_kv_t *kv = config->kv;
    return value != NULL ? kv->set(kv->ctx, ROWS[key].name, value, len_bytes) : kv->erase(kv->ctx, ROWS[key].name);
}

/* Once: the old key goes when the new one is there. While the medium has no room the value counts all the same. */
static void migrate(config_t *config)
{
    const port_kv_t *kv = config->kv;
    char value[CONFIG_VALUE_MAX_BYTES + 1];
    size_t len = 0;
    kv_status_t status = kv->get(kv->ctx, KEY_INTERVAL_OF_FORMAT_0, value, sizeof(value), &len);
    if (status == KV_MISSING || status == KV_FAILED) {
        return;
    }
    if (config->sources[CONFIG_INTERVAL_S] != CONFIG_FROM_USER &&
        read_value(kv, KEY_INTERVAL_OF_FORMAT_0, CONFIG_INTERVAL_S, value, &len)) {
        config_take(config, CONFIG_INTERVAL_S, value, len);
        if (config_keep(config, CONFIG_INTERVAL_S, value, len) != KV_OK) {
            return;
        }
    }
    (void)kv->erase(kv->ctx, KEY_INTERVAL_OF_FORMAT_0);
}

void config_load(config_t *config, const port_kv_t *kv, const port_kv_t *factory, uint64_t now_ms)
{
    memset(config, 0, sizeof(*config));
    config->kv = kv;
    config->factory = factory;
    for (int key = 0; key < CONFIG_KEYS; key++) {
        char value[CONFIG_VALUE_MAX_BYTES + 1];
        size_t len = 0;
        bool set = read_value(kv, ROWS[key].name, (config_key_t)key, value, &len);
        config_take(config, (config_key_t)key, set ? value : NULL, len);
    }
    migrate(config);
    char proven = 0;
    size_t len = 0;
    config->proven = kv->get(kv->ctx, KEY_PROVEN, &proven, sizeof(proven), &len) == KV_OK;
    config_trial_load(config, now_ms);
}

bool config_is(const config_t *config, config_key_t key, const char *value)
{
    bool set = config->sources[key] == CONFIG_FROM_USER;
    return set ? strcmp(value, config_text(config, key)) == 0 : value[0] == '\0';
}

static const char *storage_sentence(kv_status_t status)
{
    return status == KV_FULL ? "The storage is full; nothing was changed."
                             : "The storage can't be written; nothing was changed.";
}

/* The medium did not take the new value: what it has must be the former one, and no trial of nothing. */
static void withdraw(config_t *config, config_key_t key, bool trial_is_new)
{
    bool set = config->sources[key] == CONFIG_FROM_USER;
    const char *former = config_text(config, key);
    (void)config_keep(config, key, set ? former : NULL, strlen(former));
    if (trial_is_new) {
        config->trial = CONFIG_TRIAL_PASSED;
        (void)config_trial_settle(config);
    }
}

const char *config_set(config_t *config, config_key_t key, const char *value, uint64_t now_ms, char *sentence,
                       size_t cap_bytes)
{
    size_t len = strlen(value);
    if (len > 0 && !config_value_is_valid(&ROWS[key], value, len)) {
        (void)snprintf(sentence, cap_bytes, "%s takes %s.", ROWS[key].name, ROWS[key].accepts);
        return sentence;
    }
    if (config_is(config, key, value)) {
        if (len == 0) {
            (void)config_keep(config, key, NULL, 0); /* what is damaged there goes */
        }
        return NULL;
    }
    /* Within a trial all that connects is on it, also when the medium did not take that this device is proven. */
    bool on_trial = ROWS[key].connects && (config->proven || config->trial != CONFIG_TRIAL_NONE);
    bool trial_is_new = on_trial && config->trial != CONFIG_TRIAL_RUNS;
    if (on_trial) {
        if (!config_trial_settle(config)) {
            return storage_sentence(KV_FAILED);
        }
        kv_status_t begun = config_trial_begin(config, key);
        if (begun != KV_OK) {
            return storage_sentence(begun);
        }
    }
    kv_status_t kept = config_keep(config, key, len > 0 ? value : NULL, len);
    if (kept != KV_OK) {
        withdraw(config, key, trial_is_new);
        return storage_sentence(kept);
    }
    config_take(config, key, len > 0 ? value : NULL, len);
    if (on_trial) {
        config->trial = CONFIG_TRIAL_RUNS;
        config->trial_until_ms = now_ms + CONFIG_TRIAL_S * UINT64_C(1000);
    }
    return NULL;
}

void config_confirm(config_t *config)
{
    if (!config->proven) {
        config->proven = true; /* also when the medium does not take it: then it is said again at the next power-up */
        (void)config->kv->set(config->kv->ctx, KEY_PROVEN, "1", 1);
    }
    if (config->trial == CONFIG_TRIAL_RUNS) {
        config->trial = CONFIG_TRIAL_PASSED;
    }
    if (config->trial == CONFIG_TRIAL_PASSED) {
        (void)config_trial_settle(config);
    }
}
