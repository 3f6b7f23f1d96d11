#include "sensor_board.h"

bool sensor_board_measure(void *ctx, uint8_t index, const char *own_code, uint64_t since_boot_ms, sample_t *out)
{
    const sensor_board_t *board = ctx;
    (void)since_boot_ms;
    if (index >= board->count) {
        return false;
    }
    const sensor_device_t *device = &board->devices[index];
    if (!sample_init(out, device->code != NULL ? device->code : own_code)) {
        return false;
    }
    device->read(board->sensors, out);
    return true;
}
