#include "update_deeds.h"

#include <string.h>

bool update_request(update_t *update, http_request_t *out)
{
    const update_job_t *job = &update->memory.job;
    if (update->state != UPDATE_FETCHING || update->requested) {
        return false;
    }
    *out = (http_request_t){.url = job->url,
                            .etag = update->etag,
                            .from_bytes = update->have_bytes,
                            .max_bytes = job->size_bytes - update->have_bytes,
                            .limit_ms = UPDATE_REQUEST_MS};
    update->requested = true;
    update->progressed = false;
    return true;
}

/* It came to nothing. */
static void in_vain(update_t *update, update_happening_t happening, const update_at_t *at)
{
    update->tries++;
    if (update->tries > UPDATE_TRIES_MAX) {
        update_happen(update, HAPPENED_GIVEN_UP, REASON_DOWNLOAD_FAILED, "Too many requests came to nothing.", at);
    } else {
        update_happen(update, happening, REASON_NONE, "", at);
    }
}

static void denied(update_t *update, const update_at_t *at)
{
    update->denied++;
    if (update->denied >= UPDATE_DENIED_MAX) {
        update_happen(update, HAPPENED_GIVEN_UP, REASON_DOWNLOAD_FAILED, "The server does not give it to this device.",
                      at);
    } else {
        in_vain(update, HAPPENED_BUSY, at);
    }
}

static bool is_busy_status(uint16_t status)
{
    return status == 408 || status == 425 || status == 429 || status >= 500;
}

static void take_file(update_t *update, const http_answer_t *answer, const update_at_t *at)
{
    const bool from_there = answer->from_bytes == update->have_bytes;
    if (answer->whole_bytes >= 0 && answer->whole_bytes != update->memory.job.size_bytes) {
        update_happen(update, HAPPENED_WRONG_IMAGE, REASON_HASH_MISMATCH,
                      "The file is not as long as its manifest says.", at);
        return;
    }
    update->denied = 0;
    if (!from_there) {
        /* 200 to a question for a part: the file from its first byte, which is then taken. */
        update_happen(update, HAPPENED_ANEW, REASON_NONE, "", at);
        if (update->state == UPDATE_FETCHING && answer->from_bytes != 0) {
            update->to_cancel = true;
            update->requested = false;
        }
    }
    memcpy(update->etag, answer->etag, sizeof(update->etag));
}

void update_take_answer(update_t *update, const http_answer_t *answer, uint64_t now_ms, uint32_t random)
{
    const update_at_t at = {now_ms, random};
    if (update->state != UPDATE_FETCHING) {
        return;
    }
    update->retry_after_s = answer->retry_after_s;
    switch (answer->status) {
    case 200:
    case 206:
        update->retry_after_s = 0;
        take_file(update, answer, &at);
        break;
    case 410:
        update_happen(update, HAPPENED_WITHDRAWN, REASON_WITHDRAWN, "The release was withdrawn.", &at);
        break;
    case 416:
        update->to_cancel = true;
        update->requested = false;
        update_happen(update, HAPPENED_ANEW, REASON_NONE, "", &at);
        break;
    default: /* of all numbers that there are */
        if (is_busy_status(answer->status)) {
            in_vain(update, HAPPENED_BUSY, &at);
        } else {
            denied(update, &at);
        }
        break;
    }
}

static bool names_family(const char *families, const char *family)
{
    const size_t len = strlen(family);
    for (;;) {
        const size_t one_len = strcspn(families, ",");
        if (one_len == len && memcmp(families, family, len) == 0) {
            return true;
        }
        if (families[one_len] == '\0') {
            return false;
        }
        families += one_len + 1;
    }
}

/* As its first bytes say. NULL: so far it is what the manifest says; otherwise what is wrong, and `*reason`. */
static const char *wrong_head(update_t *update, update_reason_t *reason)
{
    const update_job_t *job = &update->memory.job;
    const image_t *image = &update->image;
    if (image->chip_id != update->options.chip_id) {
        *reason = REASON_WRONG_CHIP;
        return "The image is another chip's.";
    }
    if (!names_family(job->families, image->project)) {
        *reason = REASON_WRONG_FAMILY;
        return "The image is another family's.";
    }
    *reason = REASON_HASH_MISMATCH;
    return strcmp(image->version, job->version) == 0 ? NULL : "The image is of another version than its manifest says.";
}

static image_status_t take_head(update_t *update, const uint8_t *bytes, size_t len_bytes)
{
    const port_crypto_t *crypto = update->options.crypto;
    const size_t left_bytes = IMAGE_HEAD_BYTES - update->have_bytes; /* what is behind it is its hash's matter */
    image_status_t status = update->looks_at_head ? IMAGE_MORE : image_begin(&update->image, crypto);
    if (status == IMAGE_MORE) {
        status = image_take(&update->image, crypto, bytes, len_bytes < left_bytes ? len_bytes : left_bytes);
    }
    update->looks_at_head = status == IMAGE_MORE;
    return status;
}

/* False: it can't be what the manifest says, and the download is over. */
static bool look_at_head(update_t *update, const uint8_t *bytes, size_t len_bytes, const update_at_t *at)
{
    update_reason_t reason = REASON_HASH_MISMATCH;
    const char *wrong = NULL;
    if (update->head_is_good) {
        return true;
    }
    switch (take_head(update, bytes, len_bytes)) {
    case IMAGE_MORE:
    case IMAGE_WHOLE:
        break;
    case IMAGE_NONE:
        wrong = "What comes is no image.";
        break;
    case IMAGE_LOCAL_FAULT:
        reason = REASON_LOCAL_FAULT;
        wrong = UPDATE_NO_HASH;
        break;
    }
    if (update->image.head_known) {
        wrong = wrong_head(update, &reason);
        update_end_head(update);
        update->head_is_good = wrong == NULL;
    }
    if (wrong != NULL) {
        update_happen(update, HAPPENED_WRONG_IMAGE, reason, wrong, at);
    }
    return wrong == NULL;
}

/* How much of the piece is of the head. */
static size_t collect_head(update_t *update, const uint8_t *bytes, size_t len_bytes)
{
    const size_t left_bytes = update->head_is_good ? 0 : IMAGE_HEAD_BYTES - update->head_bytes;
    const size_t taken_bytes = len_bytes < left_bytes ? len_bytes : left_bytes;
    memcpy(update->head + update->head_bytes, bytes, taken_bytes);
    update->head_bytes = (uint16_t)(update->head_bytes + taken_bytes);
    return taken_bytes;
}

static void take(update_t *update, const uint8_t *bytes, size_t len_bytes, const update_at_t *at)
{
    if (!update->progressed) {
        update->progressed = true;
        update->tries = 0;
        backoff_reset(&update->pause);
    }
    update->piece = bytes;
    update->piece_len_bytes = len_bytes;
    update_happen(update, HAPPENED_PIECE, REASON_NONE, "", at);
    update->piece = NULL;
}

void update_take_piece(update_t *update, const uint8_t *bytes, size_t len_bytes, uint64_t now_ms, uint32_t random)
{
    const update_at_t at = {now_ms, random};
    const uint32_t left_bytes = update->memory.job.size_bytes - update->have_bytes - update->head_bytes;
    if (update->state != UPDATE_FETCHING || !update->requested || len_bytes == 0) {
        return;
    }
    if (len_bytes > left_bytes) {
        update_happen(update, HAPPENED_WRONG_IMAGE, REASON_HASH_MISMATCH, "The file is longer than its manifest says.",
                      &at);
        return;
    }
    const size_t of_head_bytes = collect_head(update, bytes, len_bytes);
    if (of_head_bytes > 0 && update->head_bytes == IMAGE_HEAD_BYTES) {
        if (!look_at_head(update, update->head, IMAGE_HEAD_BYTES, &at)) {
            return;
        }
        update->head_bytes = 0;
        take(update, update->head, IMAGE_HEAD_BYTES, &at);
    }
    if (len_bytes > of_head_bytes && update->state == UPDATE_FETCHING) {
        take(update, bytes + of_head_bytes, len_bytes - of_head_bytes, &at);
    }
}

void update_take_end(update_t *update, http_end_t end, uint64_t now_ms, uint32_t random)
{
    const update_at_t at = {now_ms, random};
    if (update->state != UPDATE_FETCHING || !update->requested) {
        return;
    }
    update->requested = false; /* it is over: nothing is to be cancelled */
    if (end == HTTP_TOO_LONG) {
        update_happen(update, HAPPENED_WRONG_IMAGE, REASON_HASH_MISMATCH, "The file is longer than its manifest says.",
                      &at);
    } else if (update->progressed) {
        update_happen(update, HAPPENED_CUT, REASON_NONE, "", &at);
    } else {
        in_vain(update, HAPPENED_CUT, &at);
    }
}
