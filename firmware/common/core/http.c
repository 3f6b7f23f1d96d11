#include "http.h"

#include <string.h>

#include "ascii.h"
#include "config.h"

bool http_split_url(const char *url, char *host, size_t cap_bytes, uint16_t *port, const char **path)
{
    static const char HTTPS[] = "https://";
    char server[CONFIG_VALUE_MAX_BYTES + 1];
    if (strncmp(url, HTTPS, sizeof(HTTPS) - 1) != 0) {
        return false;
    }
    const size_t len = sizeof(HTTPS) - 1 + strcspn(url + sizeof(HTTPS) - 1, "/?#");
    const char *rest = url + len;
    if (len >= sizeof(server) || (rest[0] != '/' && rest[0] != '\0')) {
        return false;
    }
    for (const char *at = rest; *at != '\0'; at++) {
        if (!ascii_is_printable(*at) || *at == ' ' || *at == '#') {
            return false;
        }
    }
    memcpy(server, url, len);
    server[len] = '\0';
    *path = rest[0] == '\0' ? "/" : rest;
    return config_split_uri(server, NULL, host, cap_bytes, port);
}

/* False: no digit, or more than `most`. */
static bool read_number(const char **at, uint64_t most, uint64_t *out)
{
    const char *from = *at;
    for (*out = 0; ascii_is_digit(**at); (*at)++) {
        const uint64_t digit = (uint64_t)(**at - '0');
        if (*out > (most - digit) / 10) {
            return false;
        }
        *out = *out * 10 + digit;
    }
    return *at != from;
}

static bool skip(const char **at, char c)
{
    const bool is_there = **at == c;
    *at += is_there ? 1 : 0;
    return is_there;
}

bool http_read_range(const char *value, uint32_t *from_bytes, int64_t *whole_bytes)
{
    static const char UNIT[] = "bytes ";
    uint64_t from = 0, to = 0, whole = 0;
    if (strncmp(value, UNIT, sizeof(UNIT) - 1) != 0) {
        return false;
    }
    const char *at = value + sizeof(UNIT) - 1;
    if (!read_number(&at, UINT32_MAX, &from) || !skip(&at, '-') || !read_number(&at, INT64_MAX, &to) || to < from ||
        !skip(&at, '/')) {
        return false;
    }
    const bool is_known = !skip(&at, '*');
    if ((is_known && (!read_number(&at, INT64_MAX, &whole) || whole <= to)) || *at != '\0') {
        return false;
    }
    *from_bytes = (uint32_t)from;
    *whole_bytes = is_known ? (int64_t)whole : -1;
    return true;
}
