#include "demo_board.h"

#include <time.h>

static const char *const CODES[DEMO_SENSORS] = {"D01", "D02", "D03"};

static void add(sample_t *out, const char *tipo, const char *unidade, double value, uint8_t places)
{
    decimal_t valor;
    if (decimal_from_double(value, places, &valor)) {
        (void)sample_add(out, tipo, unidade, valor);
    }
}

void demo_sample(const char *gateway_code, int64_t unix_s, sample_t *out)
{
    demo_series_t series;
    demo_series_init(&series, gateway_code, out->device_code);
    add(out, "temperatura", "°C", demo_temperature_c(&series, unix_s), 1);
    add(out, "umidade", "%", demo_humidity_pct(&series, unix_s), 1);
    add(out, "energia", "kWh", demo_energy_kwh(&series, unix_s), 3);
    add(out, "tensao", "V", demo_voltage_v(&series, unix_s), 1);
}

static bool measure(void *ctx, uint8_t index, const char *own_code, uint64_t since_boot_ms, sample_t *out)
{
    demo_board_t *demo = ctx;
    if (index >= DEMO_SENSORS) {
        const uint8_t under_index = (uint8_t)(index - DEMO_SENSORS + 1);
        return demo->under->measure(demo->under->ctx, under_index, own_code, since_boot_ms, out);
    }
    if (index == 0) {
        demo->unix_s = (int64_t)time(NULL);
    }
    if (!sample_init(out, CODES[index])) {
        return false;
    }
    demo_sample(demo->gateway_code, demo->unix_s, out);
    return true;
}

static void leds(void *ctx, led_t run, led_t fault)
{
    const demo_board_t *demo = ctx;
    demo->under->leds(demo->under->ctx, run, fault);
}

const board_t *demo_board_init(demo_board_t *demo, const board_t *under, const char *gateway_code)
{
    *demo = (demo_board_t){.under = under, .gateway_code = gateway_code, .board = *under};
    demo->board.ctx = demo;
    demo->board.measure = measure;
    demo->board.leds = under->leds == NULL ? NULL : leds;
    return &demo->board;
}
