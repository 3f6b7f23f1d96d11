/* The kinds of records in an outbox's log; private to outbox*.c. Numbers on flash: never reuse one. */
#pragma once

#define OUTBOX_KIND_STAMPED 1
#define OUTBOX_KIND_WAITING 2 /* its moment is of the boot in its header, and waits for an offset */
#define OUTBOX_KIND_OFFSET 3  /* of the boot in its header: for the waiting ones before it, never for those behind */
#define OUTBOX_OFFSET_BYTES 8
