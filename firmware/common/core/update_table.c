#include "update_table.h"

#include <stdbool.h>

#define ROW(state) [UPDATE_##state]
#define ON(happening, next, deed) [HAPPENED_##happening] = {true, {UPDATE_##next, DEED_##deed}}

typedef struct {
    bool matters;
    update_move_t move;
} cell_t;

/* A cell that is not there does not matter: a late word of a request that was given up, a second acknowledgement. */
static const cell_t TABLE[UPDATE_STATES][UPDATE_HAPPENINGS] = {
    ROW(IDLE) =
        {
            ON(ACCEPTED, WAITING, BEGIN),
        },
    ROW(WAITING) =
        {
            ON(ACCEPTED, WAITING, BEGIN),
            ON(DUE, FETCHING, FETCH),
            ON(EXPIRED, IDLE, FAIL),
            ON(WITHDRAWN, IDLE, FAIL),
        },
    ROW(FETCHING) =
        {
            ON(ACCEPTED, WAITING, BEGIN),
            ON(EXPIRED, IDLE, FAIL),
            ON(WITHDRAWN, IDLE, FAIL),
            ON(BUSY, PAUSING, PAUSE),
            ON(GIVEN_UP, IDLE, FAIL),
            ON(ANEW, FETCHING, RESTART),
            ON(PIECE, FETCHING, WRITE),
            ON(CUT, PAUSING, PAUSE),
            ON(WHOLE, HASHING, HASH),
            ON(WRONG_IMAGE, IDLE, FAIL),
            ON(FLASH_FAILED, IDLE, FAIL),
        },
    ROW(PAUSING) =
        {
            ON(ACCEPTED, WAITING, BEGIN),
            ON(DUE, FETCHING, FETCH),
            ON(EXPIRED, IDLE, FAIL),
            ON(WITHDRAWN, IDLE, FAIL),
        },
    ROW(HASHING) =
        {
            ON(ACCEPTED, WAITING, BEGIN),
            ON(EXPIRED, IDLE, FAIL),
            ON(WITHDRAWN, IDLE, FAIL),
            ON(ANEW, FETCHING, RESTART),
            ON(FLASH_FAILED, IDLE, FAIL),
            ON(HASH_WRONG, IDLE, FAIL),
            ON(HASH_RIGHT, LEAVING, INSTALL),
        },
    /* From here on the boot loader may start it at any moment: nothing ends it any more but how it turns out. */
    ROW(LEAVING) =
        {
            ON(FLASH_FAILED, IDLE, FAIL),
            ON(BOOT_REFUSED, IDLE, FAIL),
            ON(TOLD, LEAVING, REBOOT),
        },
    ROW(ON_TRIAL) =
        {
            ON(PROVEN, IDLE, CONFIRM),
            ON(SELF_TEST_FAILED, GOING_BACK, GO_BACK),
            ON(TOO_LATE, GOING_BACK, GO_BACK),
        },
    ROW(GOING_BACK) = {[0] = {false, {UPDATE_GOING_BACK, DEED_NONE}}},
};

update_move_t update_move(update_state_t state, update_happening_t happening)
{
    const cell_t *cell = &TABLE[state][happening];
    return cell->matters ? cell->move : (update_move_t){state, DEED_NONE};
}

const char *update_state_name(update_state_t state)
{
    static const char *const NAMES[UPDATE_STATES] = {
        [UPDATE_IDLE] = "idle",         [UPDATE_WAITING] = "waiting for its moment",
        [UPDATE_FETCHING] = "fetching", [UPDATE_PAUSING] = "waiting to fetch on",
        [UPDATE_HASHING] = "hashing",   [UPDATE_LEAVING] = "about to restart",
        [UPDATE_ON_TRIAL] = "on trial", [UPDATE_GOING_BACK] = "going back",
    };
    return NAMES[state];
}
