/* testdata/updates, read by tests: vectors_open("headers"), and what is in it. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cjson/cJSON.h>
#include <cmocka.h>

#define TEXT_MAX_BYTES (2 * 1024 * 1024)
#define FILE_MAX_BYTES (512 * 1024)

static char s_vector[TEXT_MAX_BYTES]; /* the document that was joined last */

static inline const char *vectors_text(const cJSON *object, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
    return cJSON_IsString(item) ? item->valuestring : NULL;
}

static inline cJSON *vectors_open(const char *name)
{
    static char text[FILE_MAX_BYTES];
    char path[512];
    (void)snprintf(path, sizeof(path), UPDATE_VECTORS "/%s.json", name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    size_t len = fread(text, 1, sizeof(text), file);
    (void)fclose(file);
    assert_in_range(len, 1, sizeof(text) - 1);
    cJSON *root = cJSON_ParseWithLength(text, len);
    assert_non_null(root);
    return root;
}

static inline size_t vectors_join(const cJSON *parts)
{
    size_t len = 0;
    const cJSON *part;
    cJSON_ArrayForEach(part, parts)
    {
        const cJSON *times = cJSON_GetObjectItemCaseSensitive(part, "times");
        const char *text = vectors_text(part, "text");
        if (text == NULL) {
            assert_string_equal(vectors_text(part, "hex"), "00"); /* nothing else is written so */
            s_vector[len++] = '\0';
            continue;
        }
        for (int left = times != NULL ? times->valueint : 1; left > 0; left--) {
            assert_in_range(strlen(text), 0, TEXT_MAX_BYTES - len);
            memcpy(s_vector + len, text, strlen(text));
            len += strlen(text);
        }
    }
    return len;
}

/* The document of a case, in s_vector; its length. */
static inline size_t vectors_case(const cJSON *root, const char *name)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(root, "cases"))
    {
        if (strcmp(vectors_text(item, "case"), name) == 0) {
            return vectors_join(cJSON_GetObjectItemCaseSensitive(item, "jws"));
        }
    }
    fail_msg("there is no case %s", name);
    return 0;
}
