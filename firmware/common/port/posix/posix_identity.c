#include "posix_identity.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "posix_log.h"

static const char *TAG = "identity";

/* A value as text, to be wiped and freed by forget(); NULL: it is not there. */
static char *read_text(const port_kv_t *kv, const char *key, size_t *len)
{
    char *out = calloc(1, POSIX_CREDENTIAL_MAX_BYTES + 1);
    if (out != NULL && kv->get(kv->ctx, key, out, POSIX_CREDENTIAL_MAX_BYTES, len) != KV_OK) {
        free(out);
        out = NULL;
    }
    return out;
}

static void forget(char *text)
{
    if (text != NULL) {
        OPENSSL_cleanse(text, POSIX_CREDENTIAL_MAX_BYTES);
        free(text);
    }
}

static bool read_factory_pair(const posix_identity_t *identity, posix_pair_t *out)
{
    size_t len = 0;
    char *key = read_text(identity->factory, "device_key", &len);
    char *certificates = read_text(identity->factory, "device_cert", &len);
    bool good = key != NULL && certificates != NULL && posix_pair_read(out, key, certificates);
    forget(key);
    forget(certificates);
    return good;
}

static bool read_renewed_pair(const posix_identity_t *identity, posix_pair_t *out)
{
    size_t len = 0;
    char *both = read_text(identity->kv, POSIX_RENEWED_KEY, &len);
    if (both == NULL) {
        return false;
    }
    size_t key_len = strlen(both);
    bool good = key_len + 1 < len && posix_pair_read(out, both, both + key_len + 1);
    forget(both);
    if (good && !posix_pair_is_of(out, identity->code)) {
        posix_pair_free(out);
        good = false;
    }
    if (!good) {
        posix_log(identity->log, LOG_ERROR, TAG, "the renewed certificate can't be used; the factory's is");
    }
    return good;
}

static bool is_later(const posix_pair_t *one, const posix_pair_t *other)
{
    int64_t begins = 0, other_begins = 0, ends;
    return posix_pair_validity(one, &begins, &ends) && posix_pair_validity(other, &other_begins, &ends) &&
           begins > other_begins;
}

static void note_times(posix_identity_t *identity, pair_t pair)
{
    pair_times_t *times = &identity->times[pair];
    *times = (pair_times_t){0};
    (void)posix_pair_validity(&identity->pair, &times->not_before_unix_s, &times->not_after_unix_s);
}

/* The pair that is wanted, or else the one that is there. */
static void load_pair(posix_identity_t *identity)
{
    posix_pair_t renewed = {0};
    posix_pair_free(&identity->pair);
    bool has_factory = read_factory_pair(identity, &identity->pair);
    if (!has_factory) {
        posix_log(identity->log, LOG_ERROR, TAG, "the factory's key and certificate can't be used");
    } else if (!posix_pair_is_of(&identity->pair, identity->code)) {
        posix_log(identity->log, LOG_WARNING, TAG, "the factory's certificate is of another gateway");
    }
    note_times(identity, PAIR_FACTORY);
    if ((has_factory && identity->wanted == PAIR_FACTORY) || !read_renewed_pair(identity, &renewed)) {
        return;
    }
    if (has_factory && is_later(&identity->pair, &renewed)) {
        posix_pair_free(&renewed);
        return;
    }
    posix_pair_free(&identity->pair);
    identity->pair = renewed;
    note_times(identity, PAIR_RENEWED);
}

static void use(void *ctx, pair_t pair)
{
    posix_identity_t *identity = ctx;
    identity->wanted = pair;
    load_pair(identity);
}

static bool validity(void *ctx, pair_t pair, pair_times_t *out)
{
    const posix_identity_t *identity = ctx;
    *out = identity->times[pair];
    return pair_is_there(out);
}

static void say_done(posix_identity_t *identity, event_t event)
{
    identity->has_event = true;
    identity->event = event;
    identity->event.type = EVENT_RENEWAL_DONE;
}

static void failed(posix_identity_t *identity, const char *why, uint32_t retry_after_s)
{
    posix_log(identity->log, LOG_WARNING, TAG, "its certificate was not renewed: %s", why);
    say_done(identity, (event_t){.renewal = {.ok = false, .retry_after_s = retry_after_s}});
    posix_est_free(identity->est);
    identity->est = NULL;
}

static void renew(void *ctx, const char *url, const char *gateway_code)
{
    posix_identity_t *identity = ctx;
    posix_tls_options_t options = {0};
    if (identity->est != NULL) {
        return; /* its end is told */
    }
    if (!posix_identity_tls(identity, &options)) {
        failed(identity, "there is none", 0);
        return;
    }
    identity->est = posix_est_begin(url, gateway_code, &options);
    if (identity->est == NULL) {
        failed(identity, "out of memory", 0);
    }
}

static bool keep(posix_identity_t *identity)
{
    const posix_est_t *est = identity->est;
    size_t key_len = strlen(est->key_pem), certificates_len = strlen(est->certificates_pem);
    size_t len = key_len + 1 + certificates_len;
    char *both = malloc(len);
    if (both == NULL || len > POSIX_CREDENTIAL_MAX_BYTES) {
        free(both);
        return false;
    }
    memcpy(both, est->key_pem, key_len + 1);
    memcpy(both + key_len + 1, est->certificates_pem, certificates_len);
    bool kept = identity->kv->set(identity->kv->ctx, POSIX_RENEWED_KEY, both, len) == KV_OK;
    OPENSSL_cleanse(both, len);
    free(both);
    return kept;
}

static void finish(posix_identity_t *identity)
{
    if (!keep(identity)) {
        failed(identity, "it came, and can't be kept", 0);
        return;
    }
    posix_log(identity->log, LOG_INFO, TAG, "its certificate is renewed");
    say_done(identity, (event_t){.renewal = {.ok = true,
                                             .not_before_unix_s = identity->est->not_before_unix_s,
                                             .not_after_unix_s = identity->est->not_after_unix_s}});
    posix_est_free(identity->est); /* before the pair goes that it was made with */
    identity->est = NULL;
    use(identity, PAIR_RENEWED);
}

static void watch(void *ctx, uint64_t now_ms, posix_watch_t *watch)
{
    (void)now_ms;
    posix_identity_t *identity = ctx;
    if (identity->est != NULL) {
        posix_est_watch(identity->est, watch);
    }
}

static void serve(void *ctx, uint64_t now_ms, const posix_watch_t *watch)
{
    (void)now_ms;
    (void)watch;
    posix_identity_t *identity = ctx;
    if (identity->est == NULL) {
        return;
    }
    switch (posix_est_step(identity->est)) {
    case EST_UNDER_WAY:
        break;
    case EST_FAILED:
        failed(identity, identity->est->why, identity->est->retry_after_s);
        break;
    case EST_DONE:
        finish(identity);
        break;
    }
}

static bool take(void *ctx, event_t *out)
{
    posix_identity_t *identity = ctx;
    bool has_event = identity->has_event;
    identity->has_event = false;
    *out = identity->event;
    return has_event;
}

void posix_identity_init(posix_identity_t *identity, const port_log_t *log, const posix_clock_t *clock,
                         const port_kv_t *factory, const port_kv_t *kv, const char *gateway_code)
{
    *identity = (posix_identity_t){.log = log, .clock = clock, .factory = factory, .kv = kv, .wanted = PAIR_RENEWED};
    identity->port = (port_identity_t){.ctx = identity, .validity = validity, .use = use, .renew = renew};
    strncpy(identity->code, gateway_code, CODE_MAX_CHARS);
    size_t len = 0;
    char *authorities = read_text(factory, "server_ca", &len);
    identity->pinned = authorities == NULL ? NULL : posix_certificates(authorities);
    forget(authorities);
    load_pair(identity);
}

void posix_identity_end(posix_identity_t *identity)
{
    posix_est_free(identity->est);
    posix_pair_free(&identity->pair);
    sk_X509_pop_free(identity->pinned, X509_free);
    identity->pinned = NULL;
}

bool posix_identity_tls(void *ctx, posix_tls_options_t *out)
{
    posix_identity_t *identity = ctx;
    int64_t unix_ms;
    bool has_time = posix_clock_unix_ms(identity->clock, &unix_ms);
    *out = (posix_tls_options_t){
        .pair = &identity->pair, .pinned = identity->pinned, .has_time = has_time, .unix_s = unix_ms / 1000};
    return identity->pair.leaf != NULL && identity->pinned != NULL;
}

posix_source_t posix_identity_source(posix_identity_t *identity)
{
    return (posix_source_t){.ctx = identity, .watch = watch, .serve = serve, .take = take};
}
