#include "telemetry.h"
#include "json_out.h"
#include "wall_time.h"

#include <string.h>

static bool is_code(const char *text)
{
    return code_is_valid(text, strlen(text));
}

size_t telemetry_topic(const char *gateway_code, const char *device_code, char *out, size_t cap_bytes)
{
    if (!is_code(gateway_code) || !is_code(device_code)) {
        return 0;
    }
    json_out_t topic;
    json_out_init(&topic, out, cap_bytes);
    json_out_raw(&topic, "telemetry/");
    json_out_raw(&topic, gateway_code);
    json_out_raw(&topic, "/");
    json_out_raw(&topic, device_code);
    json_out_raw(&topic, "/data");
    return json_out_end(&topic) ? topic.len_bytes : 0;
}

static void write_reading(json_out_t *json, const reading_t *reading)
{
    json_out_raw(json, "{\"tipo\":");
    json_out_string(json, reading->tipo, strlen(reading->tipo));
    json_out_raw(json, ",\"valor\":");
    json_out_decimal(json, reading->valor);
    json_out_raw(json, ",\"unidade\":");
    json_out_string(json, reading->unidade, strlen(reading->unidade));
    json_out_raw(json, "}");
}

size_t telemetry_payload(const char *gateway_code, const sample_t *sample, char *out, size_t cap_bytes)
{
    char time[WALL_TIME_CHARS + 1];
    if (!sample->moment.stamped || !is_code(gateway_code) || !sample_is_valid(sample) ||
        wall_time_print(sample->moment.unix_s, time) == 0) {
        return 0;
    }
    json_out_t json;
    json_out_init(&json, out, cap_bytes);
    json_out_raw(&json, "{\"gateway_code\":");
    json_out_string(&json, gateway_code, strlen(gateway_code));
    json_out_raw(&json, ",\"device_code\":");
    json_out_string(&json, sample->device_code, strlen(sample->device_code));
    json_out_raw(&json, ",\"timestamp\":");
    json_out_string(&json, time, WALL_TIME_CHARS);
    json_out_raw(&json, ",\"leituras\":[");
    for (size_t i = 0; i < sample->count; i++) {
        json_out_raw(&json, i > 0 ? "," : "");
        write_reading(&json, &sample->readings[i]);
    }
    json_out_raw(&json, "]}");
    return json_out_end(&json) ? json.len_bytes : 0;
}
