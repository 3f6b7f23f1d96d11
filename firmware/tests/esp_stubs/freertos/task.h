#pragma once

#include "freertos/FreeRTOS.h"

typedef struct tskTaskControlBlock *TaskHandle_t;
typedef void (*TaskFunction_t)(void *arg);
typedef struct {
    uint8_t opaque;
} StaticTask_t;

BaseType_t xTaskCreate(TaskFunction_t code, const char *name, uint32_t stack_bytes, void *arg, UBaseType_t priority,
                       TaskHandle_t *out);
TaskHandle_t xTaskCreateStatic(TaskFunction_t code, const char *name, uint32_t stack_bytes, void *arg,
                               UBaseType_t priority, StackType_t *stack, StaticTask_t *memory);
void vTaskDelete(TaskHandle_t task);
void vTaskDelay(TickType_t ticks);
uint32_t ulTaskNotifyTake(BaseType_t clear, TickType_t wait);
BaseType_t xTaskNotifyGive(TaskHandle_t task);
