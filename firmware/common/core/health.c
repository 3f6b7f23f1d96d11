#include "health.h"

typedef struct {
    const char *tipo, *unidade;
    bool known;
    int64_t value;
} fact_t;

static int64_t bounded(uint64_t value)
{
    return value > INT64_MAX ? INT64_MAX : (int64_t)value;
}

bool health_sample(const health_t *health, sample_t *out)
{
    const fact_t facts[] = {
        {"rssi", "dBm", health->has_signal, health->signal_dbm},
        {"memoria_livre", "B", health->free_bytes > 0, health->free_bytes},
        {"memoria_livre_min", "B", health->free_min_bytes > 0, health->free_min_bytes},
        {"tempo_ligado", "s", true, bounded(health->uptime_s)},
        {"reconexoes", "", true, health->reconnects},
        {"fila", "", true, health->outbox_depth},
        {"descartadas", "", true, health->dropped},
        {"partidas", "", true, health->boots},
        {"motivo_partida", "", true, health->boot_reason},
        {"saltos_relogio", "", true, health->clock_steps},
        {"falha_conexao", "", true, (int64_t)health->last_failure},
        {"trocas_certificado", "", health->pair_changes > 0, health->pair_changes},
        {"falhas_armazenamento", "", health->storage_failures > 0, health->storage_failures},
    };
    bool all = sample_init(out, HEALTH_DEVICE_CODE);
    for (size_t i = 0; i < sizeof(facts) / sizeof(facts[0]); i++) {
        if (facts[i].known) {
            all &= sample_add(out, facts[i].tipo, facts[i].unidade, (decimal_t){.digits = facts[i].value});
        }
    }
    return all;
}
