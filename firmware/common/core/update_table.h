/* THE table of an update on a device: what each thing that can happen does in each state. Data; update.c does it.
 * docs/updates.md of the firmware has the picture. */
#pragma once

typedef enum {
    UPDATE_IDLE,
    UPDATE_WAITING,    /* accepted; its moment (`not_before`) is not there yet */
    UPDATE_FETCHING,   /* downloading: a request is to be made, or runs */
    UPDATE_PAUSING,    /* downloading: between two requests */
    UPDATE_HASHING,    /* downloaded: what is in the slot is hashed */
    UPDATE_LEAVING,    /* verified, and set to boot: it says that it restarts, and then does */
    UPDATE_ON_TRIAL,   /* confirming: the new image runs */
    UPDATE_GOING_BACK, /* the new image gave itself up: restarts into the former one */
    UPDATE_STATES
} update_state_t;

typedef enum {
    HAPPENED_ACCEPTED,    /* a command passed all checks; anything else that was under way is given up for it */
    HAPPENED_DUE,         /* what was waited for is over */
    HAPPENED_EXPIRED,     /* the ticket's time is over */
    HAPPENED_WITHDRAWN,   /* 410; or the key of the manifest was revoked */
    HAPPENED_BUSY,        /* the server takes nobody now */
    HAPPENED_GIVEN_UP,    /* it does not give it to this device, or too many requests came to nothing */
    HAPPENED_ANEW,        /* it can't go on where it was left */
    HAPPENED_PIECE,       /* bytes of it came */
    HAPPENED_CUT,         /* the request ended before all was there */
    HAPPENED_WHOLE,       /* all bytes are in the slot */
    HAPPENED_WRONG_IMAGE, /* another chip's, another family's, of another length than its manifest says */
    HAPPENED_FLASH_FAILED,
    HAPPENED_HASH_WRONG,
    HAPPENED_HASH_RIGHT,
    HAPPENED_BOOT_REFUSED, /* the slot can't be set to boot */
    HAPPENED_TOLD,         /* the report of what it is about to do was acknowledged, or that took too long */
    HAPPENED_PROVEN,       /* the new image did all that it has to */
    HAPPENED_SELF_TEST_FAILED,
    HAPPENED_TOO_LATE, /* the trial's time is over */
    UPDATE_HAPPENINGS
} update_happening_t;

typedef enum {
    DEED_NONE,
    DEED_BEGIN,   /* a new job: from the first byte, or where the same image was left; now, or at its moment */
    DEED_FETCH,   /* asks for the image, from where it is */
    DEED_PAUSE,   /* waits with full jitter, or as long as the server asks for */
    DEED_RESTART, /* from the first byte */
    DEED_WRITE,
    DEED_HASH, /* begins to */
    DEED_INSTALL,
    DEED_REBOOT,
    DEED_CONFIRM,
    DEED_GO_BACK,
    DEED_FAIL, /* it is over, with a reason */
    UPDATE_DEEDS
} update_deed_t;

typedef struct {
    update_state_t next;
    update_deed_t deed; /* DEED_NONE and the same state: it does not matter here */
} update_move_t;

update_move_t update_move(update_state_t state, update_happening_t happening);
const char *update_state_name(update_state_t state); /* for logs and the console */
