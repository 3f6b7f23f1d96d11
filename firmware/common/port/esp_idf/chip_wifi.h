/* The network by Wi-Fi, and the time by SNTP once it is up. */
#pragma once

#include "../port_network.h"

/* The radio is brought up with the first start(), and again by restart() if that failed. */
void chip_wifi_init(port_network_t *port);
