#pragma once

#include <stdbool.h>
#include <stddef.h>

#define POSIX_FILE_MAX_BYTES (1024 * 1024) /* larger ones are not read: nothing of a device's is */

/* The file's bytes, with a NUL behind them, to be freed; NULL: it is not there, too large or can't be read. */
char *posix_file_read(const char *path, size_t *len_bytes);

/* The new contents whole or the former ones, also when power goes in between; for its owner alone. `durable`: it is on
 * the disk when this returns true. */
bool posix_file_replace(const char *path, const void *data, size_t len_bytes, bool durable);

/* A new name, or one that is gone, is on the disk when its folder is. */
bool posix_sync_folder_of(const char *path);

/* False: too long for `out`. */
bool posix_path(char *out, size_t cap_bytes, const char *folder, const char *name);
