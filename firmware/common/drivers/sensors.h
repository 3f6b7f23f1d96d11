/* What is connected to a board, as functions: drivers on the chip, simulated on a host. Values are whole numbers of a
 * small unit, as registers have them. A function that returns false: the sensor did not answer. NULL: there is none. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define PHASES 3

typedef struct {
    int64_t energy_wh;
    int32_t power_dw; /* tenths of a watt */
    int32_t voltage_dv;
    int32_t current_ma;
    int32_t power_factor_milli;
} meter_values_t;

typedef struct {
    int32_t latitude_udeg, longitude_udeg; /* millionths of a degree, north and east positive */
    int32_t altitude_dm;
    uint8_t satellites;
} position_values_t;

typedef struct {
    int16_t rsrp_dbm; /* 3GPP TS 36.214, 5.1.1 */
    int16_t rsrq_db;  /* the same, 5.1.3 */
} modem_values_t;

typedef struct {
    int32_t voltage_dv[PHASES], current_ma[PHASES];
    int32_t frequency_mhz; /* thousandths of a hertz */
    bool is_on;
    uint32_t starts, trips;
} relay_values_t;

typedef struct {
    void *ctx;
    bool (*meter)(void *ctx, meter_values_t *out);
    bool (*position)(void *ctx, position_values_t *out);
    bool (*modem)(void *ctx, modem_values_t *out);
    bool (*relay)(void *ctx, relay_values_t *out);
} sensors_t;
