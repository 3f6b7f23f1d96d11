#include "chip_identity.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chip_clock.h"
#include "chip_events.h"
#include "chip_log.h"
#include "chip_renewal.h"
#include "chip_tls.h"
#include "freertos/FreeRTOS.h"
#include "freertos/semphr.h"
#include "freertos/task.h"
#include "mbedtls/platform_util.h"

#define RENEWED_KEY                                                                                                    \
    "renewed"            /* key PEM, a NUL, certificate PEM: both in one value, so that a power cut splits no pair */
#define STACK_BYTES 8192 /* a handshake, and a key before it */
#define PRIORITY 4
#define POST_AGAIN_MS 100

static const char *TAG = "identity";

static const port_kv_t *s_kv, *s_factory;
static const char *s_gateway_code;

/* What is in use. It is written at power-up and by chip_identity_pair(), and copied by a renewal or a request that
 * begins. */
static SemaphoreHandle_t s_lock;
static StaticSemaphore_t s_lock_memory;
static chip_pair_t s_pair;
static pair_times_t s_times[2]; /* by pair_t */
static bool s_usable;
static atomic_int s_wanted;    /* a pair_t: of those that are there */
static atomic_bool s_to_load;  /* another one is to be taken into use */
static atomic_bool s_renewing; /* its task runs */

static bool read_text(const port_kv_t *kv, const char *key, char *out, size_t cap_bytes)
{
    size_t len = 0;
    if (kv->get(kv->ctx, key, out, cap_bytes - 1, &len) != KV_OK || len == 0) {
        out[0] = '\0';
        return false;
    }
    out[len] = '\0';
    return true;
}

static pair_times_t times_of(const pair_validity_t *validity)
{
    return (pair_times_t){validity->not_before_unix_s, validity->not_after_unix_s};
}

static bool load_factory_pair(void)
{
    pair_validity_t validity;
    const bool there = read_text(s_factory, "device_key", s_pair.key, sizeof(s_pair.key)) &&
                       read_text(s_factory, "device_cert", s_pair.certificate, sizeof(s_pair.certificate));
    if (!there || !mbedtls_pair_read(s_pair.key, s_pair.certificate, &validity)) {
        chip_log.write(NULL, LOG_ERROR, TAG, "The factory's key and certificate can't be used.");
        return false;
    }
    if (!mbedtls_pair_is_of(s_pair.certificate, s_gateway_code)) {
        chip_log.write(NULL, LOG_WARNING, TAG, "The factory's certificate is of another gateway.");
    }
    s_times[PAIR_FACTORY] = times_of(&validity);
    return true;
}

/* False: it is none of this gateway, or of before the factory's. */
static bool take_renewed_pair(const char *both, size_t len_bytes, bool has_factory)
{
    pair_validity_t validity;
    const size_t key_len = strlen(both);
    const char *certificate = both + key_len + 1;
    const bool fits =
        key_len < sizeof(s_pair.key) && key_len + 1 < len_bytes && len_bytes - key_len <= sizeof(s_pair.certificate);
    if (!fits || !mbedtls_pair_read(both, certificate, &validity) || !mbedtls_pair_is_of(certificate, s_gateway_code)) {
        chip_log.write(NULL, LOG_ERROR, TAG, "The renewed certificate can't be used; the factory's is.");
        return false;
    }
    if (has_factory && validity.not_before_unix_s < s_times[PAIR_FACTORY].not_before_unix_s) {
        return false;
    }
    memcpy(s_pair.key, both, key_len + 1);
    memcpy(s_pair.certificate, certificate, len_bytes - key_len); /* with the NUL that stands behind it */
    s_times[PAIR_RENEWED] = times_of(&validity);
    return true;
}

static bool load_renewed_pair(bool has_factory)
{
    const size_t cap_bytes = CHIP_KEY_MAX_BYTES + CHIP_CERTIFICATE_MAX_BYTES;
    char *both = malloc(cap_bytes + 1); /* at power-up, and after a renewal */
    size_t len = 0;
    bool taken = false;
    if (both == NULL) {
        return false;
    }
    if (s_kv->get(s_kv->ctx, RENEWED_KEY, both, cap_bytes, &len) == KV_OK) {
        both[len] = '\0';
        taken = take_renewed_pair(both, len, has_factory);
    }
    mbedtls_platform_zeroize(both, cap_bytes + 1);
    free(both);
    return taken;
}

static void load(void)
{
    (void)xSemaphoreTake(s_lock, portMAX_DELAY);
    const bool has_factory = load_factory_pair();
    s_usable = (has_factory && atomic_load(&s_wanted) == PAIR_FACTORY) || load_renewed_pair(has_factory) || has_factory;
    (void)xSemaphoreGive(s_lock);
}

const chip_pair_t *chip_identity_pair(void)
{
    if (atomic_exchange(&s_to_load, false)) {
        load();
    }
    return s_usable && chip_tls_is_pinned() ? &s_pair : NULL;
}

bool chip_identity_copy(chip_pair_t *out)
{
    (void)xSemaphoreTake(s_lock, portMAX_DELAY);
    const bool usable = s_usable && chip_tls_is_pinned();
    if (usable) {
        *out = s_pair;
    }
    (void)xSemaphoreGive(s_lock);
    return usable;
}

static bool validity(void *ctx, pair_t pair, pair_times_t *out)
{
    (void)ctx;
    *out = s_times[pair];
    return pair_is_there(out);
}

static void use(void *ctx, pair_t pair)
{
    (void)ctx;
    atomic_store(&s_wanted, (int)pair);
    atomic_store(&s_to_load, true);
}

static bool keep(chip_renewal_t *renewal)
{
    const size_t key_len = strlen(renewal->key_pem), certificate_len = strlen(renewal->certificate_pem);
    memcpy(renewal->kept, renewal->key_pem, key_len + 1);
    memcpy(renewal->kept + key_len + 1, renewal->certificate_pem, certificate_len);
    const bool kept = s_kv->set(s_kv->ctx, RENEWED_KEY, renewal->kept, key_len + 1 + certificate_len) == KV_OK;
    if (!kept) {
        chip_log.write(NULL, LOG_ERROR, TAG, "A new certificate came, and can't be kept.");
    }
    return kept;
}

static void run(void *ctx)
{
    chip_renewal_t *renewal = ctx;
    event_t event = {.type = EVENT_RENEWAL_DONE};
    event.renewal.ok = chip_renewal_run(renewal) && keep(renewal);
    if (event.renewal.ok) {
        event.renewal.not_before_unix_s = renewal->validity.not_before_unix_s;
        event.renewal.not_after_unix_s = renewal->validity.not_after_unix_s;
        use(NULL, PAIR_RENEWED);
    }
    event.renewal.retry_after_s = renewal->retry_after_s;
    mbedtls_platform_zeroize(renewal, sizeof(*renewal)); /* the key is in NVS now, and nowhere else */
    free(renewal);
    atomic_store(&s_renewing, false);
    while (!chip_events_post(&event)) {
        vTaskDelay(pdMS_TO_TICKS(POST_AGAIN_MS)); /* the core waits for this one */
    }
    vTaskDelete(NULL);
}

static void failed(chip_renewal_t *renewal)
{
    const event_t event = {.type = EVENT_RENEWAL_DONE};
    free(renewal);
    atomic_store(&s_renewing, false);
    (void)chip_events_post(&event);
}

static void renew(void *ctx, const char *url, const char *gateway_code)
{
    (void)ctx;
    if (atomic_exchange(&s_renewing, true)) {
        return; /* its end is told */
    }
    chip_renewal_t *renewal = s_usable ? calloc(1, sizeof(*renewal)) : NULL;
    if (renewal == NULL) {
        failed(renewal);
        return;
    }
    (void)snprintf(renewal->url, sizeof(renewal->url), "%s" EST_PATH, url);
    (void)snprintf(renewal->gateway_code, sizeof(renewal->gateway_code), "%s", gateway_code);
    (void)xSemaphoreTake(s_lock, portMAX_DELAY);
    renewal->present = s_pair;
    (void)xSemaphoreGive(s_lock);
    /* A task of its own: the handshake takes seconds, and measuring goes on. */
    if (xTaskCreate(run, "renewal", STACK_BYTES, renewal, PRIORITY, NULL) != pdPASS) {
        failed(renewal);
    }
}

static void pin_authorities(void)
{
    const size_t cap_bytes = CHIP_CERTIFICATE_MAX_BYTES + 1;
    char *authorities = malloc(cap_bytes); /* at power-up alone */
    if (authorities == NULL || !read_text(s_factory, "server_ca", authorities, cap_bytes) ||
        !chip_tls_pin(authorities)) {
        chip_log.write(NULL, LOG_ERROR, TAG, "The factory image has no authority that can be trusted.");
    }
    free(authorities);
}

void chip_identity_init(port_identity_t *port, const port_kv_t *kv, const port_kv_t *factory, const char *gateway_code)
{
    s_kv = kv;
    s_factory = factory;
    s_gateway_code = gateway_code;
    s_lock = xSemaphoreCreateMutexStatic(&s_lock_memory);
    pin_authorities();
    memset(s_times, 0, sizeof(s_times));
    atomic_store(&s_wanted, PAIR_RENEWED);
    load();
    for (size_t i = 0; i < sizeof(s_times) / sizeof(s_times[0]); i++) {
        if (pair_is_there(&s_times[i])) {
            chip_clock_not_before(s_times[i].not_before_unix_s);
        }
    }
    *port = (port_identity_t){.validity = validity, .use = use, .renew = renew};
}
