#include "update_reason.h"

const char *update_reason_name(update_reason_t reason)
{
    static const char *const NAMES[UPDATE_REASONS] = {
        [REASON_NONE] = "",
        [REASON_DOWNLOAD_FAILED] = "download_failed",
        [REASON_HASH_MISMATCH] = "hash_mismatch",
        [REASON_MALFORMED] = "malformed",
        [REASON_SIGNATURE_INVALID] = "signature_invalid",
        [REASON_KEY_UNKNOWN] = "key_unknown",
        [REASON_KEY_REVOKED] = "key_revoked",
        [REASON_KEY_OUT_OF_TIME] = "key_out_of_time",
        [REASON_WRONG_GATEWAY] = "wrong_gateway",
        [REASON_WRONG_PRODUCT] = "wrong_product",
        [REASON_WRONG_FAMILY] = "wrong_family",
        [REASON_WRONG_HARDWARE] = "wrong_hardware",
        [REASON_WRONG_CHIP] = "wrong_chip",
        [REASON_DOWNGRADE_REFUSED] = "downgrade_refused",
        [REASON_SOURCE_TOO_OLD] = "source_too_old",
        [REASON_REPLAYED] = "replayed",
        [REASON_EXPIRED] = "expired",
        [REASON_FOREIGN_URL] = "foreign_url",
        [REASON_TOO_LARGE] = "too_large",
        [REASON_KNOWN_BAD] = "known_bad",
        [REASON_ALREADY_RUNNING] = "already_running",
        [REASON_NO_TRUST] = "no_trust",
        [REASON_FLASH_FAILED] = "flash_failed",
        [REASON_NOT_BOOTABLE] = "not_bootable",
        [REASON_SELF_TEST_FAILED] = "self_test_failed",
        [REASON_NOT_CONFIRMED] = "not_confirmed",
        [REASON_ROLLED_BACK] = "rolled_back",
        [REASON_SUPERSEDED] = "superseded",
        [REASON_WITHDRAWN] = "withdrawn",
        [REASON_LOCAL_FAULT] = "local_fault",
    };
    return NAMES[reason];
}

const char *update_phase_name(update_phase_t phase)
{
    static const char *const NAMES[UPDATE_PHASES] = {
        [PHASE_NONE] = "",
        [PHASE_DOWNLOADING] = "downloading",
        [PHASE_DOWNLOADED] = "downloaded",
        [PHASE_VERIFIED] = "verified",
        [PHASE_INSTALLING] = "installing",
        [PHASE_REBOOTING] = "rebooting",
        [PHASE_CONFIRMING] = "confirming",
    };
    return NAMES[phase];
}

const char *update_status_name(update_status_t status)
{
    static const char *const NAMES[UPDATE_STATUSES] = {
        [STATUS_IN_PROGRESS] = "IN_PROGRESS",
        [STATUS_REJECTED] = "REJECTED",
        [STATUS_FAILED] = "FAILED",
        [STATUS_SUCCEEDED] = "SUCCEEDED",
    };
    return NAMES[status];
}
