#include "board.h"
#include "chip_device.h"

void app_main(void);

void app_main(void)
{
    chip_device_run(board());
}
