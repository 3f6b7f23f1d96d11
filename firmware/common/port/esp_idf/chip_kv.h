/* Settings in NVS. The factory's are strings in a partition of their own, which is never written here. */
#pragma once

#include "../port_kv.h"
#include "nvs.h"

#define CHIP_KV_NAMESPACE "tds"
#define CHIP_FACTORY_PARTITION "fctry"
#define CHIP_FACTORY_NAMESPACE "tds_factory"

typedef struct {
    nvs_handle_t handle;
} chip_kv_t;

/* The partition `nvs`. One that can't be read is erased and begun anew: the factory's values are kept elsewhere. */
bool chip_kv_open(chip_kv_t *kv, port_kv_t *port);
/* False: the partition is missing, damaged, or was never flashed. */
bool chip_factory_open(chip_kv_t *kv, port_kv_t *port);
/* What was never flashed or can't be read, as a kv with nothing in it: the device goes on, and its console can say so.
 */
extern const port_kv_t chip_kv_missing;
