#include "app_parts.h"

void app_apply(app_t *app, uint64_t now_ms, config_key_t key, actions_t *actions)
{
    switch (key) {
    case CONFIG_WIFI_SSID:
    case CONFIG_WIFI_PASSWORD:
    case CONFIG_APN:
        app->to_start_network = true;
        app_leave(app, now_ms, actions);
        break;
    case CONFIG_BROKER_URI:
        app_leave(app, now_ms, actions);
        break;
    case CONFIG_INTERVAL_S:
        sampling_set_interval(&app->sampling, now_ms, config_number(&app->config, key));
        app_align(app, now_ms);
        app->to_announce = true; /* the platform takes from it when we are late */
        break;
    case CONFIG_RESEND_WINDOW_S:
        app->sender.window_s = config_number(&app->config, key);
        break;
    case CONFIG_UPDATE_POLL_H:
        app_take_update_period(app, now_ms);
        break;
    case CONFIG_DEVICE_CODE:
    case CONFIG_OTA_URL:
    case CONFIG_KEYS:
        break; /* asked for when they are needed */
    }
}

void app_apply_all(app_t *app, uint64_t now_ms, actions_t *actions)
{
    app->to_start_network = true;
    app_leave(app, now_ms, actions);
    app_apply(app, now_ms, CONFIG_INTERVAL_S, actions);
    app_apply(app, now_ms, CONFIG_RESEND_WINDOW_S, actions);
    app_apply(app, now_ms, CONFIG_UPDATE_POLL_H, actions);
}

bool app_mqtt_options(const app_t *app, app_mqtt_options_t *out)
{
    *out = (app_mqtt_options_t){
        .client_id = app->options.gateway_code,
        .keep_alive_s = KEEP_ALIVE_S,
        .will_topic = app->presence_topic,
        .will_payload = app->will_payload,
    };
    return config_split_uri(config_text(&app->config, CONFIG_BROKER_URI), &out->tls, out->host, sizeof(out->host),
                            &out->port);
}
