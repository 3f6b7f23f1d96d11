#include <stdlib.h>
#include <string.h>

#include "core/certs_only.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *found = NULL;
    size_t len = 0;
    for (uint8_t index = 0; index < 3; index++) {
        if (certs_only_find(data, size, index, &found, &len) && (found < data || found + len > data + size)) {
            abort();
        }
    }
    char *text = malloc(size + 1);
    if (text != NULL) {
        memcpy(text, data, size);
        if (certs_only_unbase64(text, size) > size) {
            abort();
        }
        free(text);
    }
    return 0;
}
