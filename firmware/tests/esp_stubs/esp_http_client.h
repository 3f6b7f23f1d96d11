#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "esp_err.h"

#define ESP_ERR_HTTP_EAGAIN 0x7007

typedef struct esp_http_client *esp_http_client_handle_t;
typedef enum { HTTP_METHOD_GET, HTTP_METHOD_POST } esp_http_client_method_t;
typedef enum { HTTP_EVENT_ERROR, HTTP_EVENT_ON_HEADER, HTTP_EVENT_ON_DATA } esp_http_client_event_id_t;
typedef enum { HTTP_TRANSPORT_UNKNOWN, HTTP_TRANSPORT_OVER_SSL } esp_http_client_transport_t;
typedef enum { HttpStatus_Ok = 200, HttpStatus_PartialContent = 206 } HttpStatus_Code;

typedef struct {
    esp_http_client_event_id_t event_id;
    int data_len;
    void *user_data;
    char *header_key, *header_value;
} esp_http_client_event_t;

typedef struct {
    const char *url, *host, *path;
    int port;
    esp_http_client_transport_t transport_type;
    int buffer_size, buffer_size_tx;
    const char *client_cert_pem, *client_key_pem;
    esp_http_client_method_t method;
    int timeout_ms;
    bool disable_auto_redirect;
    esp_err_t (*event_handler)(esp_http_client_event_t *event);
    void *user_data;
    esp_err_t (*crt_bundle_attach)(void *config);
} esp_http_client_config_t;

esp_http_client_handle_t esp_http_client_init(const esp_http_client_config_t *config);
esp_err_t esp_http_client_set_header(esp_http_client_handle_t client, const char *key, const char *value);
esp_err_t esp_http_client_open(esp_http_client_handle_t client, int write_len);
int esp_http_client_write(esp_http_client_handle_t client, const char *buffer, int len);
int64_t esp_http_client_fetch_headers(esp_http_client_handle_t client);
int esp_http_client_get_status_code(esp_http_client_handle_t client);
int64_t esp_http_client_get_content_length(esp_http_client_handle_t client);
bool esp_http_client_is_complete_data_received(esp_http_client_handle_t client);
int esp_http_client_read(esp_http_client_handle_t client, char *buffer, int len);
esp_err_t esp_http_client_set_timeout_ms(esp_http_client_handle_t client, int timeout_ms);
int esp_http_client_get_socket(esp_http_client_handle_t client);
esp_err_t esp_http_client_get_and_clear_last_tls_error(esp_http_client_handle_t client, int *code, int *flags);
int esp_http_client_read_response(esp_http_client_handle_t client, char *buffer, int len);
esp_err_t esp_http_client_cleanup(esp_http_client_handle_t client);
