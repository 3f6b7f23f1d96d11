/* A file that behaves as NOR flash: a write only clears bits, an erase takes whole sectors. What it holds is what the
 * flash would, so that an outbox or an image can be looked at; behind its end all is erased, so that a new one takes no
 * room. Each write and erase is on the disk when it returns true. Two programs may have one open, and each sees what
 * the other did: launcher and device share otadata and slots. */
#pragma once

#include "../port_flash.h"

typedef struct {
    port_flash_t port;
    int fd;
} posix_flash_t;

/* Makes the file where it is not there, for its owner alone. A longer one is not used beyond `size_bytes`. False: errno
 * says why. */
bool posix_flash_open(posix_flash_t *flash, const char *path, uint32_t size_bytes);
void posix_flash_close(posix_flash_t *flash);

/* Behind the last byte that is not erased for sure: 0 of a new one. */
uint32_t posix_flash_end_bytes(const posix_flash_t *flash);
