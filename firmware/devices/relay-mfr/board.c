#include "board.h"

#include "../../common/drivers/sensor_readings.h"

static const sensors_t *s_sensors;

static bool measure(void *ctx, uint8_t index, const char *own_code, uint64_t since_boot_ms, sample_t *out)
{
    (void)ctx;
    (void)since_boot_ms;
    switch (index) {
    case 0:
        if (!sample_init(out, own_code)) {
            return false;
        }
        sensor_readings_relay(s_sensors, out);
        return true;
    default: /* a number, not an enum */
        return false;
    }
}

static const board_t s_board = {.family = "relay-mfr", .hardware = "C", .has_modem = false, .measure = measure};

const board_t *board(void)
{
    return &s_board;
}

void board_use(const sensors_t *sensors)
{
    s_sensors = sensors;
}
