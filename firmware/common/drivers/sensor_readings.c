#include "sensor_readings.h"

#include <stddef.h>

static void add(sample_t *out, const char *tipo, const char *unidade, int64_t digits, uint8_t places)
{
    /* There is room for all that a board here has: SAMPLE_MAX_READINGS. */
    (void)sample_add(out, tipo, unidade, (decimal_t){.digits = digits, .places = places});
}

void sensor_readings_meter(const sensors_t *sensors, sample_t *out)
{
    meter_values_t values;
    if (sensors == NULL || sensors->meter == NULL || !sensors->meter(sensors->ctx, &values)) {
        return;
    }
    add(out, "energia", "kWh", values.energy_wh, 3);
    add(out, "potencia", "W", values.power_dw, 1);
    add(out, "tensao", "V", values.voltage_dv, 1);
    add(out, "corrente", "A", values.current_ma, 3);
    add(out, "fator_potencia", "", values.power_factor_milli, 3);
}

void sensor_readings_position(const sensors_t *sensors, sample_t *out)
{
    position_values_t values;
    if (sensors == NULL || sensors->position == NULL || !sensors->position(sensors->ctx, &values)) {
        return;
    }
    add(out, "latitude", "°", values.latitude_udeg, 6);
    add(out, "longitude", "°", values.longitude_udeg, 6);
    add(out, "altitude", "m", values.altitude_dm, 1);
    add(out, "satelites", "", values.satellites, 0);
}

void sensor_readings_modem(const sensors_t *sensors, sample_t *out)
{
    modem_values_t values;
    if (sensors == NULL || sensors->modem == NULL || !sensors->modem(sensors->ctx, &values)) {
        return;
    }
    add(out, "rsrp", "dBm", values.rsrp_dbm, 0);
    add(out, "rsrq", "dB", values.rsrq_db, 0);
}

void sensor_readings_relay(const sensors_t *sensors, sample_t *out)
{
    static const char *const VOLTAGES[PHASES] = {"tensao_a", "tensao_b", "tensao_c"};
    static const char *const CURRENTS[PHASES] = {"corrente_a", "corrente_b", "corrente_c"};
    relay_values_t values;
    if (sensors == NULL || sensors->relay == NULL || !sensors->relay(sensors->ctx, &values)) {
        return;
    }
    for (size_t i = 0; i < PHASES; i++) {
        add(out, VOLTAGES[i], "V", values.voltage_dv[i], 1);
        add(out, CURRENTS[i], "A", values.current_ma[i], 3);
    }
    add(out, "frequencia", "Hz", values.frequency_mhz, 3);
    add(out, "rele_ligado", "", values.is_on ? 1 : 0, 0);
    add(out, "partidas_motor", "", values.starts, 0);
    add(out, "disparos", "", values.trips, 0);
}
