/* Plays a chip's boot loader on a host: picks a slot, looks at its image, starts the program in it, and again when that
 * asks for a reboot. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../port_reboot.h"
#include "../exit_codes.h"
#include "../posix_file.h"
#include "../posix_flash.h"
#include "boot_select.h"
#include "program.h"

#define PATH_BYTES 4096
#define SLOT_BYTES (8u * 1024 * 1024) /* of a host program with its symbols; the files take what they hold */
#define SLOT_BYTES_MAX (64u * 1024 * 1024)
#define SECTOR_BYTES 4096u
#define CHUNK_BYTES 65536u /* each is synced */
#define TRIAL_S 330u       /* the program's own is 300: this is for one that does not even count */
#define TRIAL_S_MAX 86400u
#define HASH_CHARS (2 * SHA256_BYTES)
#define REBOOT_PAUSE_US 100000 /* a program that reboots at once, for ever, must not take a whole core */

typedef struct {
    const char *folder;
    const char *install;
    const char *programs; /* NULL: beside the slots */
    uint32_t slot_bytes;
    unsigned trial_s;
    char *const *arguments;
} options_t;

typedef struct {
    posix_flash_t otadata;
    posix_flash_t slots[OTADATA_SLOTS];
    host_image_t images[OTADATA_SLOTS];
    bool good[OTADATA_SLOTS];
} storage_t;

static int usage(void)
{
    fprintf(stderr, "Usage: launcher [--slot-bytes N] [--trial SECONDS] [--programs FOLDER] FOLDER [ARGUMENT...]\n"
                    "       launcher [--slot-bytes N] --install IMAGE FOLDER\n"
                    "--programs: where devices that run the same have it once, by its image's SHA-256.\n");
    return EXIT_FAILURE;
}

static bool parse(int argc, char **argv, options_t *options)
{
    static const struct option known[] = {{"slot-bytes", required_argument, NULL, 's'},
                                          {"install", required_argument, NULL, 'i'},
                                          {"trial", required_argument, NULL, 't'},
                                          {"programs", required_argument, NULL, 'p'},
                                          {NULL, 0, NULL, 0}};
    *options = (options_t){.slot_bytes = SLOT_BYTES, .trial_s = TRIAL_S};
    int option;
    /* "+": what is behind the folder is the program's. */
    while ((option = getopt_long(argc, argv, "+", known, NULL)) != -1) {
        if (option == 's') {
            char *end = NULL;
            unsigned long bytes = strtoul(optarg, &end, 10);
            if (*end != '\0' || bytes < SECTOR_BYTES || bytes > SLOT_BYTES_MAX || bytes % SECTOR_BYTES != 0) {
                fprintf(stderr, "launcher: --slot-bytes is %s; give a multiple of %u up to %u.\n", optarg,
                        (unsigned)SECTOR_BYTES, (unsigned)SLOT_BYTES_MAX);
                return false;
            }
            options->slot_bytes = (uint32_t)bytes;
        } else if (option == 't') {
            char *end = NULL;
            unsigned long seconds = strtoul(optarg, &end, 10);
            if (*end != '\0' || seconds == 0 || seconds > TRIAL_S_MAX) {
                fprintf(stderr, "launcher: --trial is %s; give whole seconds from 1 to %u.\n", optarg,
                        (unsigned)TRIAL_S_MAX);
                return false;
            }
            options->trial_s = (unsigned)seconds;
        } else if (option == 'i') {
            options->install = optarg;
        } else if (option == 'p') {
            options->programs = optarg;
        } else {
            return false;
        }
    }
    if (optind >= argc) {
        return false;
    }
    options->folder = argv[optind];
    options->arguments = argv + optind + 1;
    if (argc - optind - 1 > PROGRAM_ARGUMENTS_MAX) {
        fprintf(stderr, "launcher: a program takes at most %d arguments.\n", PROGRAM_ARGUMENTS_MAX);
        return false;
    }
    return options->install == NULL || *options->arguments == NULL;
}

static bool open_flash(posix_flash_t *flash, const char *folder, const char *name, uint32_t size_bytes)
{
    char path[PATH_BYTES];
    if (!posix_path(path, sizeof(path), folder, name) || !posix_flash_open(flash, path, size_bytes)) {
        fprintf(stderr, "launcher: %s of %s can't be opened: %s.\n", name, folder, strerror(errno));
        return false;
    }
    return true;
}

static bool open_storage(storage_t *storage, const options_t *options)
{
    if (mkdir(options->folder, S_IRWXU) != 0 && errno != EEXIST) {
        fprintf(stderr, "launcher: the folder %s can't be made: %s.\n", options->folder, strerror(errno));
        return false;
    }
    return open_flash(&storage->otadata, options->folder, "otadata.bin", OTADATA_BYTES) &&
           open_flash(&storage->slots[0], options->folder, "slot0.bin", options->slot_bytes) &&
           open_flash(&storage->slots[1], options->folder, "slot1.bin", options->slot_bytes);
}

/* As a factory's flash tool: the first slot, and no word of another one. */
static int install(storage_t *storage, const options_t *options)
{
    static uint8_t chunk[CHUNK_BYTES];
    const port_flash_t *slot = &storage->slots[0].port;
    const port_flash_t *otadata = &storage->otadata.port;
    FILE *file = fopen(options->install, "rb");
    if (file == NULL) {
        fprintf(stderr, "launcher: %s can't be opened: %s.\n", options->install, strerror(errno));
        return EXIT_FAILURE;
    }
    bool good = slot->erase(slot->ctx, 0, slot->size_bytes) && otadata->erase(otadata->ctx, 0, OTADATA_BYTES);
    size_t len_bytes = 0;
    for (uint32_t at = 0; good && (len_bytes = fread(chunk, 1, sizeof(chunk), file)) > 0; at += CHUNK_BYTES) {
        good = slot->write(slot->ctx, at, chunk, len_bytes); /* false also behind the slot's end */
    }
    good = good && ferror(file) == 0;
    fclose(file);
    const char *wrong = good ? host_image_check(slot, &storage->images[0]) : "is too small for it, or can't be written";
    if (wrong != NULL) {
        fprintf(stderr, "launcher: slot 0 %s.\n", wrong);
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}

static bool look_at_images(storage_t *storage)
{
    bool any = false;
    for (int i = 0; i < OTADATA_SLOTS; i++) {
        const char *wrong = host_image_check(&storage->slots[i].port, &storage->images[i]);
        storage->good[i] = wrong == NULL;
        any = any || storage->good[i];
        if (wrong != NULL && posix_flash_end_bytes(&storage->slots[i]) > 0) { /* an empty slot is nothing to tell */
            fprintf(stderr, "launcher: slot %d %s.\n", i, wrong);
        }
    }
    return any;
}

/* What the choice says is on the medium before anything starts: an image that is not marked pending would be tried for
 * ever. */
static bool mark(const storage_t *storage, const boot_choice_t *choice)
{
    for (int i = 0; i < OTADATA_ENTRIES; i++) {
        if (choice->mark[i] != IMAGE_UNDEFINED && !otadata_set_state(&storage->otadata.port, i, choice->mark[i])) {
            return false;
        }
    }
    return true;
}

static image_state_t state_of(const otadata_t *otadata, int slot)
{
    int entry = otadata_entry_of(otadata, (uint8_t)slot);
    return entry < 0 ? IMAGE_UNDEFINED : otadata->entries[entry].state;
}

static boot_reason_t reason_after(int code)
{
    switch ((reboot_reason_t)(code - POSIX_EXIT_REBOOT)) {
    case REBOOT_RECOVERY:
        return BOOT_RECOVERY;
    case REBOOT_CONSOLE:
        return BOOT_CONSOLE;
    case REBOOT_UPDATE:
        return BOOT_UPDATE;
    }
    return code >= POSIX_EXIT_REBOOT && code <= POSIX_EXIT_REBOOT_LAST ? BOOT_SOFTWARE : BOOT_PANIC;
}

/* The program by a name that says what it is of: to have its memory once, devices share their files by the image. */
static bool program_path(const options_t *options, int slot, const host_image_t *image, char *out, size_t cap_bytes)
{
    char name[HASH_CHARS + 1];
    if (options->programs == NULL) {
        snprintf(name, sizeof(name), "slot%d.run", slot);
        return posix_path(out, cap_bytes, options->folder, name);
    }
    for (size_t i = 0; i < SHA256_BYTES; i++) {
        snprintf(name + 2 * i, sizeof(name) - 2 * i, "%02x", (unsigned)image->sha256[i]);
    }
    if (mkdir(options->programs, S_IRWXU) != 0 && errno != EEXIST) {
        return false;
    }
    return posix_path(out, cap_bytes, options->programs, name);
}

static void tell_program(const options_t *options, int slot, boot_reason_t reason)
{
    char number[16];
    snprintf(number, sizeof(number), "%d", (int)reason);
    setenv(POSIX_BOOT_REASON, number, 1);
    snprintf(number, sizeof(number), "%d", slot);
    setenv(POSIX_BOOT_SLOT, number, 1);
    snprintf(number, sizeof(number), "%u", (unsigned)options->slot_bytes);
    setenv(POSIX_SLOT_BYTES, number, 1);
    setenv(POSIX_SLOTS, options->folder, 1);
}

static bool is_on_trial(const storage_t *storage, int slot)
{
    otadata_t otadata;
    return otadata_read(&storage->otadata.port, &otadata) && state_of(&otadata, slot) == IMAGE_PENDING_VERIFY;
}

typedef struct {
    const storage_t *storage;
    int slot;
} trial_t;

static bool is_trial_over(void *ctx)
{
    const trial_t *trial = ctx;
    return is_on_trial(trial->storage, trial->slot);
}

/* One start: the program's exit code, or the launcher's own with `over` set. */
static int boot(storage_t *storage, const options_t *options, int *last_slot, boot_reason_t reason, bool *over)
{
    char path[PATH_BYTES];
    otadata_t otadata;
    *over = true;
    if (!look_at_images(storage)) {
        fprintf(stderr, "launcher: no slot of %s has an image; write one with --install.\n", options->folder);
        return POSIX_EXIT_NO_IMAGE;
    }
    if (!otadata_read(&storage->otadata.port, &otadata)) {
        fprintf(stderr, "launcher: otadata of %s can't be read.\n", options->folder);
        return POSIX_EXIT_STORAGE;
    }
    boot_choice_t choice = boot_select(&otadata, storage->good);
    if (!mark(storage, &choice) || !otadata_read(&storage->otadata.port, &otadata)) {
        fprintf(stderr, "launcher: otadata of %s can't be written.\n", options->folder);
        return POSIX_EXIT_STORAGE;
    }
    bool left = *last_slot >= 0 && *last_slot != choice.slot &&
                (state_of(&otadata, *last_slot) == IMAGE_INVALID || state_of(&otadata, *last_slot) == IMAGE_ABORTED);
    if (choice.rolled_back || left) {
        reason = BOOT_ROLLBACK;
    }
    *last_slot = choice.slot;
    const host_image_t *image = &storage->images[choice.slot];
    const int program = program_path(options, choice.slot, image, path, sizeof(path))
                            ? program_extract(&storage->slots[choice.slot].port, image, path)
                            : -1;
    if (program < 0) {
        fprintf(stderr, "launcher: the program of slot %d can't be written to %s: %s.\n", choice.slot,
                options->programs != NULL ? options->programs : options->folder, strerror(errno));
        return POSIX_EXIT_STORAGE;
    }
    fprintf(stderr, "launcher: slot %d, %s %s%s%s.\n", choice.slot, image->project, image->version,
            choice.mark[0] == IMAGE_PENDING_VERIFY || choice.mark[1] == IMAGE_PENDING_VERIFY ? ", on trial" : "",
            choice.last_resort ? ", which went back once: there is no other" : "");
    tell_program(options, choice.slot, reason);
    trial_t trial = {.storage = storage, .slot = choice.slot};
    const program_limit_t limit = {.limit_ms = is_on_trial(storage, choice.slot) ? options->trial_s * 1000 : 0,
                                   .is_over = is_trial_over,
                                   .ctx = &trial};
    int code = program_run(program, path, options->arguments, &limit);
    if (code < 0) {
        fprintf(stderr, "launcher: no program can be started: %s.\n", strerror(errno));
        return POSIX_EXIT_STORAGE;
    }
    *over = false;
    return code;
}

int main(int argc, char **argv)
{
    static storage_t storage;
    options_t options;
    if (!parse(argc, argv, &options)) {
        return usage();
    }
    umask(S_IRWXG | S_IRWXO);
    if (!open_storage(&storage, &options)) {
        return POSIX_EXIT_STORAGE;
    }
    if (options.install != NULL) {
        return install(&storage, &options);
    }
    program_catch_stops();
    int slot = -1;
    boot_reason_t reason = BOOT_POWER_ON;
    for (;;) {
        bool over = false;
        int code = boot(&storage, &options, &slot, reason, &over);
        bool reboots = code >= POSIX_EXIT_REBOOT && code <= POSIX_EXIT_REBOOT_LAST;
        /* An image on trial that ends is a reset before it was confirmed: the next start goes back. */
        if (over || program_is_stopped() || (!reboots && !is_on_trial(&storage, slot))) {
            return code;
        }
        reason = reason_after(code);
        usleep(REBOOT_PAUSE_US);
    }
}
