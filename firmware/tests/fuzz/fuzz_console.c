/* Any lines, one after the other: what is said is text and never the secret, and what is set is valid. */
#include "core/config_table.h"
#include "core/console.h"
#include "core/utf8.h"
#include "port/fake/fake_kv.h"

#include <stdlib.h>
#include <string.h>

#define SECRET "Zq7#never-shown"
#define LINE_BYTES 512

#define INPUT_MAX_BYTES 600 /* more is more of the same, and slow */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool s_secret_was_typed;

static void require(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void say(void *ctx, const char *line)
{
    size_t len = strlen(line);
    (void)ctx;
    require(len > 0 && len <= CONSOLE_LINE_MAX_BYTES && utf8_is_text(line, len));
    require(s_secret_was_typed || strstr(line, SECRET) == NULL);
}

static void require_valid(const config_t *config)
{
    for (int key = 0; key < CONFIG_KEYS; key++) {
        const char *text = config_text(config, (config_key_t)key);
        require(text[0] == '\0' || config_value_is_valid(config_row((config_key_t)key), text, strlen(text)));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static fake_kv_t kv;
    static config_t config;
    char sentence[CONFIG_SENTENCE_MAX_BYTES];
    uint64_t now_ms = 0;
    if (size > INPUT_MAX_BYTES) {
        return 0;
    }
    fake_kv_init(&kv);
    config_load(&config, &kv.port, NULL, 0);
    require(config_set(&config, CONFIG_WIFI_PASSWORD, SECRET, 0, sentence, sizeof(sentence)) == NULL);
    config_confirm(&config);
    s_secret_was_typed = false;
    for (size_t at = 0; at < size;) {
        char line[LINE_BYTES];
        size_t len = 0;
        while (at < size && data[at] != '\n' && len < LINE_BYTES - 1) {
            line[len++] = (char)data[at++];
        }
        line[len] = '\0';
        at += at < size && data[at] == '\n';
        s_secret_was_typed = s_secret_was_typed || strstr(line, SECRET) != NULL;
        config_key_t changed = (config_key_t)CONFIG_KEYS;
        console_did_t did = console_line(&config, line, now_ms += 1000, &changed, say, NULL);
        require((did == CONSOLE_CHANGED) == (changed < CONFIG_KEYS));
        require_valid(&config);
    }
    return 0;
}
