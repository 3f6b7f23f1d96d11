#include "demo_noise.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define DIGEST_BYTES 8
#define ROUNDS 12
#define SEED "1" /* of a simulator that nobody gave another one */

/* BLAKE2b (RFC 7693) of one block, without a key: OpenSSL has it with digests of 64 bytes alone, and of another length
 * they are others. */
static const uint64_t IV[8] = {0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
                               0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179};
static const uint8_t SIGMA[10][16] = {
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
    {11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4}, {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
    {9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13}, {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
    {12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11}, {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
    {6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5}, {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0}};
static const uint8_t MIXED[8][4] = {{0, 4, 8, 12},  {1, 5, 9, 13},  {2, 6, 10, 14}, {3, 7, 11, 15},
                                    {0, 5, 10, 15}, {1, 6, 11, 12}, {2, 7, 8, 13},  {3, 4, 9, 14}};

static uint64_t turned_right(uint64_t value, unsigned bits)
{
    return value >> bits | value << (64 - bits);
}

static void mix(uint64_t v[16], const uint8_t at[4], uint64_t x, uint64_t y)
{
    uint64_t *a = &v[at[0]], *b = &v[at[1]], *c = &v[at[2]], *d = &v[at[3]];
    *a += *b + x;
    *d = turned_right(*d ^ *a, 32);
    *c += *d;
    *b = turned_right(*b ^ *c, 24);
    *a += *b + y;
    *d = turned_right(*d ^ *a, 16);
    *c += *d;
    *b = turned_right(*b ^ *c, 63);
}

/* The first 8 bytes of the digest, which are all of it, as a big number: Python's from_bytes(digest, "big"). */
static uint64_t blake2b_8(const uint8_t block[DEMO_NOISE_MAX_BYTES], size_t len_bytes)
{
    uint64_t m[16], v[16];
    const uint64_t first = IV[0] ^ 0x01010000U ^ DIGEST_BYTES;
    for (size_t i = 0; i < 16; i++) {
        m[i] = 0;
        for (size_t byte = 0; byte < 8; byte++) {
            m[i] |= (uint64_t)block[8 * i + byte] << (8 * byte);
        }
        v[i] = IV[i % 8];
    }
    v[0] = first;
    v[12] ^= len_bytes;
    v[14] = ~v[14]; /* the last block */
    for (size_t round = 0; round < ROUNDS; round++) {
        const uint8_t *order = SIGMA[round % 10];
        for (size_t i = 0; i < 8; i++) {
            mix(v, MIXED[i], m[order[2 * i]], m[order[2 * i + 1]]);
        }
    }
    const uint64_t little = first ^ v[0] ^ v[8];
    uint64_t big = 0;
    for (size_t byte = 0; byte < 8; byte++) {
        big = big << 8 | (little >> (8 * byte) & 0xff);
    }
    return big;
}

uint64_t demo_noise_key(const char *what, const char *gateway_code, const char *device_code)
{
    char words[DEMO_NOISE_MAX_BYTES + 1] = {0};
    uint8_t block[DEMO_NOISE_MAX_BYTES];
    int len = snprintf(words, sizeof(words), "%s\x1f" SEED "\x1f%s%s%s", what, gateway_code,
                       device_code == NULL ? "" : "\x1f", device_code == NULL ? "" : device_code);
    size_t bytes = len < 0 ? 0 : (size_t)len < sizeof(block) ? (size_t)len : sizeof(block);
    memcpy(block, words, sizeof(block));
    return blake2b_8(block, bytes);
}

/* The finaliser of splitmix64. */
static uint64_t bits(uint64_t key, uint64_t number)
{
    uint64_t mixed = key + number * 0x9E3779B97F4A7C15U;
    mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9U;
    mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EBU;
    return mixed ^ (mixed >> 31);
}

double demo_noise_unit(uint64_t key, uint64_t number)
{
    return (double)bits(key, number) / 18446744073709551616.0;
}

double demo_noise_centred(uint64_t key, uint64_t number)
{
    const uint64_t both = bits(key, number);
    return (double)((both >> 32) + (both & 0xffffffffU)) / 4294967296.0 - 1.0;
}
