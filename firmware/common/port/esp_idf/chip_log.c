#include "chip_log.h"

#include "esp_log.h"

static void write_line(void *ctx, log_level_t level, const char *tag, const char *text)
{
    (void)ctx;
    switch (level) {
    case LOG_ERROR:
        ESP_LOGE(tag, "%s", text);
        break;
    case LOG_WARNING:
        ESP_LOGW(tag, "%s", text);
        break;
    case LOG_INFO:
        ESP_LOGI(tag, "%s", text);
        break;
    case LOG_DEBUG:
        ESP_LOGD(tag, "%s", text);
        break;
    }
}

const port_log_t chip_log = {.write = write_line};
