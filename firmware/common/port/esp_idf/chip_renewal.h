/* One renewal by EST (RFC 7030, simplereenroll), from the request to the certificate. */
#pragma once

#include "../../app/app.h"
#include "../../core/est.h"
#include "chip_identity.h"
#include "mbedtls_pair.h"

#define CHIP_RENEWAL_ANSWER_MAX_BYTES 4096 /* a certificate of ours is 600 bytes; with its issuer in base64, 2,000 */

/* All that it needs. It comes from the heap once in a year and a half and goes back at its end: in static memory it
 * would be missing to everything else for all that time. */
typedef struct {
    char url[APP_OTA_URL_MAX_BYTES + sizeof(EST_PATH)];
    char gateway_code[CODE_MAX_CHARS + 1];
    chip_pair_t present; /* to show to the server */
    char key_pem[PAIR_KEY_PEM_BYTES];
    char request[PAIR_REQUEST_DER_BYTES * 2];
    char answer[CHIP_RENEWAL_ANSWER_MAX_BYTES];
    char certificate_pem[PAIR_CERTIFICATE_PEM_BYTES];
    char kept[PAIR_KEY_PEM_BYTES + PAIR_CERTIFICATE_PEM_BYTES];
    pair_validity_t validity;
    uint32_t retry_after_s;
} chip_renewal_t;

/* Blocks for seconds. True: key_pem and certificate_pem are a new pair of this gateway. */
bool chip_renewal_run(chip_renewal_t *renewal);
