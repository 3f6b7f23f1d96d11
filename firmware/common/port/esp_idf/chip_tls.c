#include "chip_tls.h"

#include <string.h>

#include "mbedtls/ssl.h"
#include "mbedtls/x509_crt.h"

static mbedtls_x509_crt s_authorities;
static bool s_pinned;

bool chip_tls_pin(const char *authorities_pem)
{
    mbedtls_x509_crt_init(&s_authorities);
    /* More than 0: so many of them could not be read. */
    s_pinned = mbedtls_x509_crt_parse(&s_authorities, (const unsigned char *)authorities_pem,
                                      strlen(authorities_pem) + 1) == 0;
    return s_pinned;
}

bool chip_tls_is_pinned(void)
{
    return s_pinned;
}

esp_err_t chip_tls_attach(void *config)
{
    if (!s_pinned) {
        return ESP_FAIL; /* esp-tls does not look at it; but it demands a verified certificate, and nobody can be */
    }
    mbedtls_ssl_conf_ca_chain(config, &s_authorities, NULL);
    return ESP_OK;
}
