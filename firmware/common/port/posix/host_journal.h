/* What the outbox of this device took, for who compares it with what a platform has: a line of JSON a sample, with the
 * time that it is sent under. Written as soon as that time is known. A record that is still in the outbox after a
 * restart is written again, for the former run may have been killed before it could; both lines say the same, or the
 * device gave one measurement two times. */
#pragma once

#include "../../core/outbox.h"

typedef struct {
    int file;     /* -1: none is kept */
    uint32_t seq; /* the next one to write */
    outbox_t reader;
    sample_t sample;
} host_journal_t;

/* False, with errno: the file can't be written. `path` NULL: none is kept. */
bool host_journal_open(host_journal_t *journal, const char *path, const outbox_t *outbox);
void host_journal_step(host_journal_t *journal, const outbox_t *outbox);
void host_journal_close(host_journal_t *journal);
