/* A command, from wherever it came: believed, judged, and taken or refused, before a byte is erased. */
#include <string.h>

#include "../core/signed.h"
#include "app_update_parts.h"

static void refuse(app_t *app, const char *execution_id, update_status_t status, update_reason_t reason,
                   const char *sentence)
{
    app_refusal_t *refusal = &app->updates.refusal;
    *refusal = (app_refusal_t){.status = status, .reason = reason, .detail = sentence};
    memcpy(refusal->execution_id, execution_id, strlen(execution_id) + 1);
}

static void refused(app_t *app, const command_t *command, update_reason_t reason, const char *sentence)
{
    app->updates.refused++;
    app->refusal = sentence;
    app->commands_refused++;
    refuse(app, command->execution_id, STATUS_REJECTED, reason, sentence);
}

static update_reason_t reason_of(signed_result_t result)
{
    switch (result) {
    case SIGNED_GOOD:
        return REASON_NONE;
    case SIGNED_MALFORMED:
    case SIGNED_WRONG_TYPE:
        return REASON_MALFORMED;
    case SIGNED_NO_TRUST:
        return REASON_NO_TRUST;
    case SIGNED_KEY_REVOKED:
        return REASON_KEY_REVOKED;
    case SIGNED_KEY_UNKNOWN:
        return REASON_KEY_UNKNOWN;
    case SIGNED_KEY_OUT_OF_TIME:
        return REASON_KEY_OUT_OF_TIME;
    case SIGNED_SIGNATURE_INVALID:
        return REASON_SIGNATURE_INVALID;
    case SIGNED_LOCAL_FAULT:
        break;
    }
    return REASON_LOCAL_FAULT;
}

/* Nobody knows whose word it is. */
static void refused_unsigned(app_t *app, uint64_t now_ms, const command_t *command, signed_result_t result)
{
    const bool may_be_new = result == SIGNED_KEY_UNKNOWN || result == SIGNED_NO_TRUST;
    if (may_be_new && update_poll_unknown_key(&app->updates.poll, now_ms)) {
        return; /* the trust set may be newer by now; then the command is asked for, and comes here again */
    }
    if (!update_may_be_refused(&app->updates.update.memory, command->execution_id)) {
        app->refusal = signed_sentence(result);
        app->commands_refused++;
        app->updates.refused++;
        return;
    }
    refused(app, command, reason_of(result), signed_sentence(result));
}

static bool hash(const app_t *app, const char *text, size_t len_bytes, uint8_t out[SHA256_BYTES])
{
    const port_crypto_t *crypto = app->options.crypto;
    port_sha256_t state;
    if (!crypto->sha256_start(crypto->ctx, &state)) {
        return false;
    }
    const bool good = crypto->sha256_update(crypto->ctx, &state, text, len_bytes);
    return crypto->sha256_finish(crypto->ctx, &state, good ? out : NULL) && good;
}

/* True: ticket and manifest are in the scratch, and whoever signed them may. */
static bool believe(app_t *app, uint64_t now_ms, const command_t *command)
{
    app_updates_t *updates = &app->updates;
    const port_crypto_t *crypto = app->options.crypto;
    const int64_t unix_s = app_unix_s(app, now_ms);
    claims_t *claims = &updates->scratch.judged.claims;
    signed_result_t result = signed_check(&updates->trust, crypto, SIGNED_TICKET, command->ticket,
                                          command->ticket_len_bytes, unix_s, claims);
    const char *wrong = result == SIGNED_GOOD ? ticket_read(claims, &updates->scratch.judged.ticket) : NULL;
    if (result == SIGNED_GOOD && wrong == NULL) {
        result = signed_check(&updates->trust, crypto, SIGNED_MANIFEST, command->manifest, command->manifest_len_bytes,
                              unix_s, claims);
        wrong = result == SIGNED_GOOD ? manifest_read(claims, &updates->scratch.judged.manifest) : NULL;
    }
    if (result != SIGNED_GOOD) {
        refused_unsigned(app, now_ms, command, result);
    } else if (wrong != NULL) {
        refused(app, command, REASON_MALFORMED, wrong);
    }
    return result == SIGNED_GOOD && wrong == NULL;
}

static void join_families(const manifest_t *manifest, char out[UPDATE_FAMILIES_MAX_CHARS + 1])
{
    size_t at = 0;
    for (uint8_t i = 0; i < manifest->family_count; i++) {
        const size_t len = strlen(manifest->families[i]);
        if (i > 0) {
            out[at++] = ',';
        }
        memcpy(out + at, manifest->families[i], len);
        at += len;
    }
    out[at] = '\0';
}

static void fill_job(const command_t *command, const manifest_t *manifest, const ticket_t *ticket, update_job_t *out)
{
    jws_t jws;
    memset(out, 0, sizeof(*out));
    out->size_bytes = manifest->size_bytes;
    out->counter = manifest->counter;
    out->seq = ticket->seq;
    out->not_before_unix_s = ticket->not_before_unix_s;
    out->exp_unix_s = ticket->exp_unix_s;
    out->phase = PHASE_DOWNLOADING;
    memcpy(out->execution_id, ticket->execution_id, sizeof(out->execution_id));
    memcpy(out->version, manifest->version, sizeof(out->version));
    memcpy(out->url, command->url, sizeof(out->url));
    memcpy(out->sha256, manifest->sha256, sizeof(out->sha256));
    join_families(manifest, out->families);
    if (jws_split(command->manifest, command->manifest_len_bytes, &jws)) {
        memcpy(out->manifest_kid, jws.kid, sizeof(out->manifest_kid));
    }
}

static void take(app_t *app, uint64_t now_ms, const command_t *command)
{
    app_updates_t *updates = &app->updates;
    const update_memory_t *memory = &updates->update.memory;
    update_job_t *job = &updates->scratch.judged.job;
    char former[EXECUTION_ID_MAX_CHARS + 1] = "";
    fill_job(command, &updates->scratch.judged.manifest, &updates->scratch.judged.ticket, job);
    if (memory->has_job && strcmp(memory->job.execution_id, job->execution_id) != 0) {
        memcpy(former, memory->job.execution_id, sizeof(former));
    }
    if (!update_accept(&updates->update, job, now_ms, app_unix_s(app, now_ms))) {
        refused(app, command, REASON_LOCAL_FAULT, "This device's settings take nothing: it can't remember an update.");
    } else if (former[0] != '\0') {
        refuse(app, former, STATUS_FAILED, REASON_SUPERSEDED, "A newer command took its place.");
    }
}

static update_self_t self_of(const app_t *app, uint64_t now_ms)
{
    const app_options_t *options = &app->options;
    const update_t *update = &app->updates.update;
    update_self_t self = {
        .gateway_code = options->gateway_code,
        .product = options->product,
        .family = options->family,
        .hardware = options->hardware,
        .chip_id = options->chip_id,
        .running_counter = update->running.counter,
        .slot_bytes = options->ota != NULL ? options->ota->slot_bytes(options->ota->ctx) : 0,
        .server_url = config_text(&app->config, CONFIG_OTA_URL),
        .now_unix_s = app_unix_s(app, now_ms),
        .memory = &update->memory,
        .is_busy = update_is_busy(update),
    };
    memcpy(self.running_sha256, update->running.sha256, sizeof(self.running_sha256));
    return self;
}

void app_judge(app_t *app, uint64_t now_ms, const command_t *command)
{
    app_updates_t *updates = &app->updates;
    uint8_t manifest_sha256[SHA256_BYTES];
    if (!believe(app, now_ms, command)) {
        return;
    }
    if (!hash(app, command->manifest, command->manifest_len_bytes, manifest_sha256)) {
        refused(app, command, REASON_LOCAL_FAULT, signed_sentence(SIGNED_LOCAL_FAULT));
        return;
    }
    const update_self_t self = self_of(app, now_ms);
    const update_verdict_t verdict = update_judge(&self, command, &updates->scratch.judged.manifest,
                                                  &updates->scratch.judged.ticket, manifest_sha256);
    switch (verdict.judgement) {
    case JUDGED_GOOD:
        take(app, now_ms, command);
        break;
    case JUDGED_REFUSED:
        refused(app, command, verdict.reason, verdict.sentence);
        break;
    case JUDGED_KNOWN:
        updates->update.has_news = true;
        break;
    case JUDGED_LATER:
        updates->aside = true;
        break;
    }
}
