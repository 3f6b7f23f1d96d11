/* A unit's factory image, and the state folder that stands for a board's flash. */
#pragma once

#include "../../core/bounds.h"
#include "../../core/code.h"
#include "../port_flash.h"
#include "../port_log.h"
#include "host_options.h"
#include "nvs_image.h"
#include "posix_box.h"
#include "posix_flash.h"
#include "posix_kv.h"

#define HOST_OUTBOX_BYTES 0xe0000 /* as the partition `outbox` of the chip */
#define POSIX_PATH_MAX_CHARS 4095

typedef struct {
    char gateway_code[CODE_MAX_CHARS + 1];
    uint32_t boot;
    int lock;
    nvs_image_t image;
    posix_box_t box;
    posix_flash_t flash_file;
    posix_kv_t kv_file;
    const port_kv_t *factory;
    const port_kv_t *kv;
    const port_flash_t *flash;
} host_storage_t;

/* Says what is wrong by itself. */
bool host_storage_open(host_storage_t *storage, host_options_t *options, const port_log_t *log);
void host_storage_close(host_storage_t *storage);
