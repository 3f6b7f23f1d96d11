#include "presence.h"
#include "code.h"
#include "json_out.h"
#include "wall_time.h"

#include <string.h>

size_t presence_topic(const char *gateway_code, char *out, size_t cap_bytes)
{
    if (!code_is_valid(gateway_code, strlen(gateway_code))) {
        return 0;
    }
    json_out_t topic;
    json_out_init(&topic, out, cap_bytes);
    json_out_raw(&topic, "status/");
    json_out_raw(&topic, gateway_code);
    return json_out_end(&topic) ? topic.len_bytes : 0;
}

static void write_text(json_out_t *json, const char *key, const char *text)
{
    json_out_raw(json, key);
    json_out_string(json, text, strlen(text));
}

size_t presence_payload(const char *gateway_code, bool online, int64_t unix_s, const char *firmware,
                        uint32_t interval_s, char *out, size_t cap_bytes)
{
    char time[WALL_TIME_CHARS + 1];
    if (!code_is_valid(gateway_code, strlen(gateway_code))) {
        return 0;
    }
    json_out_t json;
    json_out_init(&json, out, cap_bytes);
    write_text(&json, "{\"gateway_code\":", gateway_code);
    write_text(&json, ",\"status\":", online ? "online" : "offline");
    if (unix_s != 0 && wall_time_print(unix_s, time) > 0) {
        write_text(&json, ",\"timestamp\":", time);
    }
    if (firmware != NULL && firmware[0] != '\0') {
        write_text(&json, ",\"firmware\":", firmware);
    }
    if (interval_s != 0) {
        json_out_raw(&json, ",\"interval_s\":");
        json_out_int(&json, interval_s);
    }
    json_out_raw(&json, "}");
    return json_out_end(&json) ? json.len_bytes : 0;
}
