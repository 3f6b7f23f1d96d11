#pragma once

__attribute__((format(printf, 2, 3))) void esp_stub_log(const char *tag, const char *format, ...);

#define ESP_LOGE(tag, ...) esp_stub_log(tag, __VA_ARGS__)
#define ESP_LOGW(tag, ...) esp_stub_log(tag, __VA_ARGS__)
#define ESP_LOGI(tag, ...) esp_stub_log(tag, __VA_ARGS__)
#define ESP_LOGD(tag, ...) esp_stub_log(tag, __VA_ARGS__)
