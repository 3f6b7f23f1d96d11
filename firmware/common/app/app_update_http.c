/* What is asked of the firmware server, one request at a time, and what is made of the answers. */
#include <stdio.h>
#include <string.h>

#include "app_update_parts.h"

/* A small answer is collected; pieces of an image go on to where they belong. */
static void take_piece(app_t *app, uint64_t now_ms, uint32_t random, const event_t *event)
{
    app_updates_t *updates = &app->updates;
    const size_t len_bytes = event->http_piece.len_bytes;
    if (updates->asking == ASKS_IMAGE) {
        update_take_piece(&updates->update, event->http_piece.bytes, len_bytes, now_ms, random);
        return;
    }
    if (len_bytes > (size_t)(COMMAND_MAX_BYTES - updates->body_len_bytes)) {
        updates->body_is_too_long = true;
        return;
    }
    memcpy(updates->body + updates->body_len_bytes, event->http_piece.bytes, len_bytes);
    updates->body_len_bytes = (uint16_t)(updates->body_len_bytes + len_bytes);
}

static void take_answer(app_t *app, uint64_t now_ms, uint32_t random, const http_answer_t *answer)
{
    app_updates_t *updates = &app->updates;
    updates->status = answer->status;
    updates->retry_after_s = answer->retry_after_s;
    if (updates->asking == ASKS_IMAGE) {
        update_take_answer(&updates->update, answer, now_ms, random);
    }
}

static bool is_good(const app_updates_t *updates, http_end_t end)
{
    return end == HTTP_WHOLE && !updates->body_is_too_long;
}

static void end_of_trust(app_t *app, uint64_t now_ms, uint32_t random, http_end_t end)
{
    app_updates_t *updates = &app->updates;
    bool ok = is_good(updates, end) && (updates->status == 304 || updates->status == 404);
    if (is_good(updates, end) && updates->status == 200) {
        app_take_trust(app, now_ms, &ok);
    }
    const int64_t unix_s = app_unix_s(app, now_ms);
    const int64_t left_s = unix_s != 0 && updates->trust.version > 0 ? updates->trust.exp_unix_s - unix_s : INT64_MAX;
    update_poll_asked_trust(&updates->poll, now_ms, ok, updates->retry_after_s, left_s, random);
}

static void end_of_assignment(app_t *app, uint64_t now_ms, uint32_t random, http_end_t end)
{
    app_updates_t *updates = &app->updates;
    const bool has_command = is_good(updates, end) && updates->status == 200;
    const bool ok = has_command || (is_good(updates, end) && updates->status == 204);
    command_t command;
    /* First, for a command by an unknown key has it asked for once more. */
    update_poll_asked(&updates->poll, now_ms, ok, updates->retry_after_s, random);
    if (!has_command) {
        return;
    }
    command_parse(app->options.gateway_code, app->update_topic, (const uint8_t *)updates->body, updates->body_len_bytes,
                  &command);
    if (command.type == COMMAND_UPDATE) {
        app->commands++;
        app_judge(app, now_ms, &command);
    } else if (command.type == COMMAND_REFUSED) {
        app->commands_refused++;
        app->refusal = command.refusal;
    }
}

static void end_of_report(app_t *app, uint64_t now_ms, uint32_t random, http_end_t end)
{
    app_updates_t *updates = &app->updates;
    const uint16_t status = updates->status;
    /* What it does not take for what it says is the same the next time. */
    if (end == HTTP_WHOLE && (status == 200 || status == 204 || status == 400)) {
        app_report_told(app, now_ms, &updates->posted);
        return;
    }
    const uint64_t pause_ms = updates->retry_after_s > 0 ? (uint64_t)updates->retry_after_s * 1000
                                                         : backoff_next(&updates->tell_pause, random);
    updates->tell_due_ms = now_ms + APP_TELL_AGAIN_S * 1000 + pause_ms;
}

static void end_request(app_t *app, uint64_t now_ms, uint32_t random, http_end_t end)
{
    app_updates_t *updates = &app->updates;
    const app_asking_t asked = updates->asking;
    updates->asking = ASKS_NOTHING;
    switch (asked) {
    case ASKS_NOTHING:
        break;
    case ASKS_TRUST:
        end_of_trust(app, now_ms, random, end);
        break;
    case ASKS_ASSIGNMENT:
        end_of_assignment(app, now_ms, random, end);
        break;
    case ASKS_IMAGE:
        update_take_end(&updates->update, end, now_ms, random);
        break;
    case TELLS:
        end_of_report(app, now_ms, random, end);
        break;
    }
}

void app_take_http(app_t *app, uint64_t now_ms, uint32_t random, const event_t *event)
{
    app_updates_t *updates = &app->updates;
    if (updates->asking == ASKS_NOTHING) {
        return; /* a late word of one that was given up */
    }
    if (event->type == EVENT_HTTP_ANSWER && event->http_answer->number == updates->number) {
        take_answer(app, now_ms, random, event->http_answer);
    } else if (event->type == EVENT_HTTP_PIECE && event->http_piece.number == updates->number) {
        take_piece(app, now_ms, random, event);
    } else if (event->type == EVENT_HTTP_END && event->http_end.number == updates->number) {
        end_request(app, now_ms, random, event->http_end.end);
    } else if (now_ms >= updates->asked_until_ms) {
        updates->to_cancel = true;
        end_request(app, now_ms, random, HTTP_TOO_SLOW);
    }
}

static bool may_ask(const app_t *app)
{
    return app->updates.asking == ASKS_NOTHING && !app->updates.to_cancel && app->connection.state != LINK_NO_NETWORK &&
           config_text(&app->config, CONFIG_OTA_URL)[0] != '\0';
}

static void ask(app_t *app, app_asking_t asking, const char *path)
{
    app_updates_t *updates = &app->updates;
    const char *server = config_text(&app->config, CONFIG_OTA_URL);
    const size_t len = strlen(server);
    (void)snprintf(updates->url, sizeof(updates->url), "%.*s%s",
                   (int)(len > 0 && server[len - 1] == '/' ? len - 1 : len), server, path);
    updates->request =
        (http_request_t){.url = updates->url, .etag = "", .max_bytes = COMMAND_MAX_BYTES, .limit_ms = APP_ASK_MS};
    updates->asking = asking;
}

static void ask_for_trust(app_t *app)
{
    app_updates_t *updates = &app->updates;
    ask(app, ASKS_TRUST, "/ota/v1/trust");
    if (updates->trust.version > 0) { /* its ETag */
        (void)snprintf(updates->etag, sizeof(updates->etag), "\"%lu\"", (unsigned long)updates->trust.version);
        updates->request.etag = updates->etag;
    }
}

static void tell(app_t *app, uint64_t now_ms)
{
    app_updates_t *updates = &app->updates;
    ask(app, TELLS, "/ota/v1/report");
    updates->request.body_len_bytes = (uint16_t)app_print_report(app, now_ms, &updates->posted);
    updates->request.body = updates->scratch.report;
}

/* What comes next: keys first, with which the rest is judged; the image last, since it takes as long as there is. */
static bool choose(app_t *app, uint64_t now_ms)
{
    app_updates_t *updates = &app->updates;
    if (now_ms >= updates->poll.trust.due_ms) {
        ask_for_trust(app);
    } else if (app_report_is_to_be_posted(app, now_ms)) {
        tell(app, now_ms);
    } else if (now_ms >= updates->poll.assignment.due_ms) {
        ask(app, ASKS_ASSIGNMENT, "/ota/v1/assignment");
    } else if (update_request(&updates->update, &updates->request)) {
        updates->asking = ASKS_IMAGE;
    } else {
        return false;
    }
    updates->number++;
    updates->request.number = updates->number;
    updates->status = 0;
    updates->retry_after_s = 0;
    updates->body_len_bytes = 0;
    updates->body_is_too_long = false;
    updates->asked_until_ms = now_ms + updates->request.limit_ms + APP_ASK_GUARD_MS;
    return true;
}

void app_say_http(app_t *app, uint64_t now_ms, actions_t *actions)
{
    app_updates_t *updates = &app->updates;
    if (updates->update.to_cancel) {
        updates->update.to_cancel = false;
        if (updates->asking == ASKS_IMAGE) {
            updates->asking = ASKS_NOTHING;
            updates->to_cancel = true;
        }
    }
    if (updates->to_cancel && actions_add(actions, ACTION_HTTP_CANCEL) != NULL) {
        updates->to_cancel = false;
    }
    /* Begun in the step in which it is chosen: its texts are good for that long. */
    if (may_ask(app) && actions->count < ACTIONS_MAX && choose(app, now_ms)) {
        actions_add(actions, ACTION_HTTP_BEGIN)->http = &updates->request;
    }
}

uint64_t app_http_due_ms(const app_t *app, uint64_t now_ms)
{
    const app_updates_t *updates = &app->updates;
    if (updates->to_cancel || updates->update.to_cancel) {
        return now_ms;
    }
    if (updates->asking != ASKS_NOTHING) {
        return updates->asked_until_ms;
    }
    if (!may_ask(app)) {
        return UINT64_MAX;
    }
    if ((updates->update.state == UPDATE_FETCHING && !updates->update.requested) ||
        app_report_is_to_be_posted(app, now_ms)) {
        return now_ms;
    }
    const uint64_t trust_ms = updates->poll.trust.due_ms, assignment_ms = updates->poll.assignment.due_ms;
    return trust_ms < assignment_ms ? trust_ms : assignment_ms;
}
