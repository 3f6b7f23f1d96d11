#define _POSIX_C_SOURCE 200809L

#include "posix_kv.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "posix_file.h"

#define PATH_MAX_BYTES (POSIX_KV_FOLDER_MAX_CHARS + 1 + KV_KEY_MAX_CHARS + 1)

/* Keys become file names: none may lead out of the folder, or be the temporary name of another, which has a dot. */
static bool path_of(const posix_kv_t *kv, const char *key, char path[PATH_MAX_BYTES])
{
    size_t len = strlen(key);
    return len > 0 && len <= KV_KEY_MAX_CHARS &&
           strspn(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == len &&
           posix_path(path, PATH_MAX_BYTES, kv->folder, key);
}

static kv_status_t get(void *ctx, const char *key, void *out, size_t cap_bytes, size_t *len_bytes)
{
    char path[PATH_MAX_BYTES];
    if (!path_of(ctx, key, path)) {
        return KV_MISSING;
    }
    errno = 0;
    size_t found_bytes = 0;
    char *found = posix_file_read(path, &found_bytes);
    if (found == NULL) {
        return errno == ENOENT ? KV_MISSING : KV_FAILED;
    }
    kv_status_t status = KV_OK;
    if (found_bytes > POSIX_KV_VALUE_MAX_BYTES) {
        status = KV_FAILED; /* we did not write that */
    } else {
        *len_bytes = found_bytes;
        status = found_bytes > cap_bytes ? KV_TOO_SMALL : KV_OK;
    }
    if (status == KV_OK && found_bytes > 0) {
        memcpy(out, found, found_bytes);
    }
    free(found);
    return status;
}

/* Then nothing is written: a disk wears too. */
static bool is_so_already(const char *path, const void *value, size_t len_bytes)
{
    size_t found_bytes = 0;
    char *found = posix_file_read(path, &found_bytes);
    bool same = found != NULL && found_bytes == len_bytes && (len_bytes == 0 || memcmp(found, value, len_bytes) == 0);
    free(found);
    return same;
}

static kv_status_t room_for(const posix_kv_t *kv, const char *path, size_t len_bytes)
{
    if (len_bytes > POSIX_KV_VALUE_MAX_BYTES) {
        return KV_FULL;
    }
    if (access(path, F_OK) == 0) {
        return KV_OK;
    }
    DIR *folder = opendir(kv->folder);
    if (folder == NULL) {
        return KV_FAILED;
    }
    size_t keys = 0;
    for (const struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        keys += strchr(entry->d_name, '.') == NULL ? 1 : 0;
    }
    closedir(folder);
    return keys < POSIX_KV_MAX_KEYS ? KV_OK : KV_FULL;
}

static kv_status_t set(void *ctx, const char *key, const void *value, size_t len_bytes)
{
    char path[PATH_MAX_BYTES];
    if (!path_of(ctx, key, path)) {
        return KV_FAILED;
    }
    if (is_so_already(path, value, len_bytes)) {
        return KV_OK;
    }
    kv_status_t room = room_for(ctx, path, len_bytes);
    errno = 0;
    if (room != KV_OK || posix_file_replace(path, value, len_bytes, true)) {
        return room;
    }
    return errno == ENOSPC || errno == EDQUOT ? KV_FULL : KV_FAILED;
}

static kv_status_t erase(void *ctx, const char *key)
{
    char path[PATH_MAX_BYTES];
    if (!path_of(ctx, key, path)) {
        return KV_OK;
    }
    if (unlink(path) != 0) {
        return errno == ENOENT ? KV_OK : KV_FAILED;
    }
    return posix_sync_folder_of(path) ? KV_OK : KV_FAILED;
}

bool posix_kv_open(posix_kv_t *kv, const char *folder)
{
    struct stat about;
    if (strlen(folder) > POSIX_KV_FOLDER_MAX_CHARS) {
        errno = ENAMETOOLONG;
        return false;
    }
    memset(kv, 0, sizeof(*kv));
    strcpy(kv->folder, folder);
    kv->port = (port_kv_t){.ctx = kv, .get = get, .set = set, .erase = erase};
    if (mkdir(folder, S_IRWXU) != 0 && errno != EEXIST) {
        return false;
    }
    if (stat(folder, &about) != 0) {
        return false;
    }
    errno = ENOTDIR;
    return S_ISDIR(about.st_mode);
}
