#include "posix_file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool read_whole(int fd, char *out, size_t len)
{
    for (size_t done = 0; done < len;) {
        ssize_t got = read(fd, out + done, len - done);
        if (got <= 0 && errno != EINTR) {
            return false;
        }
        done += got > 0 ? (size_t)got : 0;
    }
    return true;
}

char *posix_file_read(const char *path, size_t *len_bytes)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return NULL;
    }
    struct stat about;
    char *out = NULL;
    if (fstat(fd, &about) == 0 && S_ISREG(about.st_mode) && about.st_size <= POSIX_FILE_MAX_BYTES) {
        size_t len = (size_t)about.st_size;
        out = malloc(len + 1);
        errno = 0;
        if (out != NULL && !read_whole(fd, out, len)) {
            free(out);
            out = NULL;
        }
        if (out != NULL) {
            out[len] = '\0';
            *len_bytes = len;
        }
    }
    close(fd);
    return out;
}

static bool write_whole(int fd, const char *data, size_t len)
{
    for (size_t done = 0; done < len;) {
        ssize_t got = write(fd, data + done, len - done);
        if (got < 0 && errno != EINTR) {
            return false;
        }
        done += got > 0 ? (size_t)got : 0;
    }
    return true;
}

bool posix_sync_folder_of(const char *path)
{
    char copy[PATH_MAX];
    snprintf(copy, sizeof(copy), "%s", path);
    int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool good = fd >= 0 && fsync(fd) == 0;
    if (fd >= 0) {
        close(fd);
    }
    return good;
}

bool posix_file_replace(const char *path, const void *data, size_t len_bytes, bool durable)
{
    char temporary[PATH_MAX];
    if (snprintf(temporary, sizeof(temporary), "%s.new", path) >= (int)sizeof(temporary)) {
        return false;
    }
    unlink(temporary); /* of a run that was cut off; its mode may be another */
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, S_IRUSR | S_IWUSR);
    if (fd < 0) {
        return false;
    }
    bool good = write_whole(fd, data, len_bytes) && (!durable || fsync(fd) == 0);
    good = close(fd) == 0 && good && rename(temporary, path) == 0;
    if (!good) {
        unlink(temporary);
        return false;
    }
    return !durable || posix_sync_folder_of(path);
}

bool posix_path(char *out, size_t cap_bytes, const char *folder, const char *name)
{
    int len = snprintf(out, cap_bytes, "%s/%s", folder, name);
    return len > 0 && (size_t)len < cap_bytes;
}
