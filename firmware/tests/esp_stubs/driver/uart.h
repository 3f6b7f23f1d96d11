#pragma once

#include <stdint.h>

#include "esp_err.h"
#include "freertos/queue.h"

typedef enum { UART_NUM_0 } uart_port_t;

esp_err_t uart_driver_install(uart_port_t uart, int rx_bytes, int tx_bytes, int queue_size, QueueHandle_t *queue,
                              int flags);
int uart_read_bytes(uart_port_t uart, void *out, uint32_t len, TickType_t wait);
