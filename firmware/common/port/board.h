/* A board: what it measures, its lights. One a family, in devices/<family>/board.c; the same struct for chip and host.
 */
#pragma once

#include "../core/sample.h"

typedef enum { LED_OFF, LED_ON, LED_BLINK_SLOW, LED_BLINK_FAST } led_t;

typedef struct {
    const char *family;   /* "dcu-0080" */
    const char *hardware; /* revision */
    const char *product;  /* whose releases it takes; NULL: not asked for */
    bool has_modem;
    void *ctx;
    /* Fills readings of the board's `index`-th device at this moment; `own_code` is the configured code of device 0.
     * False: it has no more devices. A sensor that does not answer is left out of the sample; a sample may stay empty,
     * and is not sent then. */
    bool (*measure)(void *ctx, uint8_t index, const char *own_code, uint64_t since_boot_ms, sample_t *out);
    void (*leds)(void *ctx, led_t run, led_t fault); /* NULL: it has none */
    /* Asked while a new image is on trial. NULL, or a sentence on what does not work. NULL: it has none. */
    const char *(*self_test)(void *ctx);
} board_t;
