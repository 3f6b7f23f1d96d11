/* What each kind of value must look like. */
#include "config_table.h"

#include "ascii.h"
#include "code.h"
#include "health.h"
#include "utf8.h"

#include <string.h>

#define LABEL_MAX_CHARS 63 /* RFC 1035, 2.3.4 */
#define IPV6_MAX_CHARS 45  /* with an IPv4 address at its end: RFC 4291, 2.2 */
#define PORT_MAX 65535u
#define PORT_MAX_DIGITS 5
#define PASSPHRASE_MIN_CHARS 8 /* IEEE 802.11, J.4.1 */
#define PASSPHRASE_MAX_CHARS 63
#define PSK_DIGITS 64

typedef struct {
    const char *head;
    bool tls;
    uint16_t port; /* when none is said: as IANA registered it */
} scheme_t;

static const scheme_t SCHEMES[] = {{"mqtts://", true, 8883}, {"mqtt://", false, 1883}, {"https://", true, 443}};

/* Labels of letters, digits and inner dashes, with dots between. IPv4 addresses are of that form too. */
static bool is_name(const char *text, size_t len)
{
    size_t label = 0;
    for (size_t i = 0; i < len; i++) {
        bool dash = text[i] == '-';
        if (text[i] == '.') {
            if (label == 0 || text[i - 1] == '-') {
                return false;
            }
            label = 0;
        } else if ((!dash && !ascii_is_letter_or_digit(text[i])) || (dash && label == 0) || ++label > LABEL_MAX_CHARS) {
            return false;
        }
    }
    return label > 0 && text[len - 1] != '-';
}

/* Its characters only: whoever resolves it says whether it is one. */
static bool is_ipv6(const char *text, size_t len)
{
    size_t colons = 0;
    for (size_t i = 0; i < len; i++) {
        if (text[i] == ':') {
            colons++;
        } else if (!ascii_is_hex(text[i]) && text[i] != '.') {
            return false;
        }
    }
    return len <= IPV6_MAX_CHARS && colons >= 2;
}

static bool read_number(const char *text, size_t len, size_t max_digits, uint32_t *out)
{
    uint32_t value = 0;
    if (len == 0 || len > max_digits) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        if (!ascii_is_digit(text[i])) {
            return false;
        }
        value = value * 10 + (uint32_t)(text[i] - '0');
    }
    *out = value;
    return true;
}

static const scheme_t *scheme_of(const char *uri)
{
    for (size_t i = 0; i < sizeof(SCHEMES) / sizeof(SCHEMES[0]); i++) {
        if (strncmp(uri, SCHEMES[i].head, strlen(SCHEMES[i].head)) == 0) {
            return &SCHEMES[i];
        }
    }
    return NULL;
}

/* `rest` is what stands behind the host: nothing, or a colon and a port. */
static bool read_port(const char *rest, uint16_t preset, uint16_t *out)
{
    uint32_t port = preset;
    if (rest[0] != '\0' &&
        (rest[0] != ':' || !read_number(rest + 1, strlen(rest + 1), PORT_MAX_DIGITS, &port) || port > PORT_MAX)) {
        return false;
    }
    *out = (uint16_t)port;
    return port != 0;
}

bool config_split_uri(const char *uri, bool *tls, char *host, size_t cap_bytes, uint16_t *port)
{
    const scheme_t *scheme = scheme_of(uri);
    if (scheme == NULL) {
        return false;
    }
    const char *from = uri + strlen(scheme->head);
    bool ipv6 = from[0] == '[';
    from += ipv6 ? 1 : 0;
    size_t len = strcspn(from, ipv6 ? "]" : ":");
    const char *rest = from + len;
    if (ipv6 ? !is_ipv6(from, len) || rest[0] != ']' : !is_name(from, len)) {
        return false;
    }
    uint16_t found = 0;
    if (len > CONFIG_HOST_MAX_CHARS || len >= cap_bytes || !read_port(rest + (ipv6 ? 1 : 0), scheme->port, &found)) {
        return false;
    }
    memcpy(host, from, len);
    host[len] = '\0';
    if (tls != NULL) {
        *tls = scheme->tls;
    }
    if (port != NULL) {
        *port = found;
    }
    return true;
}

static bool is_uri(const char *text, bool https)
{
    char host[CONFIG_HOST_MAX_CHARS + 1];
    return config_split_uri(text, NULL, host, sizeof(host), NULL) && (strncmp(text, "https:", 6) == 0) == https;
}

static bool has_space_at_an_end(const char *text, size_t len)
{
    return text[0] == ' ' || text[len - 1] == ' ';
}

static bool is_all(const char *text, size_t len, bool (*wanted)(int c))
{
    for (size_t i = 0; i < len; i++) {
        if (!wanted(text[i])) {
            return false;
        }
    }
    return true;
}

static bool is_password(const char *text, size_t len)
{
    if (len == PSK_DIGITS) {
        return is_all(text, len, ascii_is_hex);
    }
    return len >= PASSPHRASE_MIN_CHARS && len <= PASSPHRASE_MAX_CHARS && is_all(text, len, ascii_is_printable) &&
           !has_space_at_an_end(text, len);
}

static bool is_number(const config_row_t *row, const char *text, size_t len)
{
    uint32_t value = 0;
    return read_number(text, len, row->size_bytes - 1u, &value) && value >= row->min && value <= row->max;
}

bool config_value_is_valid(const config_row_t *row, const char *value, size_t len_bytes)
{
    /* A NUL within would end it early, also for who looks at it as text below. */
    if (len_bytes == 0 || len_bytes >= row->size_bytes || memchr(value, '\0', len_bytes) != NULL) {
        return false;
    }
    switch (row->kind) {
    case VALUE_MQTT_URI:
        return is_uri(value, false);
    case VALUE_HTTPS_URI:
        return is_uri(value, true);
    case VALUE_SSID:
        return utf8_is_text(value, len_bytes) && !has_space_at_an_end(value, len_bytes);
    case VALUE_PASSWORD:
        return is_password(value, len_bytes);
    case VALUE_APN:
        return is_name(value, len_bytes);
    case VALUE_NUMBER:
        return is_number(row, value, len_bytes);
    case VALUE_CODE:
        /* The gateway's own readings are of that device. */
        return code_is_valid(value, len_bytes) && strcmp(value, HEALTH_DEVICE_CODE) != 0;
    }
    return false;
}
