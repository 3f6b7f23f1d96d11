#include "crc32.h"

/* Of each four bits, with the polynomial 0xEDB88320: 64 bytes, where a table of whole bytes would take 1 KiB. */
static const uint32_t s_of_nibble[16] = {
    0x00000000, 0x1DB71064, 0x3B6E20C8, 0x26D930AC, 0x76DC4190, 0x6B6B51F4, 0x4DB26158, 0x5005713C,
    0xEDB88320, 0xF00F9344, 0xD6D6A3E8, 0xCB61B38C, 0x9B64C2B0, 0x86D3D2D4, 0xA00AE278, 0xBDBDF21C,
};

uint32_t crc32_add(uint32_t crc, const void *data, size_t len_bytes)
{
    const uint8_t *bytes = data;
    crc = ~crc;
    for (size_t i = 0; i < len_bytes; i++) {
        crc ^= bytes[i];
        crc = (crc >> 4) ^ s_of_nibble[crc & 0x0F];
        crc = (crc >> 4) ^ s_of_nibble[crc & 0x0F];
    }
    return ~crc;
}
