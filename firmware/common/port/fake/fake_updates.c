#include "fake_updates.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../core/base64url.h"
#include "../../core/image.h"
#include "../../core/le.h"
#include "../posix/launcher/boot_select.h"
#include "fake_world_parts.h"

/* Keys of testdata/updates; nobody signs with them here. */
static const char ROOT[] = "HF226CucP1jZ2gIbOmapIztMHQ-TPKGqaIwNBzGK-Bjgc55wdwbHmrNwLd0d9lwbhpSVopXT8-y1TnnRsRXClA";
static const char ROOT_KID[] = "qIZwWpVsFueEStbXKXlayQpfMdkEyKtIfJPVe9w7Lko";
const char FAKE_RELEASE_KID[] = "i3nDxE77y4ipVeOmzU0PYiNzSza34qzCbBCWDndA_7Q";
static const char RELEASE_X[] = "C6wudD2C9xNRgOnXdGv37nz66b3rl9EZpQ9atGG0etI";
static const char RELEASE_Y[] = "ykHx9ONupVdcrZt4B5OqIZhW3AeiidXscpurvFJAoMM";
const char FAKE_ASSIGNMENT_KID[] = "R6HzMLyTU-CQZj4uTN40lERXffIrvtGW3Q13siYLY_g";
static const char ASSIGNMENT_X[] = "bVi3PBPqjkr298wMz34QbnuDNatNLIbgSQxzo-kUJRw";
static const char ASSIGNMENT_Y[] = "Jtf2LxLgdPyne6QCxrrW7zaOThU2Ndjt13VgV4G3HFo";
const char FAKE_UNKNOWN_KID[] = "NYhVWN2JinxU-AlTxIwsr1DUivLLrk3mUxr1b5AANoI";

#define YEAR_S (366 * 86400)

/* Images */

static void sha256(fake_updates_t *updates, const void *data, size_t len_bytes, uint8_t out[SHA256_BYTES])
{
    const port_crypto_t *crypto = &updates->crypto.port;
    port_sha256_t state;
    const bool good = crypto->sha256_start(crypto->ctx, &state) &&
                      crypto->sha256_update(crypto->ctx, &state, data, len_bytes) &&
                      crypto->sha256_finish(crypto->ctx, &state, out);
    assert(good);
}

static uint32_t put_segment(fake_image_t *image, uint32_t at, const uint8_t *data, uint32_t len_bytes)
{
    le_put32(image->bytes + at, 0x3F400000u + at);
    le_put32(image->bytes + at + 4, len_bytes);
    memcpy(image->bytes + at + 8, data, len_bytes);
    return at + 8 + len_bytes;
}

void fake_image(fake_image_t *image, fake_updates_t *updates, const char *version, fake_program_t program,
                uint32_t len_bytes)
{
    static uint8_t program_bytes[FAKE_IMAGE_MAX_BYTES];
    uint8_t descriptor[256] = {0};
    uint8_t checksum = 0xEF;
    assert(len_bytes + 512 < FAKE_IMAGE_MAX_BYTES && len_bytes % 4 == 0);
    memset(image, 0, sizeof(*image));
    (void)snprintf(image->version, sizeof(image->version), "%s", version);
    image->bytes[0] = 0xE9;
    image->bytes[1] = 2;
    le_put16(image->bytes + 12, (uint16_t)IMAGE_CHIP_HOST);
    image->bytes[23] = 1;
    le_put32(descriptor, 0xABCD5432u);
    (void)snprintf((char *)descriptor + 16, 32, "%s", version);
    (void)snprintf((char *)descriptor + 48, 32, "dcu-0080");
    for (uint32_t i = 0; i < len_bytes; i++) {
        program_bytes[i] = (uint8_t)(i * 7 + i / 251);
    }
    program_bytes[0] = (uint8_t)program;
    uint32_t at = put_segment(image, 24, descriptor, sizeof(descriptor));
    at = put_segment(image, at, program_bytes, len_bytes);
    for (uint32_t i = 0; i < sizeof(descriptor); i++) {
        checksum ^= descriptor[i];
    }
    for (uint32_t i = 0; i < len_bytes; i++) {
        checksum ^= program_bytes[i];
    }
    at += 15 - at % 16;
    image->bytes[at++] = checksum;
    sha256(updates, image->bytes, at, image->bytes + at);
    image->len_bytes = at + SHA256_BYTES;
    sha256(updates, image->bytes, image->len_bytes, image->sha256);
}

void fake_image_counter(fake_image_t *image, fake_updates_t *updates, uint32_t counter)
{
    uint8_t *at = image->bytes + 24 + 8 + 4;
    const uint32_t body_bytes = image->len_bytes - SHA256_BYTES;
    uint8_t *checksum = image->bytes + body_bytes - 1;
    for (uint32_t i = 0; i < 4; i++) {
        *checksum ^= at[i];
    }
    le_put32(at, counter);
    for (uint32_t i = 0; i < 4; i++) {
        *checksum ^= at[i];
    }
    sha256(updates, image->bytes, body_bytes, image->bytes + body_bytes);
    sha256(updates, image->bytes, image->len_bytes, image->sha256);
}

/* Documents */

static void put_part(char *out, size_t cap_bytes, const char *text)
{
    const size_t len = strlen(out);
    const size_t written = base64url_encode((const uint8_t *)text, strlen(text), out + len, cap_bytes - len - 1);
    assert(written > 0);
    out[len + written] = '\0';
}

static void sign(char *out, size_t cap_bytes, const char *typ, const char *kid, const char *claims)
{
    char header[160];
    const size_t signature_chars = 86;
    (void)snprintf(header, sizeof(header), "{\"alg\":\"ES256\",\"kid\":\"%s\",\"typ\":\"%s\"}", kid, typ);
    out[0] = '\0';
    put_part(out, cap_bytes, header);
    strcat(out, ".");
    put_part(out, cap_bytes, claims);
    strcat(out, ".");
    const size_t len = strlen(out);
    assert(len + signature_chars < cap_bytes);
    memset(out + len, 'A', signature_chars);
    out[len + signature_chars] = '\0';
}

static void hex(const uint8_t bytes[SHA256_BYTES], char out[2 * SHA256_BYTES + 1])
{
    for (size_t i = 0; i < SHA256_BYTES; i++) {
        (void)snprintf(out + 2 * i, 3, "%02x", bytes[i]);
    }
}

void fake_updates_trust(fake_updates_t *updates, uint32_t version, const char *revoked_kid, char *out)
{
    char claims[1536];
    const long long now_s = (long long)(fake_world_unix_ms(updates->world) / 1000);
    (void)snprintf(claims, sizeof(claims),
                   "{\"version\":%u,\"iat\":%lld,\"exp\":%lld,\"keys\":["
                   "{\"kid\":\"%s\",\"use\":\"release\",\"x\":\"%s\",\"y\":\"%s\",\"nbf\":%lld,\"exp\":%lld},"
                   "{\"kid\":\"%s\",\"use\":\"assignment\",\"x\":\"%s\",\"y\":\"%s\",\"nbf\":%lld,\"exp\":%lld}],"
                   "\"revoked\":[%s%s%s]}",
                   (unsigned)version, now_s - YEAR_S, now_s + YEAR_S, FAKE_RELEASE_KID, RELEASE_X, RELEASE_Y,
                   now_s - YEAR_S, now_s + YEAR_S, FAKE_ASSIGNMENT_KID, ASSIGNMENT_X, ASSIGNMENT_Y, now_s - YEAR_S,
                   now_s + YEAR_S, revoked_kid != NULL ? "\"" : "", revoked_kid != NULL ? revoked_kid : "",
                   revoked_kid != NULL ? "\"" : "");
    sign(out, TRUST_MAX_BYTES + 1, "tds-trust+jws", ROOT_KID, claims);
}

#define OR(value, otherwise) ((value) != NULL ? (value) : (otherwise))

static void sign_manifest(char *out, const fake_image_t *image, uint32_t counter, const fake_command_t *other)
{
    char claims[1024], digest[2 * SHA256_BYTES + 1];
    hex(image->sha256, digest);
    (void)snprintf(claims, sizeof(claims),
                   "{\"product\":\"%s\",\"families\":[\"%s\",\"dcu-all\"],\"chip\":\"%s\",\"hardware\":[\"%s\"],"
                   "\"version\":\"%s\",\"counter\":%u,\"size\":%u,\"sha256\":\"%s\",\"min_source_counter\":%u,"
                   "\"released_at\":1764028800}",
                   OR(other->product, "dcu"), OR(other->family, "dcu-0080"), OR(other->chip, "host"),
                   OR(other->hardware, "*"), image->version, (unsigned)counter,
                   (unsigned)(other->size_bytes > 0 ? other->size_bytes : image->len_bytes), digest,
                   (unsigned)other->min_source_counter);
    sign(out, MANIFEST_MAX_BYTES + 1, "tds-manifest+jws", OR(other->release_kid, FAKE_RELEASE_KID), claims);
}

void fake_updates_command(fake_updates_t *updates, const char *execution_id, const fake_image_t *image,
                          uint32_t counter, const fake_command_t *other)
{
    static const fake_command_t AS_IT_SHOULD = {0};
    static uint64_t s_seq;
    char manifest[MANIFEST_MAX_BYTES + 1], ticket[TICKET_MAX_BYTES + 1], claims[640];
    char digest[2 * SHA256_BYTES + 1], image_digest[2 * SHA256_BYTES + 1];
    uint8_t hash[SHA256_BYTES];
    other = other != NULL ? other : &AS_IT_SHOULD;
    const long long now_s = (long long)(fake_world_unix_ms(updates->world) / 1000);
    s_seq++;
    sign_manifest(manifest, image, counter, other);
    sha256(updates, manifest, strlen(manifest) - (other->other_manifest ? 1 : 0), hash);
    hex(hash, digest);
    hex(image->sha256, image_digest);
    (void)snprintf(claims, sizeof(claims),
                   "{\"execution_id\":\"%s\",\"gateway_code\":\"%s\",\"manifest_sha256\":\"%s\",\"seq\":%llu,"
                   "\"iat\":%lld,\"exp\":%lld,\"not_before\":%lld}",
                   execution_id, OR(other->gateway_code, FAKE_WORLD_GATEWAY), digest,
                   (unsigned long long)(other->seq > 0 ? other->seq : s_seq), now_s,
                   other->exp_unix_s != 0 ? (long long)other->exp_unix_s : now_s + 7 * 86400,
                   other->not_before_unix_s != 0 ? (long long)other->not_before_unix_s : now_s);
    sign(ticket, sizeof(ticket), "tds-ticket+jws", OR(other->assignment_kid, FAKE_ASSIGNMENT_KID), claims);
    const int len = snprintf(updates->command, sizeof(updates->command),
                             "{\"execution_id\":\"%s\",\"version\":\"%s\",\"url\":\"%s/ota/v1/artifacts/%s.bin\","
                             "\"manifest\":\"%s\",\"ticket\":\"%s\"}",
                             execution_id, OR(other->version, image->version), OR(other->url, FAKE_UPDATES_URL),
                             image_digest, manifest, ticket);
    assert(len > 0 && (size_t)len < sizeof(updates->command));
    updates->image = image;
}

void fake_updates_push(fake_updates_t *updates)
{
    fake_world_message(updates->world, "ota/" FAKE_WORLD_GATEWAY "/update", updates->command, strlen(updates->command));
}

/* The boot loader */

static bool is_whole(fake_updates_t *updates, uint8_t slot, image_t *image)
{
    static uint8_t bytes[FAKE_IMAGE_MAX_BYTES];
    const port_flash_t *flash = &updates->slot_flash[slot].port;
    const port_crypto_t *crypto = &updates->crypto.port;
    if (!flash->read(flash->ctx, 0, bytes, sizeof(bytes)) || image_begin(image, crypto) != IMAGE_MORE) {
        return false;
    }
    const image_status_t status = image_take(image, crypto, bytes, sizeof(bytes));
    image_give_up(image, crypto);
    return status == IMAGE_WHOLE;
}

static image_state_t state_of(const otadata_t *otadata, int slot)
{
    const int entry = otadata_entry_of(otadata, (uint8_t)slot);
    return entry < 0 ? IMAGE_UNDEFINED : otadata->entries[entry].state;
}

/* One start of it. False: power went. */
static bool select_slot(fake_updates_t *updates, boot_reason_t *why)
{
    const port_flash_t *flash = &updates->otadata.port;
    otadata_t otadata;
    image_t image;
    bool good[OTADATA_SLOTS];
    for (uint8_t i = 0; i < OTADATA_SLOTS; i++) {
        good[i] = is_whole(updates, i, &image);
    }
    if (!otadata_read(flash, &otadata)) {
        return false;
    }
    const boot_choice_t choice = boot_select(&otadata, good);
    for (int i = 0; i < OTADATA_ENTRIES; i++) {
        if (choice.mark[i] != IMAGE_UNDEFINED && !otadata_set_state(flash, i, choice.mark[i])) {
            return false;
        }
    }
    if (choice.slot < 0) {
        updates->starts_without_image++;
        return false;
    }
    updates->resorts += choice.last_resort ? 1 : 0;
    const bool readable = otadata_read(flash, &otadata);
    assert(readable);
    const int last = updates->last_slot;
    const bool left = last >= 0 && last != choice.slot &&
                      (state_of(&otadata, last) == IMAGE_INVALID || state_of(&otadata, last) == IMAGE_ABORTED);
    if (choice.rolled_back || left) {
        *why = BOOT_ROLLBACK;
    }
    updates->last_slot = choice.slot;
    updates->slots.running = (uint8_t)choice.slot;
    return true;
}

fake_program_t fake_updates_program(const fake_updates_t *updates)
{
    return (fake_program_t)updates->slot_media[updates->slots.running][24 + 8 + 256 + 8];
}

static void power_on(fake_updates_t *updates)
{
    updates->world->power.is_off = false;
    fake_flash_power_on(&updates->otadata);
    fake_flash_power_on(&updates->slot_flash[0]);
    fake_flash_power_on(&updates->slot_flash[1]);
}

static const char *self_test(void *ctx)
{
    return fake_updates_program(ctx) == FAKE_FAILS_ITSELF ? "The meter's bus does not answer." : NULL;
}

void fake_updates_options(fake_updates_t *updates, app_options_t *options, boot_reason_t *why)
{
    fake_world_t *world = updates->world;
    power_on(updates);
    updates->runs = false;
    options->crypto = &updates->crypto.port;
    options->product = "dcu";
    options->chip = "host";
    options->chip_id = IMAGE_CHIP_HOST;
    options->update_spread_s = 30;
    options->self_test = self_test;
    options->self_test_ctx = updates;
    if (!updates->has_slots) {
        return;
    }
    options->ota = &updates->slots.port;
    for (int starts = 0; !select_slot(updates, why) || fake_updates_program(updates) == FAKE_CRASHES; starts++) {
        assert(starts < 10);
        if (world->power.is_off) {
            world->power_cuts++;
            updates->last_slot = -1;
            *why = BOOT_POWER_ON;
        } else {
            *why = BOOT_PANIC;
        }
        power_on(updates);
    }
}

/* The server */

static void end_request(fake_updates_t *updates, uint64_t in_ms, http_end_t end)
{
    updates->runs = false;
    fake_world_plan(updates->world, in_ms,
                    (event_t){.type = EVENT_HTTP_END,
                              .http_end = {.number = updates->request.number, .end = end, .failure = FAILURE_CLOSED}});
}

static void plan_piece(fake_updates_t *updates)
{
    fake_world_t *world = updates->world;
    const bool is_image = updates->body == NULL;
    const uint32_t whole_bytes = is_image ? updates->image->len_bytes : (uint32_t)strlen(updates->body);
    const uint32_t left_bytes = updates->endless ? UINT32_MAX : whole_bytes - updates->at_bytes;
    if (left_bytes == 0) {
        end_request(updates, 1, HTTP_WHOLE);
        return;
    }
    if (is_image && fake_world_below(world, 100) < updates->cut_percent) {
        end_request(updates, 20, HTTP_CUT);
        return;
    }
    const uint32_t most_bytes = is_image ? HTTP_CHUNK_MAX_BYTES - fake_world_below(world, 999) : 1000;
    const uint32_t len_bytes = left_bytes < most_bytes ? left_bytes : most_bytes;
    for (uint32_t i = 0; i < len_bytes; i++) {
        const uint32_t at = updates->at_bytes + i;
        updates->piece[i] =
            is_image ? updates->image->bytes[at % updates->image->len_bytes] : (uint8_t)updates->body[at];
        updates->piece[i] ^= is_image && updates->flip_at > 0 && at == updates->flip_at ? 0x10 : 0;
    }
    updates->at_bytes += len_bytes;
    updates->image_bytes += is_image ? len_bytes : 0;
    fake_world_plan(
        world, 10,
        (event_t){.type = EVENT_HTTP_PIECE, .http_piece = {updates->request.number, updates->piece, len_bytes}});
}

static bool ends_with(const char *text, const char *end)
{
    return strlen(text) >= strlen(end) && strcmp(text + strlen(text) - strlen(end), end) == 0;
}

static void answer_image(fake_updates_t *updates)
{
    http_answer_t *answer = &updates->answer;
    const http_request_t *request = &updates->request;
    updates->image_requests++;
    updates->first_try_ms = updates->first_try_ms == 0 ? updates->world->now_ms : updates->first_try_ms;
    updates->last_try_ms = updates->world->now_ms;
    answer->status = updates->status != 0 ? updates->status : updates->image == NULL ? 404 : 200;
    if (answer->status != 200) {
        answer->retry_after_s = updates->retry_after_s;
        return;
    }
    char digest[2 * SHA256_BYTES + 1];
    hex(updates->image->sha256, digest);
    (void)snprintf(answer->etag, sizeof(answer->etag), "\"%s\"", digest);
    if (request->from_bytes > 0 && !updates->no_ranges &&
        (updates->etag[0] == '\0' || strcmp(updates->etag, answer->etag) == 0)) {
        answer->status = request->from_bytes < updates->image->len_bytes ? 206 : 416;
        answer->from_bytes = updates->at_bytes = request->from_bytes;
    }
    answer->whole_bytes = updates->whole_bytes > 0 ? updates->whole_bytes : updates->image->len_bytes;
    if (updates->endless) {
        answer->whole_bytes = -1;
    }
}

static void answer_text(fake_updates_t *updates, const char *text, uint16_t otherwise)
{
    updates->answer.status = text[0] != '\0' ? 200 : otherwise;
    updates->body = text;
}

static bool begin(void *ctx, const http_request_t *request)
{
    fake_updates_t *updates = ctx;
    fake_world_t *world = updates->world;
    if (fake_world_is_dead(world)) {
        return false;
    }
    fake_world_drop_all_of(world, EVENT_HTTP_ANSWER);
    fake_world_drop_all_of(world, EVENT_HTTP_PIECE);
    fake_world_drop_all_of(world, EVENT_HTTP_END);
    updates->runs = true;
    updates->requests++;
    updates->request = *request;
    updates->at_bytes = 0;
    updates->body = NULL;
    (void)snprintf(updates->url, sizeof(updates->url), "%s", request->url);
    (void)snprintf(updates->etag, sizeof(updates->etag), "%s", request->etag);
    updates->answer = (http_answer_t){.number = request->number, .whole_bytes = -1};
    assert(strncmp(request->url, FAKE_UPDATES_URL "/", sizeof(FAKE_UPDATES_URL)) == 0);
    if (!world->network_told || world->black_hole || updates->away) {
        end_request(updates, 50, HTTP_CUT);
        return true;
    }
    if (updates->silent) {
        return true;
    }
    if (ends_with(request->url, "/ota/v1/trust")) {
        updates->trust_requests++;
        answer_text(updates, updates->trust, 404);
    } else if (ends_with(request->url, "/ota/v1/assignment")) {
        updates->assignment_requests++;
        answer_text(updates, updates->command, 204);
    } else if (ends_with(request->url, "/ota/v1/report")) {
        updates->posts++;
        (void)fake_updates_publish(updates, "ota/" FAKE_WORLD_GATEWAY "/status", request->body);
        answer_text(updates, "", 204);
    } else {
        answer_image(updates);
    }
    fake_world_plan(world, 30, (event_t){.type = EVENT_HTTP_ANSWER, .http_answer = &updates->answer});
    return true;
}

static void cancel(void *ctx)
{
    fake_updates_t *updates = ctx;
    updates->runs = false;
    fake_world_drop_all_of(updates->world, EVENT_HTTP_ANSWER);
    fake_world_drop_all_of(updates->world, EVENT_HTTP_PIECE);
    fake_world_drop_all_of(updates->world, EVENT_HTTP_END);
}

/* What comes behind what was given just now; the piece is copied before it is taken. */
void fake_updates_deliver(fake_updates_t *updates, event_t *event)
{
    static uint8_t s_taken[HTTP_CHUNK_MAX_BYTES];
    if (event->type == EVENT_HTTP_END || !updates->runs) {
        return;
    }
    if (!updates->world->network_told || updates->world->black_hole) {
        end_request(updates, 50, HTTP_CUT);
        return;
    }
    if (event->type == EVENT_HTTP_ANSWER && updates->answer.status != 200 && updates->answer.status != 206) {
        end_request(updates, 1, HTTP_WHOLE);
        return;
    }
    if (event->type == EVENT_HTTP_PIECE) {
        memcpy(s_taken, event->http_piece.bytes, event->http_piece.len_bytes);
        event->http_piece.bytes = s_taken;
    }
    if (updates->drips) {
        end_request(updates, HTTP_SLOW_S * 1000, HTTP_TOO_SLOW);
        return;
    }
    plan_piece(updates);
}

static void note_end(fake_updates_t *updates, const char *payload)
{
    char id[EXECUTION_ID_MAX_CHARS + 1], status[16], reason[32] = "", line[128];
    const char *execution = strstr(payload, "\"execution_id\":\""), *why = strstr(payload, "\"reason\":\"");
    if (execution == NULL || why == NULL ||
        sscanf(execution, "\"execution_id\":\"%64[^\"]\",\"status\":\"%15[^\"]", id, status) != 2 ||
        strcmp(status, "IN_PROGRESS") == 0) {
        return;
    }
    (void)sscanf(why, "\"reason\":\"%31[^\"]", reason);
    (void)snprintf(line, sizeof(line), "%s %s %s;", id, status, reason);
    if (strstr(updates->ends, line) == NULL) {
        assert(strlen(updates->ends) + strlen(line) < sizeof(updates->ends));
        strcat(updates->ends, line);
    }
}

bool fake_updates_publish(fake_updates_t *updates, const char *topic, const char *payload)
{
    assert(strcmp(topic, "ota/" FAKE_WORLD_GATEWAY "/status") == 0);
    if (updates->refuse_reports > 0) {
        updates->refuse_reports--;
        return false;
    }
    (void)snprintf(updates->report, sizeof(updates->report), "%s", payload);
    updates->reports++;
    if (updates->told != NULL) {
        (void)fprintf(updates->told, "%s\n", payload);
    }
    note_end(updates, payload);
    const char *phase = strstr(payload, "\"phase\":\"");
    if (phase != NULL) {
        char word[32];
        phase += strlen("\"phase\":\"");
        (void)snprintf(word, sizeof(word), "%.*s ", (int)strcspn(phase, "\""), phase);
        if (strstr(updates->phases, word) == NULL && strlen(updates->phases) + strlen(word) < sizeof(updates->phases)) {
            strcat(updates->phases, word);
        }
    }
    return true;
}

void fake_updates_init(fake_updates_t *updates, fake_world_t *world, const fake_image_t *image)
{
    memset(updates, 0, sizeof(*updates));
    updates->world = world;
    updates->last_slot = -1;
    updates->has_slots = true;
    fake_crypto_init(&updates->crypto);
    updates->crypto.verify = FAKE_VERIFY_YES;
    fake_flash_init(&updates->otadata, updates->otadata_medium, OTADATA_BYTES, 1);
    fake_flash_blank(&updates->otadata);
    updates->otadata.power = &world->power;
    for (uint8_t i = 0; i < OTADATA_SLOTS; i++) {
        updates->slot_media[i] = malloc(FAKE_IMAGE_MAX_BYTES);
        assert(updates->slot_media[i] != NULL);
        fake_flash_init(&updates->slot_flash[i], updates->slot_media[i], FAKE_IMAGE_MAX_BYTES, 2u + i);
        fake_flash_blank(&updates->slot_flash[i]);
        updates->slot_flash[i].power = &world->power;
    }
    memcpy(updates->slot_media[0], image->bytes, image->len_bytes);
    slots_init(&updates->slots, &updates->otadata.port, &updates->slot_flash[0].port, &updates->slot_flash[1].port, 0,
               &world->reboot_port);
    fake_kv_put_text(&world->factory, "ota_url", FAKE_UPDATES_URL);
    fake_kv_put_text(&world->factory, "trust_roots", ROOT);
    fake_updates_trust(updates, 1, NULL, updates->trust);
    fake_kv_put_text(&world->factory, "trust_set", updates->trust);
    updates->http_port = (port_http_t){.ctx = updates, .begin = begin, .cancel = cancel};
    world->updates = updates;
    world->ports.http = &updates->http_port;
    world->ports.ota = &updates->slots.port;
}

void fake_updates_free(fake_updates_t *updates)
{
    free(updates->slot_media[0]);
    free(updates->slot_media[1]);
}
