#define _POSIX_C_SOURCE 200809L

#include "posix_flash.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../core/bounds.h"

#define ERASED 0xFF
#define CHUNK_BYTES 4096u

static bool is_inside(const posix_flash_t *flash, uint32_t offset_bytes, size_t len_bytes)
{
    return offset_bytes <= flash->port.size_bytes && len_bytes <= flash->port.size_bytes - offset_bytes;
}

uint32_t posix_flash_end_bytes(const posix_flash_t *flash)
{
    struct stat found;
    if (fstat(flash->fd, &found) != 0) {
        return 0;
    }
    return found.st_size < (off_t)flash->port.size_bytes ? (uint32_t)found.st_size : flash->port.size_bytes;
}

static bool read_file(const posix_flash_t *flash, uint32_t offset_bytes, void *out, size_t len_bytes)
{
    size_t done = 0;
    while (done < len_bytes) {
        ssize_t count = pread(flash->fd, (uint8_t *)out + done, len_bytes - done, (off_t)(offset_bytes + done));
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count < 0) {
            return false;
        }
        if (count == 0) { /* the end of the file: erased */
            break;
        }
        done += (size_t)count;
    }
    memset((uint8_t *)out + done, ERASED, len_bytes - done);
    return true;
}

static bool read_flash(void *ctx, uint32_t offset_bytes, void *out, size_t len_bytes)
{
    const posix_flash_t *flash = ctx;
    return is_inside(flash, offset_bytes, len_bytes) && read_file(flash, offset_bytes, out, len_bytes);
}

static bool write_file(const posix_flash_t *flash, uint32_t offset_bytes, const uint8_t *data, size_t len_bytes)
{
    size_t done = 0;
    while (done < len_bytes) {
        ssize_t count = pwrite(flash->fd, data + done, len_bytes - done, (off_t)(offset_bytes + done));
        if (count < 0 && errno != EINTR) {
            return false;
        }
        done += count > 0 ? (size_t)count : 0;
    }
    return true;
}

static bool fill_erased(const posix_flash_t *flash, uint32_t from_bytes, uint32_t to_bytes)
{
    uint8_t erased[CHUNK_BYTES];
    memset(erased, ERASED, sizeof(erased));
    while (from_bytes < to_bytes) {
        uint32_t len_bytes = to_bytes - from_bytes < CHUNK_BYTES ? to_bytes - from_bytes : CHUNK_BYTES;
        if (!write_file(flash, from_bytes, erased, len_bytes)) {
            return false;
        }
        from_bytes += len_bytes;
    }
    return true;
}

/* Whether the bits that are there allow it: what real flash would garble is a bug that must show here. */
static bool only_clears_bits(const posix_flash_t *flash, uint32_t offset_bytes, const uint8_t *data, size_t len_bytes)
{
    uint8_t found[CHUNK_BYTES];
    for (size_t done = 0; done < len_bytes;) {
        size_t len = len_bytes - done < sizeof(found) ? len_bytes - done : sizeof(found);
        if (!read_file(flash, offset_bytes + (uint32_t)done, found, len)) {
            return false;
        }
        for (size_t i = 0; i < len; i++) {
            if ((data[done + i] & ~found[i]) != 0) {
                errno = EINVAL;
                return false;
            }
        }
        done += len;
    }
    return true;
}

static bool write_flash(void *ctx, uint32_t offset_bytes, const void *data, size_t len_bytes)
{
    const posix_flash_t *flash = ctx;
    return is_inside(flash, offset_bytes, len_bytes) && only_clears_bits(flash, offset_bytes, data, len_bytes) &&
           fill_erased(flash, posix_flash_end_bytes(flash), offset_bytes) &&
           write_file(flash, offset_bytes, data, len_bytes) && fdatasync(flash->fd) == 0;
}

static bool erase_flash(void *ctx, uint32_t offset_bytes, size_t len_bytes)
{
    const posix_flash_t *flash = ctx;
    if (!is_inside(flash, offset_bytes, len_bytes) || offset_bytes % OUTBOX_SECTOR_BYTES != 0 ||
        len_bytes % OUTBOX_SECTOR_BYTES != 0) {
        return false;
    }
    uint32_t to_bytes = offset_bytes + (uint32_t)len_bytes;
    uint32_t end_bytes = posix_flash_end_bytes(flash);
    bool good = true;
    if (to_bytes < end_bytes) {
        good = fill_erased(flash, offset_bytes, to_bytes);
    } else if (offset_bytes < end_bytes) {
        good = ftruncate(flash->fd, (off_t)offset_bytes) == 0;
    }
    return good && fdatasync(flash->fd) == 0;
}

bool posix_flash_open(posix_flash_t *flash, const char *path, uint32_t size_bytes)
{
    struct stat found;
    *flash = (posix_flash_t){.fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, S_IRUSR | S_IWUSR)};
    flash->port = (port_flash_t){
        .ctx = flash, .size_bytes = size_bytes, .read = read_flash, .write = write_flash, .erase = erase_flash};
    if (flash->fd < 0) {
        return false;
    }
    if (fstat(flash->fd, &found) != 0 || !S_ISREG(found.st_mode)) {
        posix_flash_close(flash);
        return false;
    }
    return true;
}

void posix_flash_close(posix_flash_t *flash)
{
    close(flash->fd);
    flash->fd = -1;
}
