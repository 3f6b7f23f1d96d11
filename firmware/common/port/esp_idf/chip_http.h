/* port_http by ESP-IDF's esp_http_client.
 *
 * That client waits: for a name, a handshake, the next bytes. So a task of ours asks, one request after the other, and
 * is there only while there is one. Each of its events waits until the device has done with the one before, and nothing
 * is read from the network meanwhile: a full flash holds up the server, and no memory fills.
 */
#pragma once

#include "../../core/step.h"
#include "../port_http.h"

void chip_http_init(port_http_t *port);

/* For chip_events_init(), in the device's task. Requests are counted; events of another one are of the past. */
bool chip_http_accepts(uint32_t request, event_t *event);
void chip_http_used(uint32_t request); /* what was handed out of it is done with */
