#include "core/health.h"
#include "core/record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static sample_t s_sample;

static const reading_t *reading(const char *tipo)
{
    for (size_t i = 0; i < s_sample.count; i++) {
        if (strcmp(s_sample.readings[i].tipo, tipo) == 0) {
            return &s_sample.readings[i];
        }
    }
    return NULL;
}

static void assert_reading(const char *tipo, const char *unidade, int64_t digits)
{
    const reading_t *found = reading(tipo);
    assert_non_null(found);
    assert_string_equal(found->unidade, unidade);
    assert_true(found->valor.digits == digits);
    assert_int_equal(found->valor.places, 0);
}

static void all_that_is_known_becomes_a_reading(void **state)
{
    (void)state;
    const health_t health = {
        .has_signal = true,
        .signal_dbm = -67,
        .free_bytes = 150000,
        .free_min_bytes = 120000,
        .uptime_s = 3600,
        .reconnects = 3,
        .outbox_depth = 1440,
        .dropped = 2,
        .boots = 7,
        .boot_reason = 8,
        .clock_steps = 1,
        .last_failure = FAILURE_TLS_HOST,
        .pair_changes = 3,
        .storage_failures = 4,
    };
    assert_true(health_sample(&health, &s_sample));
    assert_string_equal(s_sample.device_code, "SYS");
    assert_int_equal(s_sample.count, 13);
    assert_reading("rssi", "dBm", -67);
    assert_reading("memoria_livre", "B", 150000);
    assert_reading("memoria_livre_min", "B", 120000);
    assert_reading("tempo_ligado", "s", 3600);
    assert_reading("reconexoes", "", 3);
    assert_reading("fila", "", 1440);
    assert_reading("descartadas", "", 2);
    assert_reading("partidas", "", 7);
    assert_reading("motivo_partida", "", 8);
    assert_reading("saltos_relogio", "", 1);
    assert_reading("falha_conexao", "", 5);
    assert_reading("trocas_certificado", "", 3);
    assert_reading("falhas_armazenamento", "", 4);
}

static void what_is_not_known_is_left_out(void **state)
{
    (void)state;
    const health_t health = {.signal_dbm = -1};
    assert_true(health_sample(&health, &s_sample));
    assert_null(reading("rssi"));
    assert_null(reading("memoria_livre"));
    assert_null(reading("memoria_livre_min"));
    assert_null(reading("trocas_certificado"));
    assert_null(reading("falhas_armazenamento"));
    assert_int_equal(s_sample.count, 8);
}

static void the_largest_numbers_fit_a_record(void **state)
{
    (void)state;
    static uint8_t record[RECORD_MAX_BYTES];
    health_t health;
    memset(&health, 0xFF, sizeof(health)); /* whatever is added to it later, too */
    health.has_signal = true;
    health.signal_dbm = INT32_MIN;
    health.last_failure = FAILURE_CREDENTIALS;
    assert_true(health_sample(&health, &s_sample));
    assert_reading("rssi", "dBm", INT32_MIN);
    assert_reading("tempo_ligado", "s", INT64_MAX);
    assert_reading("fila", "", UINT32_MAX);
    assert_true(record_encode(&s_sample, record, sizeof(record)) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_that_is_known_becomes_a_reading),
        cmocka_unit_test(what_is_not_known_is_left_out),
        cmocka_unit_test(the_largest_numbers_fit_a_record),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
