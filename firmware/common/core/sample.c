#include "sample.h"
#include "utf8.h"
#include "wall_time.h"

#include <string.h>

bool sample_init(sample_t *sample, const char *device_code)
{
    size_t len = strlen(device_code);
    if (!code_is_valid(device_code, len)) {
        return false;
    }
    memset(sample, 0, sizeof(*sample));
    memcpy(sample->device_code, device_code, len);
    return true;
}

static bool is_label(const char *text, size_t len, size_t min_bytes, size_t max_bytes)
{
    return len >= min_bytes && len <= max_bytes && utf8_is_visible_text(text, len);
}

/* Among the first `count`. */
static bool is_among(const reading_t *readings, size_t count, const char *tipo, const char *unidade)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(readings[i].tipo, tipo) == 0 && strcmp(readings[i].unidade, unidade) == 0) {
            return true;
        }
    }
    return false;
}

bool sample_add(sample_t *sample, const char *tipo, const char *unidade, decimal_t valor)
{
    size_t tipo_len = strlen(tipo);
    size_t unidade_len = strlen(unidade);
    if (sample->count >= SAMPLE_MAX_READINGS || !is_label(tipo, tipo_len, 1, TIPO_MAX_BYTES) ||
        !is_label(unidade, unidade_len, 0, UNIDADE_MAX_BYTES) || valor.places > VALOR_MAX_PLACES ||
        is_among(sample->readings, sample->count, tipo, unidade)) {
        return false;
    }
    reading_t *reading = &sample->readings[sample->count++];
    *reading = (reading_t){.valor = valor};
    memcpy(reading->tipo, tipo, tipo_len);
    memcpy(reading->unidade, unidade, unidade_len);
    return true;
}

/* Length of a text in an array; the array's size when no NUL ends it. */
static size_t len_in(const char *text, size_t size_bytes)
{
    const char *end = memchr(text, '\0', size_bytes);
    return end != NULL ? (size_t)(end - text) : size_bytes;
}

static bool reading_is_valid(const reading_t *readings, size_t index)
{
    const reading_t *reading = &readings[index];
    return is_label(reading->tipo, len_in(reading->tipo, sizeof(reading->tipo)), 1, TIPO_MAX_BYTES) &&
           is_label(reading->unidade, len_in(reading->unidade, sizeof(reading->unidade)), 0, UNIDADE_MAX_BYTES) &&
           reading->valor.places <= VALOR_MAX_PLACES && !is_among(readings, index, reading->tipo, reading->unidade);
}

bool sample_is_valid(const sample_t *sample)
{
    char time[WALL_TIME_CHARS + 1];
    if (!code_is_valid(sample->device_code, len_in(sample->device_code, sizeof(sample->device_code))) ||
        sample->count == 0 || sample->count > SAMPLE_MAX_READINGS ||
        (sample->moment.stamped && wall_time_print(sample->moment.unix_s, time) == 0)) {
        return false;
    }
    for (size_t i = 0; i < sample->count; i++) {
        if (!reading_is_valid(sample->readings, i)) {
            return false;
        }
    }
    return true;
}
