/* A host program that does one thing with its slots, and says in a file that it ran: what an image is made of in
 * test_launcher.py. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "port/posix/exit_codes.h"
#include "port/posix/posix_file.h"
#include "port/posix/posix_flash.h"
#include "port/posix/slots.h"

typedef enum { CONFIRMS, EXITS, CRASHES, GOES_BACK, REBOOTS, UPDATES, LOOPS, RECOVERS } behaviour_t;

#define OWN_EXIT 7
#define CHUNK_BYTES 65536u
#define SLEEP_S 30
#define UNKNOWN_REBOOT 9 /* of no reboot_reason_t */

static void reboot(void *ctx, reboot_reason_t reason)
{
    (void)ctx;
    exit(POSIX_EXIT_REBOOT + (int)reason);
}

static const char *environment(const char *name)
{
    const char *value = getenv(name);
    if (value == NULL) {
        fprintf(stderr, "tiny: %s is not set.\n", name);
        exit(EXIT_FAILURE);
    }
    return value;
}

static void open_file(posix_flash_t *flash, const char *name, uint32_t size_bytes)
{
    char path[4096];
    if (!posix_path(path, sizeof(path), environment(POSIX_SLOTS), name) || !posix_flash_open(flash, path, size_bytes)) {
        perror(name);
        exit(EXIT_FAILURE);
    }
}

static void note(const port_ota_t *ota, int argc, char **argv)
{
    char path[4096];
    posix_path(path, sizeof(path), environment(POSIX_SLOTS), "log");
    FILE *log = fopen(path, "a");
    if (log == NULL) {
        exit(EXIT_FAILURE);
    }
    fprintf(log, "%d slot=%s reason=%s state=%d", (int)BEHAVIOUR, environment(POSIX_BOOT_SLOT),
            environment(POSIX_BOOT_REASON), (int)ota->state(ota->ctx, ota->running_slot(ota->ctx)));
    for (int i = 1; i < argc; i++) {
        fprintf(log, " %s", argv[i]);
    }
    fprintf(log, "\n");
    fclose(log);
}

/* As an update does: the other slot, then the word for the boot loader. The image is the last argument. */
static void install(const port_ota_t *ota, const char *path)
{
    static char chunk[CHUNK_BYTES];
    uint8_t other = ota->running_slot(ota->ctx) == 0 ? 1 : 0;
    FILE *image = fopen(path, "rb");
    size_t len_bytes;
    bool good = image != NULL && ota->erase(ota->ctx, other, 0, ota->slot_bytes(ota->ctx));
    for (uint32_t at = 0; good && (len_bytes = fread(chunk, 1, sizeof(chunk), image)) > 0; at += CHUNK_BYTES) {
        good = ota->write(ota->ctx, other, at, chunk, len_bytes);
    }
    if (!good || !ota->set_boot(ota->ctx, other)) {
        fprintf(stderr, "tiny: the update failed.\n");
        exit(EXIT_FAILURE);
    }
    reboot(NULL, REBOOT_UPDATE);
}

int main(int argc, char **argv)
{
    static posix_flash_t otadata, slot_0, slot_1;
    static slots_t slots;
    const port_reboot_t port = {.reboot = reboot};
    uint32_t slot_bytes = (uint32_t)strtoul(environment(POSIX_SLOT_BYTES), NULL, 10);
    open_file(&otadata, "otadata.bin", OTADATA_BYTES);
    open_file(&slot_0, "slot0.bin", slot_bytes);
    open_file(&slot_1, "slot1.bin", slot_bytes);
    slots_init(&slots, &otadata.port, &slot_0.port, &slot_1.port, (uint8_t)(environment(POSIX_BOOT_SLOT)[0] - '0'),
               &port);
    const port_ota_t *ota = &slots.port;
    note(ota, argc, argv);
    uint8_t other = ota->running_slot(ota->ctx) == 0 ? 1 : 0;
    switch (BEHAVIOUR) {
    case CONFIRMS:
        if (!ota->confirm(ota->ctx)) {
            return EXIT_FAILURE;
        }
        break;
    case EXITS:
        break;
    case CRASHES:
        abort();
    case GOES_BACK:
        ota->roll_back(ota->ctx);
        break;
    case REBOOTS: /* until it was told to stop: by a signal */
        if (strcmp(environment(POSIX_BOOT_REASON), "1") == 0) {
            reboot(NULL, REBOOT_CONSOLE);
        }
        sleep(SLEEP_S);
        break;
    case LOOPS:
        reboot(NULL, REBOOT_CONSOLE);
        break;
    case RECOVERS: /* then for a reason that nobody knows, then no more */
        if (strcmp(environment(POSIX_BOOT_REASON), "1") == 0) {
            reboot(NULL, REBOOT_RECOVERY);
        }
        if (strcmp(environment(POSIX_BOOT_REASON), "8") == 0) {
            exit(POSIX_EXIT_REBOOT + UNKNOWN_REBOOT);
        }
        break;
    case UPDATES: /* once */
        if (ota->state(ota->ctx, other) == IMAGE_UNDEFINED) {
            install(ota, argv[argc - 1]);
        }
        break;
    }
    return OWN_EXIT;
}
