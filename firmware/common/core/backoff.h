/* Exponential backoff with full jitter ("Exponential Backoff And Jitter", AWS Architecture Blog, 2015). Pure. */
#pragma once

#include <stdint.h>

typedef struct {
    uint32_t first_ms;
    uint32_t max_ms;
    uint32_t ceiling_ms;
} backoff_t;

void backoff_init(backoff_t *backoff, uint32_t first_ms, uint32_t max_ms);
uint32_t backoff_next(backoff_t *backoff, uint32_t random); /* 0 to the ceiling, which then doubles up to the maximum */
void backoff_reset(backoff_t *backoff);
