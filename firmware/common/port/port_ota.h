/* The two image slots and what the boot loader knows of them, with ESP-IDF's states (esp_ota_img_states_t, "App
 * rollback"). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum {
    IMAGE_NEW,            /* written, boots next as pending */
    IMAGE_PENDING_VERIFY, /* runs for the first time; a reset before it is confirmed goes back */
    IMAGE_VALID,
    IMAGE_INVALID,   /* went back by its own word */
    IMAGE_ABORTED,   /* went back by a reset while pending */
    IMAGE_UNDEFINED, /* no entry: the factory's first image */
} image_state_t;

typedef struct {
    void *ctx;
    uint8_t (*running_slot)(void *ctx); /* 0 or 1 */
    image_state_t (*state)(void *ctx, uint8_t slot);
    uint32_t (*slot_bytes)(void *ctx);
    bool (*erase)(void *ctx, uint8_t slot, uint32_t offset_bytes, uint32_t len_bytes);
    bool (*write)(void *ctx, uint8_t slot, uint32_t offset_bytes, const void *data, size_t len_bytes);
    bool (*read)(void *ctx, uint8_t slot, uint32_t offset_bytes, void *out, size_t len_bytes);
    bool (*set_boot)(void *ctx, uint8_t slot); /* IMAGE_NEW from the next boot on */
    bool (*confirm)(void *ctx);                /* the running one: IMAGE_VALID */
    void (*roll_back)(void *ctx);              /* the running one: IMAGE_INVALID; reboots into the other */
} port_ota_t;
