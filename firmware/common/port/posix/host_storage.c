#include "host_storage.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../app/power_up.h"
#include "posix_file.h"
#include "posix_log.h"

static const char *TAG = "storage";

static bool make_folders(const char *path)
{
    char part[POSIX_PATH_MAX_CHARS + 1];
    size_t len = strlen(path);
    for (size_t i = 1; i <= len && len <= POSIX_PATH_MAX_CHARS; i++) {
        if (path[i] != '/' && path[i] != '\0') {
            continue;
        }
        memcpy(part, path, i);
        part[i] = '\0';
        if (mkdir(part, S_IRWXU) != 0 && errno != EEXIST) {
            return false;
        }
    }
    struct stat about;
    return len <= POSIX_PATH_MAX_CHARS && stat(path, &about) == 0 && S_ISDIR(about.st_mode);
}

/* Two devices in one folder would take each other's readings for their own. */
static bool lock(host_storage_t *storage, const char *state)
{
    char path[POSIX_PATH_MAX_CHARS + 1];
    storage->lock = -1;
    if (posix_path(path, sizeof(path), state, "lock")) {
        storage->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, S_IRUSR | S_IWUSR);
    }
    if (storage->lock < 0) {
        fprintf(stderr, "The state folder %s can't be written: %s.\n", state, strerror(errno));
        return false;
    }
    if (flock(storage->lock, LOCK_EX | LOCK_NB) != 0) {
        fprintf(stderr, "Another device runs in the state folder %s.\n", state);
        return false;
    }
    return true;
}

static const port_kv_t *open_image(host_storage_t *storage, const char *path)
{
    if (!nvs_image_open(&storage->image, path, "tds_factory")) {
        fprintf(stderr, "The factory image %s can't be read, or is none.\n", path);
        return NULL;
    }
    return &storage->image.port;
}

static const port_kv_t *open_factory(host_storage_t *storage, const host_options_t *options)
{
    char path[POSIX_PATH_MAX_CHARS + 1];
    if (options->factory != NULL) {
        return open_image(storage, options->factory);
    }
    if (posix_path(path, sizeof(path), options->box, "nvs.bin") && access(path, F_OK) == 0) {
        return open_image(storage, path);
    }
    if (!posix_box_init(&storage->box, options->box)) {
        fprintf(stderr, "The unit's folder %s is not there, or its name is no gateway's code.\n", options->box);
        return NULL;
    }
    return &storage->box.port;
}

static bool open_state(host_storage_t *storage, const char *state)
{
    char settings[POSIX_PATH_MAX_CHARS + 1], outbox[POSIX_PATH_MAX_CHARS + 1];
    if (!make_folders(state)) {
        fprintf(stderr, "The state folder %s can't be made: %s.\n", state, strerror(errno));
        return false;
    }
    if (!lock(storage, state)) {
        return false;
    }
    if (!posix_path(settings, sizeof(settings), state, "settings") ||
        !posix_path(outbox, sizeof(outbox), state, "outbox") || !posix_kv_open(&storage->kv_file, settings) ||
        !posix_flash_open(&storage->flash_file, outbox, HOST_OUTBOX_BYTES)) {
        fprintf(stderr, "What is in the state folder %s can't be used: %s.\n", state, strerror(errno));
        return false;
    }
    storage->kv = &storage->kv_file.port;
    storage->flash = &storage->flash_file.port;
    return true;
}

bool host_storage_open(host_storage_t *storage, host_options_t *options, const port_log_t *log)
{
    umask(S_IRWXG | S_IRWXO); /* there is a key in it */
    const port_kv_t *factory = open_factory(storage, options);
    if (factory == NULL) {
        return false;
    }
    options->overlay.below = factory;
    storage->factory = &options->overlay.port;
    if (!power_up_gateway_code(storage->factory, storage->gateway_code)) {
        fprintf(stderr, "The factory image has no gateway code: this unit can't report to anybody.\n");
        return false;
    }
    if (!open_state(storage, options->state)) {
        return false;
    }
    if (!power_up_count(storage->kv, &storage->boot)) {
        posix_log(log, LOG_ERROR, TAG, "its starts can't be counted: settings are not kept either");
    }
    return true;
}

void host_storage_close(host_storage_t *storage)
{
    posix_flash_close(&storage->flash_file);
    nvs_image_close(&storage->image);
    close(storage->lock);
}
