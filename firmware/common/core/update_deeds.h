/* What the files of an update have in common: what happens runs through the table (update_table.h), and its deeds are
 * done here. For those files alone. */
#pragma once

#include "update.h"

#define UPDATE_NO_HASH "SHA-256 can't be had."

/* One moment, as the step has it. */
typedef struct {
    uint64_t now_ms;
    uint32_t random;
} update_at_t;

/* The state moves on, and what is to be done then is done; as often as one deed makes the next thing happen. `detail`
 * is a text that stays. */
void update_happen(update_t *update, update_happening_t happening, update_reason_t reason, const char *detail,
                   const update_at_t *at);

/* Deeds that a start does without the table, for it finds what the table had led to before. */
void update_begin(update_t *update, const update_at_t *at);
void update_fail(update_t *update, update_reason_t reason, const char *detail);
void update_confirm(update_t *update);

bool update_keep(update_t *update); /* its memory; false: the settings take nothing */
void update_set_phase(update_t *update, update_phase_t phase);
void update_from_first_byte(update_t *update); /* what was fetched is worth nothing */
void update_end_head(update_t *update);        /* the head is looked at no further */
uint8_t update_target_slot(const update_t *update);
bool update_is_hash(const uint8_t a[SHA256_BYTES], const uint8_t b[SHA256_BYTES]);
