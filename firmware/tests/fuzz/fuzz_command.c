/* Any payload on any topic: refused with nothing left of it, or all in the form that the rest relies on. */
#include "core/ascii.h"
#include "core/command.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds) {
        abort();
    }
}

static bool is_visible(const char *text, size_t max_chars)
{
    size_t len = strlen(text);
    for (size_t i = 0; i < len; i++) {
        if (text[i] == ' ' || !ascii_is_printable(text[i])) {
            return false;
        }
    }
    return len > 0 && len <= max_chars;
}

static void require_jws(const uint8_t *payload, size_t size, const char *jws, uint16_t len)
{
    size_t dots = 0;
    require(jws >= (const char *)payload && jws + len <= (const char *)payload + size && len >= 5);
    for (size_t i = 0; i < len; i++) {
        dots += jws[i] == '.';
        require(jws[i] == '.' || jws[i] == '-' || jws[i] == '_' || ascii_is_letter_or_digit(jws[i]));
    }
    require(dots == 2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const TOPICS[] = {"ota/GW-1/update", "ota/update", "ota/GW-2/update"};
    command_t command;
    if (size == 0) {
        return 0;
    }
    const char *topic = TOPICS[data[0] % 3];
    data++;
    size--;
    command_parse("GW-1", topic, data, size, &command);
    if (command.type == COMMAND_UPDATE) {
        require(topic == TOPICS[0] && command.refusal == NULL);
        require(is_visible(command.execution_id, EXECUTION_ID_MAX_CHARS));
        require(is_visible(command.version, VERSION_MAX_CHARS));
        require(is_visible(command.url, URL_MAX_CHARS) && strncmp(command.url, "https://", 8) == 0);
        require_jws(data, size, command.manifest, command.manifest_len_bytes);
        require_jws(data, size, command.ticket, command.ticket_len_bytes);
        return 0;
    }
    require(command.execution_id[0] == '\0' && command.version[0] == '\0' && command.url[0] == '\0');
    require(command.manifest == NULL && command.ticket == NULL);
    require(command.type == COMMAND_REFUSED ? command.refusal != NULL : topic == TOPICS[1]);
    return 0;
}
