#include "host_settings.h"

#include <stdio.h>
#include <string.h>

static bool is_said_again(const posix_overlay_t *overlay, size_t place)
{
    for (size_t i = place + 1; i < overlay->count; i++) {
        if (strcmp(overlay->values[i].key, overlay->values[place].key) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_good(const config_t *config, const char *name, const char *value)
{
    int found = config_find(name);
    if (found < 0) {
        fprintf(stderr, "There is no setting '%s'; show at the console lists them.\n", name);
        return false;
    }
    config_key_t key = (config_key_t)found;
    if (value[0] == '\0' || config_source(config, key) != CONFIG_FROM_DEFAULT) {
        return true; /* taken, or the console's goes before it */
    }
    /* Without the value, which may be a password. */
    fprintf(stderr, "The setting %s is not taken as it was given; it takes %s.\n", name, config_accepts(key));
    return false;
}

bool host_settings_check(const posix_overlay_t *overlay, const config_t *config)
{
    for (size_t i = 0; i < overlay->count; i++) {
        if (!is_said_again(overlay, i) && !is_good(config, overlay->values[i].key, overlay->values[i].value)) {
            return false;
        }
    }
    return true;
}
