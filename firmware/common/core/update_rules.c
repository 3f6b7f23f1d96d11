#include "update_rules.h"

#include <string.h>

#include "config.h"
#include "http.h"
#include "image.h"

static update_verdict_t refused(update_reason_t reason, const char *sentence)
{
    return (update_verdict_t){JUDGED_REFUSED, reason, sentence};
}

static bool same(const uint8_t a[SHA256_BYTES], const uint8_t b[SHA256_BYTES])
{
    return memcmp(a, b, SHA256_BYTES) == 0;
}

/* Lower case of ASCII; host names have no other (RFC 4343). */
static char lower(char c)
{
    return (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

static bool is_same_host(const char *a, const char *b)
{
    while (*a != '\0' && lower(*a) == lower(*b)) {
        a++;
        b++;
    }
    return *a == *b;
}

bool update_is_own_server(const char *server_url, const char *url)
{
    char own_host[CONFIG_HOST_MAX_CHARS + 1], host[CONFIG_HOST_MAX_CHARS + 1];
    uint16_t own_port = 0, port = 0;
    const char *path;
    return http_split_url(server_url, own_host, sizeof(own_host), &own_port, &path) &&
           http_split_url(url, host, sizeof(host), &port, &path) && port == own_port && is_same_host(own_host, host);
}

bool update_may_be_refused(const update_memory_t *memory, const char *execution_id)
{
    return !(memory->has_job && strcmp(memory->job.execution_id, execution_id) == 0) &&
           strcmp(memory->last.execution_id, execution_id) != 0;
}

/* By the ticket's number. True: there is nothing more to ask. */
static bool judge_order(const update_self_t *self, const ticket_t *ticket, update_verdict_t *out)
{
    const update_memory_t *memory = self->memory;
    if (ticket->seq > memory->seq) {
        return false;
    }
    if (!update_may_be_refused(memory, ticket->execution_id)) {
        *out = (update_verdict_t){JUDGED_KNOWN, REASON_NONE, "It is known already."};
    } else {
        *out = refused(REASON_REPLAYED, "Its ticket is not newer than one that was taken already.");
    }
    return true;
}

static update_verdict_t judge_who(const update_self_t *self, const manifest_t *manifest)
{
    uint16_t chip_id = 0;
    if (self->product != NULL && strcmp(self->product, manifest->product) != 0) {
        return refused(REASON_WRONG_PRODUCT, "The release is of another product.");
    }
    if (!manifest_has_family(manifest, self->family)) {
        return refused(REASON_WRONG_FAMILY, "The release is not for this family of devices.");
    }
    if (!image_chip_id(manifest->chip, &chip_id) || chip_id != self->chip_id) {
        return refused(REASON_WRONG_CHIP, "The release is for another chip.");
    }
    if (!manifest_has_hardware(manifest, self->hardware)) {
        return refused(REASON_WRONG_HARDWARE, "The release is not for this revision of the hardware.");
    }
    return (update_verdict_t){JUDGED_GOOD, REASON_NONE, ""};
}

static update_verdict_t judge_image(const update_self_t *self, const manifest_t *manifest)
{
    if (same(manifest->sha256, self->running_sha256)) {
        return refused(REASON_ALREADY_RUNNING, "This image is the one that runs.");
    }
    if (manifest->counter < self->memory->floor || manifest->counter < self->running_counter) {
        return refused(REASON_DOWNGRADE_REFUSED, "The release is older than what was confirmed here.");
    }
    if (self->running_counter < manifest->min_source_counter) {
        return refused(REASON_SOURCE_TOO_OLD, "What runs is too old for the release: one in between comes first.");
    }
    if (self->slot_bytes == 0) {
        return refused(REASON_TOO_LARGE, "This device has no slots for images: it runs without its launcher.");
    }
    if (manifest->size_bytes > self->slot_bytes) {
        return refused(REASON_TOO_LARGE, "The image is larger than a slot.");
    }
    if (update_memory_is_bad(self->memory, manifest->sha256)) {
        return refused(REASON_KNOWN_BAD, "The image failed here twice.");
    }
    return (update_verdict_t){JUDGED_GOOD, REASON_NONE, ""};
}

update_verdict_t update_judge(const update_self_t *self, const command_t *command, const manifest_t *manifest,
                              const ticket_t *ticket, const uint8_t manifest_sha256[SHA256_BYTES])
{
    update_verdict_t verdict;
    if (strcmp(ticket->gateway_code, self->gateway_code) != 0) {
        return refused(REASON_WRONG_GATEWAY, "The ticket is another gateway's.");
    }
    if (strcmp(ticket->execution_id, command->execution_id) != 0) {
        return refused(REASON_MALFORMED, "Command and ticket are of different executions.");
    }
    if (judge_order(self, ticket, &verdict)) {
        return verdict;
    }
    if (!same(manifest_sha256, ticket->manifest_sha256)) {
        return refused(REASON_HASH_MISMATCH, "The ticket is for another manifest.");
    }
    if (strcmp(manifest->version, command->version) != 0) {
        return refused(REASON_MALFORMED, "Command and manifest are of different versions.");
    }
    if (self->now_unix_s != 0 && self->now_unix_s >= ticket->exp_unix_s) {
        return refused(REASON_EXPIRED, "The ticket's time is over.");
    }
    verdict = judge_who(self, manifest);
    verdict = verdict.judgement == JUDGED_GOOD ? judge_image(self, manifest) : verdict;
    if (verdict.judgement == JUDGED_GOOD && !update_is_own_server(self->server_url, command->url)) {
        verdict = refused(REASON_FOREIGN_URL, "The address is not of the firmware server that this device is set to.");
    }
    if (verdict.judgement == JUDGED_GOOD && self->is_busy) {
        verdict = (update_verdict_t){JUDGED_LATER, REASON_NONE, "Another image is being installed."};
    }
    return verdict;
}

static bool is_given_up(image_state_t state)
{
    return state == IMAGE_INVALID || state == IMAGE_ABORTED;
}

/* This is the job's image. */
static update_start_t start_of_new(const update_found_t *found)
{
    switch (found->running) {
    case IMAGE_NEW:
    case IMAGE_PENDING_VERIFY:
        return START_ON_TRIAL;
    case IMAGE_VALID:
    case IMAGE_UNDEFINED: /* the boot loader keeps no trials */
        return START_CONFIRMED;
    case IMAGE_INVALID:
    case IMAGE_ABORTED: /* it was given up, and the other slot has nothing that could be started */
        break;
    }
    return START_WENT_BACK;
}

update_start_t update_start(const update_found_t *found)
{
    if (!found->has_job) {
        return START_PLAIN;
    }
    if (found->phase < PHASE_INSTALLING) {
        return START_RESUMES;
    }
    if (found->runs_it) {
        return start_of_new(found);
    }
    if (found->why != REASON_NONE || found->came_back || found->phase == PHASE_CONFIRMING) {
        return START_WENT_BACK;
    }
    /* The slot's state is of this image only if it was another before. */
    if (is_given_up(found->other) && !found->was_given_up) {
        return START_WENT_BACK;
    }
    return found->installs < 2 ? START_INSTALLS : START_WENT_BACK;
}
