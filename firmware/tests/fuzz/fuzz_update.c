/* From a command's bytes to what is decided about it, as the device does it, with every signature believed: so that
 * what lies behind signatures is reached. The first byte says how: the bytes are a command, or what a ticket and a
 * manifest say, with a line feed between them. Whatever it is, nothing is good that should not be. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base64url.h"
#include "core/image.h"
#include "core/manifest.h"
#include "core/signed.h"
#include "core/ticket.h"
#include "core/update_rules.h"
#include "port/fake/fake_crypto.h"

#define NOW 1764115200
#define KID "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
#define OTHER_KID "BAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
#define SERVER "https://fw.example:8070"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static fake_crypto_t s_crypto;
static trust_t s_trust;
static claims_t s_claims;
static update_memory_t s_memory;

static void must(bool true_of_it)
{
    if (!true_of_it) {
        abort();
    }
}

static size_t write_document(const char *typ, const char *kid, const uint8_t *claims, size_t size, char *out,
                             size_t cap_bytes)
{
    static const uint8_t SIGNATURE[P256_SIGNATURE_BYTES];
    char header[160];
    (void)snprintf(header, sizeof(header), "{\"alg\":\"ES256\",\"kid\":\"%s\",\"typ\":\"%s\"}", kid, typ);
    size_t len = base64url_encode((const uint8_t *)header, strlen(header), out, cap_bytes);
    out[len++] = '.';
    len += base64url_encode(claims, size, out + len, cap_bytes - len - 128);
    out[len++] = '.';
    len += base64url_encode(SIGNATURE, sizeof(SIGNATURE), out + len, 128);
    out[len] = '\0';
    return len;
}

static void hash(const char *text, size_t len_bytes, uint8_t out[SHA256_BYTES])
{
    port_sha256_t state;
    must(s_crypto.port.sha256_start(s_crypto.port.ctx, &state) &&
         s_crypto.port.sha256_update(s_crypto.port.ctx, &state, text, len_bytes) &&
         s_crypto.port.sha256_finish(s_crypto.port.ctx, &state, out));
}

static void look_at_good(const update_self_t *self, const command_t *command, const manifest_t *manifest,
                         const ticket_t *ticket)
{
    must(strcmp(ticket->gateway_code, self->gateway_code) == 0);
    must(strcmp(ticket->execution_id, command->execution_id) == 0 && ticket->seq > self->memory->seq);
    must(strcmp(manifest->version, command->version) == 0 && strcmp(manifest->product, "dcu") == 0);
    must(manifest_has_family(manifest, self->family) && manifest_has_hardware(manifest, self->hardware));
    must(strcmp(manifest->chip, "host") == 0 && manifest->counter >= 5 && manifest->min_source_counter <= 5);
    must(manifest->size_bytes <= self->slot_bytes && ticket->exp_unix_s > NOW);
    must(strncmp(command->url, SERVER, strlen("https://")) == 0);
}

/* As app_update_command.c does. `binds`: the ticket is of this manifest, whatever it says. */
static void judge(const command_t *command, bool binds)
{
    manifest_t manifest;
    ticket_t ticket;
    uint8_t sha256[SHA256_BYTES];
    update_self_t self = {.gateway_code = "GW-1",
                          .product = "dcu",
                          .family = "dcu-0080",
                          .hardware = "C",
                          .chip_id = IMAGE_CHIP_HOST,
                          .running_counter = 5,
                          .slot_bytes = 1000000,
                          .server_url = SERVER,
                          .now_unix_s = NOW,
                          .memory = &s_memory};
    if (signed_check(&s_trust, &s_crypto.port, SIGNED_TICKET, command->ticket, command->ticket_len_bytes, NOW,
                     &s_claims) != SIGNED_GOOD ||
        ticket_read(&s_claims, &ticket) != NULL ||
        signed_check(&s_trust, &s_crypto.port, SIGNED_MANIFEST, command->manifest, command->manifest_len_bytes, NOW,
                     &s_claims) != SIGNED_GOOD ||
        manifest_read(&s_claims, &manifest) != NULL) {
        return;
    }
    hash(command->manifest, command->manifest_len_bytes, sha256);
    if (binds) {
        memcpy(ticket.manifest_sha256, sha256, sizeof(sha256));
    }
    const update_verdict_t verdict = update_judge(&self, command, &manifest, &ticket, sha256);
    must(verdict.sentence != NULL && (verdict.judgement == JUDGED_REFUSED) == (verdict.reason != REASON_NONE));
    if (verdict.judgement == JUDGED_GOOD) {
        look_at_good(&self, command, &manifest, &ticket);
    }
    self.is_busy = true;
    must(update_judge(&self, command, &manifest, &ticket, sha256).judgement != JUDGED_GOOD);
}

static void judge_claims(const uint8_t *data, size_t size)
{
    char manifest[MANIFEST_MAX_BYTES * 2 + 512], ticket[TICKET_MAX_BYTES * 2 + 512];
    const uint8_t *end = memchr(data, '\n', size);
    if (end == NULL || (size_t)(end - data) > TICKET_MAX_BYTES || (size_t)(data + size - end) > MANIFEST_MAX_BYTES) {
        return;
    }
    command_t command = {.type = COMMAND_UPDATE, .execution_id = "e-1", .version = "1.1.0", .url = SERVER "/a.bin"};
    command.ticket = ticket;
    command.ticket_len_bytes =
        (uint16_t)write_document("tds-ticket+jws", OTHER_KID, data, (size_t)(end - data), ticket, sizeof(ticket));
    command.manifest = manifest;
    command.manifest_len_bytes = (uint16_t)write_document("tds-manifest+jws", KID, end + 1,
                                                          (size_t)(data + size - end) - 1, manifest, sizeof(manifest));
    judge(&command, true);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    command_t command;
    fake_crypto_init(&s_crypto);
    s_crypto.verify = FAKE_VERIFY_YES;
    s_trust = (trust_t){.version = 1, .key_count = 2};
    s_trust.keys[0] = (trust_key_t){.kid = KID, .use = TRUST_RELEASE, .exp_unix_s = NOW + 1};
    s_trust.keys[1] = (trust_key_t){.kid = OTHER_KID, .use = TRUST_ASSIGNMENT, .exp_unix_s = NOW + 1};
    s_memory = (update_memory_t){.floor = 5, .seq = 100};
    if (size == 0) {
        return 0;
    }
    if (data[0] == 'c') {
        command_parse("GW-1", "ota/GW-1/update", data + 1, size - 1, &command);
        if (command.type == COMMAND_UPDATE) {
            judge(&command, false);
        }
    } else {
        judge_claims(data + 1, size - 1);
    }
    must(s_crypto.under_way == 0);
    return 0;
}
