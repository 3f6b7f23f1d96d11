#include "host_slots.h"

#include <limits.h>
#include <stdlib.h>

#include "exit_codes.h"
#include "posix_file.h"

static bool open_file(posix_flash_t *flash, const char *folder, const char *name, uint32_t size_bytes)
{
    char path[PATH_MAX];
    return posix_path(path, sizeof(path), folder, name) && posix_flash_open(flash, path, size_bytes);
}

const port_ota_t *host_slots_open(host_slots_t *slots, const port_reboot_t *reboot)
{
    const char *folder = getenv(POSIX_SLOTS), *slot = getenv(POSIX_BOOT_SLOT), *bytes = getenv(POSIX_SLOT_BYTES);
    if (folder == NULL || slot == NULL || bytes == NULL) {
        return NULL;
    }
    const uint32_t size_bytes = (uint32_t)strtoul(bytes, NULL, 10);
    if (!open_file(&slots->otadata_file, folder, "otadata.bin", OTADATA_BYTES) ||
        !open_file(&slots->slot_files[0], folder, "slot0.bin", size_bytes) ||
        !open_file(&slots->slot_files[1], folder, "slot1.bin", size_bytes)) {
        return NULL;
    }
    slots_init(&slots->slots, &slots->otadata_file.port, &slots->slot_files[0].port, &slots->slot_files[1].port,
               slot[0] == '1' ? 1 : 0, reboot);
    return &slots->slots.port;
}
