#include "chip_leds.h"

#include <stdatomic.h>

#include "driver/gpio.h"
#include "esp_timer.h"

#define STEP_US 125000 /* fast: on and off by turns */
#define SLOW_STEPS 8   /* slow: a second each */

static atomic_int s_run = LED_OFF, s_fault = LED_OFF;

static uint32_t level(int led, uint32_t step)
{
    switch ((led_t)led) {
    case LED_OFF:
        return 0;
    case LED_ON:
        return 1;
    case LED_BLINK_SLOW:
        return step / SLOW_STEPS % 2;
    case LED_BLINK_FAST:
        return step % 2;
    }
    return 0;
}

static void on_step(void *ctx)
{
    (void)ctx;
    static uint32_t step;
    step++;
    (void)gpio_set_level(CHIP_LED_RUN_GPIO, level(atomic_load(&s_run), step));
    (void)gpio_set_level(CHIP_LED_FAULT_GPIO, level(atomic_load(&s_fault), step));
}

bool chip_leds_init(void)
{
    const gpio_config_t pins = {
        .pin_bit_mask = BIT64(CHIP_LED_RUN_GPIO) | BIT64(CHIP_LED_FAULT_GPIO),
        .mode = GPIO_MODE_OUTPUT,
    };
    const esp_timer_create_args_t steps = {.callback = on_step, .name = "leds"};
    esp_timer_handle_t timer;
    return gpio_config(&pins) == ESP_OK && esp_timer_create(&steps, &timer) == ESP_OK &&
           esp_timer_start_periodic(timer, STEP_US) == ESP_OK;
}

void chip_leds_set(void *ctx, led_t run, led_t fault)
{
    (void)ctx;
    atomic_store(&s_run, (int)run);
    atomic_store(&s_fault, (int)fault);
}
