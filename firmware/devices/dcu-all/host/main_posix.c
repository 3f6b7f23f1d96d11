#include "../board.h"
#include "host_device.h"

int main(int argc, char **argv)
{
    return host_device_main(argc, argv, board(), board_use);
}
