/* NOR flash, as the outbox uses it: a write only clears bits, an erase sets a whole sector to 0xFF. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    void *ctx;
    uint32_t size_bytes; /* of the area, a multiple of OUTBOX_SECTOR_BYTES; offsets count from its start */
    bool (*read)(void *ctx, uint32_t offset_bytes, void *out, size_t len_bytes);
    bool (*write)(void *ctx, uint32_t offset_bytes, const void *data, size_t len_bytes); /* true: it is on the medium */
    bool (*erase)(void *ctx, uint32_t offset_bytes, size_t len_bytes);
} port_flash_t;
