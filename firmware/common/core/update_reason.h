/* Why an update did not go on, and how far it came: the words of docs/firmware-updates.md. Pure. Their numbers are kept
 * in settings (update_memory.c): a new one stands behind the others. */
#pragma once

typedef enum {
    REASON_NONE,
    REASON_DOWNLOAD_FAILED,
    REASON_HASH_MISMATCH,
    REASON_MALFORMED,
    REASON_SIGNATURE_INVALID,
    REASON_KEY_UNKNOWN,
    REASON_KEY_REVOKED,
    REASON_KEY_OUT_OF_TIME,
    REASON_WRONG_GATEWAY,
    REASON_WRONG_PRODUCT,
    REASON_WRONG_FAMILY,
    REASON_WRONG_HARDWARE,
    REASON_WRONG_CHIP,
    REASON_DOWNGRADE_REFUSED,
    REASON_SOURCE_TOO_OLD,
    REASON_REPLAYED,
    REASON_EXPIRED,
    REASON_FOREIGN_URL,
    REASON_TOO_LARGE,
    REASON_KNOWN_BAD,
    REASON_ALREADY_RUNNING,
    REASON_NO_TRUST,
    REASON_FLASH_FAILED,
    REASON_NOT_BOOTABLE,
    REASON_SELF_TEST_FAILED,
    REASON_NOT_CONFIRMED,
    REASON_ROLLED_BACK,
    REASON_SUPERSEDED,
    REASON_WITHDRAWN,
    REASON_LOCAL_FAULT,
    UPDATE_REASONS
} update_reason_t;

typedef enum {
    PHASE_NONE,
    PHASE_DOWNLOADING,
    PHASE_DOWNLOADED,
    PHASE_VERIFIED,
    PHASE_INSTALLING,
    PHASE_REBOOTING,
    PHASE_CONFIRMING,
    UPDATE_PHASES
} update_phase_t;

typedef enum { STATUS_IN_PROGRESS, STATUS_REJECTED, STATUS_FAILED, STATUS_SUCCEEDED, UPDATE_STATUSES } update_status_t;

const char *update_reason_name(update_reason_t reason); /* "hash_mismatch"; REASON_NONE: "" */
const char *update_phase_name(update_phase_t phase);
const char *update_status_name(update_status_t status);
