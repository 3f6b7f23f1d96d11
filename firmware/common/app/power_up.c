#include "power_up.h"

#include <string.h>

#include "../core/code.h"

static const char BOOTS_KEY[] = "boots";

bool power_up_gateway_code(const port_kv_t *factory, char out[CODE_MAX_CHARS + 1])
{
    size_t len = 0;
    kv_status_t status = factory->get(factory->ctx, "gateway_code", out, CODE_MAX_CHARS, &len);
    out[status == KV_OK ? len : 0] = '\0';
    const bool is_code = code_is_valid(out, strlen(out));
    if (!is_code) {
        out[0] = '\0';
    }
    return is_code;
}

bool power_up_count(const port_kv_t *kv, uint32_t *boots)
{
    size_t len = 0;
    if (kv->get(kv->ctx, BOOTS_KEY, boots, sizeof(*boots), &len) != KV_OK || len != sizeof(*boots)) {
        *boots = 0;
    }
    (*boots)++;
    return kv->set(kv->ctx, BOOTS_KEY, boots, sizeof(*boots)) == KV_OK;
}

uint32_t power_up_place(const char *gateway_code)
{
    uint32_t hash = 2166136261u;
    for (; *gateway_code != '\0'; gateway_code++) {
        hash = (hash ^ (uint8_t)*gateway_code) * 16777619u;
    }
    return hash;
}
