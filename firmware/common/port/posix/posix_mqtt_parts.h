/* What the sources of posix_mqtt have of one another. */
#pragma once

#include "posix_mqtt.h"

/* posix_mqtt_connect.c: the name, its addresses, TCP and TLS, until CONNECT is sent */
void posix_mqtt_connect(posix_mqtt_t *mqtt, const app_mqtt_options_t *options);
/* While the state is one of these; `found`: what poll() found of its socket. */
void posix_mqtt_serve_connecting(posix_mqtt_t *mqtt, uint64_t now_ms, short found);

/* posix_mqtt_end.c: how a connection ends, and what is told of it */
void posix_mqtt_let_go(posix_mqtt_t *mqtt); /* without a word to either side */
void posix_mqtt_fail(posix_mqtt_t *mqtt, failure_t failure, const char *why);
void posix_mqtt_ended_before_online(posix_mqtt_t *mqtt, int error);
void posix_mqtt_settle(posix_mqtt_t *mqtt, int error); /* after each call that may have ended the connection */
