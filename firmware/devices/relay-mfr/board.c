#include "board.h"

#include "../../common/drivers/sensor_board.h"
#include "../../common/drivers/sensor_readings.h"

static const sensor_device_t s_devices[] = {
    {NULL, sensor_readings_relay},
};
static sensor_board_t s_sensors = {.devices = s_devices, .count = sizeof(s_devices) / sizeof(s_devices[0])};

static const board_t s_board = {.family = "relay-mfr",
                                .hardware = "C",
                                .product = "relay",
                                .has_modem = false,
                                .ctx = &s_sensors,
                                .measure = sensor_board_measure};

const board_t *board(void)
{
    return &s_board;
}

void board_use(const sensors_t *sensors)
{
    s_sensors.sensors = sensors;
}
