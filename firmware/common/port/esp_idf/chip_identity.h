/* This device's key and certificate: the factory's, or the pair that was renewed by EST and is kept in NVS beside it.
 * Of the two the one counts that was issued later: a unit that was provisioned anew has another. */
#pragma once

#include "../port_identity.h"
#include "../port_kv.h"

#define CHIP_KEY_MAX_BYTES 512
#define CHIP_CERTIFICATE_MAX_BYTES 4000 /* NVS's bound of a string */

typedef struct {
    char key[CHIP_KEY_MAX_BYTES + 1]; /* PEM */
    char certificate[CHIP_CERTIFICATE_MAX_BYTES + 1];
} chip_pair_t;

/* `gateway_code` stays the caller's. */
void chip_identity_init(port_identity_t *port, const port_kv_t *kv, const port_kv_t *factory, const char *gateway_code);

/* The pair to connect with; NULL: there is none, or no authority is pinned. One that was renewed, or that
 * is to be used instead, is taken into use by this call: nobody may still read what the last call gave. */
const chip_pair_t *chip_identity_pair(void);

/* From any task: a copy of the pair that is shown at present, which stays that of MQTT: another one that is to be used
 * comes with the next connection. False: there is none, or no authority is pinned. */
bool chip_identity_copy(chip_pair_t *out);
