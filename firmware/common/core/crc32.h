/* CRC-32 of IEEE 802.3, as zlib's crc32() and ESP-IDF's esp_rom_crc32_le() compute it: `crc` is 0 to begin with, or
 * what the former piece gave. NVS and otadata begin with 0xFFFFFFFF. Pure. */
#pragma once

#include <stddef.h>
#include <stdint.h>

uint32_t crc32_add(uint32_t crc, const void *data, size_t len_bytes);
