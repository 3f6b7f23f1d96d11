#pragma once

#include <sys/time.h>

typedef enum { SNTP_SYNC_STATUS_RESET, SNTP_SYNC_STATUS_COMPLETED } sntp_sync_status_t;

void sntp_sync_time(struct timeval *now); /* weak in ESP-IDF */
void sntp_set_sync_status(sntp_sync_status_t status);
