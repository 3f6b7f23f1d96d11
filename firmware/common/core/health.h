/* The device's own readings, as those of a device `SYS`: what an operator asks first of a gateway that misbehaves.
 * Pure. */
#pragma once

#include "step.h"

#define HEALTH_DEVICE_CODE "SYS"

typedef struct {
    bool has_signal;
    int32_t signal_dbm;      /* rssi, dBm */
    uint32_t free_bytes;     /* memoria_livre, B; 0: not known, left out */
    uint32_t free_min_bytes; /* memoria_livre_min, B */
    uint64_t uptime_s;       /* tempo_ligado, s */
    uint32_t reconnects;     /* reconexoes */
    uint32_t outbox_depth;   /* fila */
    uint32_t dropped;        /* descartadas: samples that the outbox let go */
    uint32_t boots;          /* partidas */
    uint32_t boot_reason;    /* motivo_partida: the port's number (port_reboot.h) */
    uint32_t clock_steps;    /* saltos_relogio */
    failure_t last_failure;  /* falha_conexao */
    uint32_t
        pair_changes; /* trocas_certificado: between the pairs, for one was refused; left out while there are none */
    /* falhas_armazenamento: samples that the flash did not take; left out while there are none */
    uint32_t storage_failures;
} health_t;

bool health_sample(const health_t *health, sample_t *out); /* all but the moment */
