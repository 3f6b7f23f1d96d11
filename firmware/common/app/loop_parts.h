/* What the files of the loop share; nobody else includes it, but their test. */
#pragma once

#include "loop.h"

/* loop.c */
void loop_perform(loop_t *loop, const action_t *action);

/* loop_log.c: what the log says of a device, in sentences; once for each change. */
void loop_log(loop_t *loop, uint64_t now_ms, const event_t *event);
void loop_log_action(loop_t *loop, const action_t *action);
