/* Whose readings the outbox has. A board can be given another unit's identity, of another customer even, with what it
 * measured for the former one still in it; and a record says nothing of its gateway. */
#include <string.h>

#include "app_parts.h"

static const char UNIT_KEY[] = "unit";

bool app_claim_outbox(app_t *app)
{
    const port_kv_t *kv = app->options.kv;
    const char *code = app->options.gateway_code;
    const size_t code_len = strlen(code);
    char unit[CODE_MAX_CHARS];
    size_t len = 0;
    const kv_status_t status = kv->get(kv->ctx, UNIT_KEY, unit, sizeof(unit), &len);
    switch (status) {
    case KV_OK:
        if (len == code_len && memcmp(unit, code, len) == 0) {
            return true;
        }
        break;
    case KV_TOO_SMALL:
        break;
    case KV_MISSING: /* a first start, or settings that were erased: nobody says that it was another's */
        (void)kv->set(kv->ctx, UNIT_KEY, code, code_len);
        return true;
    case KV_FULL:
    case KV_FAILED:
        return true; /* the next start looks again */
    }
    /* In this order: with power gone between the two, the next start finds the former's code and nothing of its. */
    const uint32_t of_former = outbox_depth(&app->outbox);
    if (!outbox_discard(&app->outbox, app->outbox.next_seq)) {
        return false;
    }
    app->outbox.dropped += of_former;
    app->of_former = of_former;
    /* Under the former's code nothing is kept: its next start would send it as its own. */
    return kv->set(kv->ctx, UNIT_KEY, code, code_len) == KV_OK;
}
