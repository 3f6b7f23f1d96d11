/* NVS, as the settings and the factory image are read from it. */
#include "chip_kv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../../common/core/bounds.h"
#include "nvs_flash.h"

/* A partition of one entry. */
static struct {
    nvs_type_t type;
    const char *text;
    uint8_t number;
    esp_err_t init_error;
    int erased;
} s_nvs;

esp_err_t nvs_flash_init(void)
{
    return s_nvs.erased > 0 ? ESP_OK : s_nvs.init_error;
}

esp_err_t nvs_flash_erase(void)
{
    s_nvs.erased++;
    return ESP_OK;
}

esp_err_t nvs_flash_init_partition(const char *partition)
{
    assert_string_equal(partition, "fctry");
    return s_nvs.init_error;
}

esp_err_t nvs_open(const char *name, nvs_open_mode_t mode, nvs_handle_t *out)
{
    assert_string_equal(name, "tds");
    assert_int_equal(mode, NVS_READWRITE);
    *out = 1;
    return ESP_OK;
}

esp_err_t nvs_open_from_partition(const char *partition, const char *name, nvs_open_mode_t mode, nvs_handle_t *out)
{
    assert_string_equal(partition, "fctry");
    assert_string_equal(name, "tds_factory");
    assert_int_equal(mode, NVS_READONLY);
    *out = 2;
    return ESP_OK;
}

esp_err_t nvs_find_key(nvs_handle_t handle, const char *key, nvs_type_t *out)
{
    (void)handle;
    *out = s_nvs.type;
    return strcmp(key, "there") == 0 ? ESP_OK : ESP_ERR_NVS_NOT_FOUND;
}

esp_err_t nvs_get_u8(nvs_handle_t handle, const char *key, uint8_t *out)
{
    (void)handle, (void)key;
    *out = s_nvs.number;
    return ESP_OK;
}

/* As ESP-IDF does: the length has the NUL, and a buffer that is too short gets nothing. */
esp_err_t nvs_get_str(nvs_handle_t handle, const char *key, char *out, size_t *length)
{
    (void)handle, (void)key;
    const size_t needed = strlen(s_nvs.text) + 1, given = *length;
    *length = needed;
    if (out == NULL) {
        return ESP_OK;
    }
    if (given < needed) {
        return ESP_ERR_NVS_INVALID_LENGTH;
    }
    memcpy(out, s_nvs.text, needed);
    return ESP_OK;
}

esp_err_t nvs_get_blob(nvs_handle_t handle, const char *key, void *out, size_t *length)
{
    (void)handle;
    const size_t needed = strlen(s_nvs.text), given = *length;
    *length = needed;
    if (strcmp(key, "there") != 0) {
        return ESP_ERR_NVS_NOT_FOUND;
    }
    if (given < needed) {
        return ESP_ERR_NVS_INVALID_LENGTH;
    }
    memcpy(out, s_nvs.text, needed);
    return ESP_OK;
}

esp_err_t nvs_set_blob(nvs_handle_t handle, const char *key, const void *value, size_t length)
{
    (void)handle, (void)value, (void)length;
    return strcmp(key, "full") == 0 ? ESP_ERR_NVS_NOT_ENOUGH_SPACE : ESP_OK;
}

esp_err_t nvs_erase_key(nvs_handle_t handle, const char *key)
{
    (void)handle;
    return strcmp(key, "there") == 0 ? ESP_OK : ESP_ERR_NVS_NOT_FOUND;
}

esp_err_t nvs_commit(nvs_handle_t handle)
{
    (void)handle;
    return ESP_OK;
}

static chip_kv_t s_handle;
static port_kv_t s_kv;

static int new_partition(void **state)
{
    (void)state;
    memset(&s_nvs, 0, sizeof(s_nvs));
    s_nvs.type = NVS_TYPE_STR;
    s_nvs.text = "";
    return 0;
}

static void a_text_may_fill_the_callers_buffer_to_its_last_byte(void **state)
{
    (void)state;
    char code[CODE_MAX_CHARS], longest[CODE_MAX_CHARS + 1];
    size_t len = 0;
    memset(longest, 'A', CODE_MAX_CHARS);
    longest[CODE_MAX_CHARS] = '\0';
    s_nvs.text = longest;
    assert_true(chip_factory_open(&s_handle, &s_kv));
    assert_int_equal(s_kv.get(s_kv.ctx, "there", code, sizeof(code), &len), KV_OK);
    assert_int_equal(len, CODE_MAX_CHARS);
    assert_memory_equal(code, longest, CODE_MAX_CHARS);
}

static void the_longest_setting_fits_and_a_longer_text_is_told_with_its_length(void **state)
{
    (void)state;
    char out[CONFIG_VALUE_MAX_BYTES], longest[CONFIG_VALUE_MAX_BYTES + 2] = {0};
    size_t len = 0;
    assert_true(chip_factory_open(&s_handle, &s_kv));
    memset(longest, 'B', CONFIG_VALUE_MAX_BYTES);
    s_nvs.text = longest;
    assert_int_equal(s_kv.get(s_kv.ctx, "there", out, sizeof(out), &len), KV_OK);
    assert_int_equal(len, CONFIG_VALUE_MAX_BYTES);
    longest[CONFIG_VALUE_MAX_BYTES] = 'B';
    assert_int_equal(s_kv.get(s_kv.ctx, "there", out, sizeof(out), &len), KV_TOO_SMALL);
    assert_int_equal(len, CONFIG_VALUE_MAX_BYTES + 1);
}

static void the_format_of_the_image_is_a_number(void **state)
{
    (void)state;
    uint8_t format = 0;
    size_t len = 0;
    s_nvs.type = NVS_TYPE_U8;
    s_nvs.number = 1;
    assert_true(chip_factory_open(&s_handle, &s_kv));
    assert_int_equal(s_kv.get(s_kv.ctx, "there", &format, sizeof(format), &len), KV_OK);
    assert_int_equal(format, 1);
    assert_int_equal(len, 1);
    assert_int_equal(s_kv.get(s_kv.ctx, "there", &format, 0, &len), KV_TOO_SMALL);
}

static void what_has_another_type_or_is_not_there_is_no_value(void **state)
{
    (void)state;
    char out[8];
    size_t len = 0;
    assert_true(chip_factory_open(&s_handle, &s_kv));
    assert_int_equal(s_kv.get(s_kv.ctx, "away", out, sizeof(out), &len), KV_MISSING);
    s_nvs.type = NVS_TYPE_BLOB;
    assert_int_equal(s_kv.get(s_kv.ctx, "there", out, sizeof(out), &len), KV_FAILED);
}

static void the_factory_image_is_never_written(void **state)
{
    (void)state;
    assert_true(chip_factory_open(&s_handle, &s_kv));
    assert_int_equal(s_kv.set(s_kv.ctx, "there", "x", 1), KV_FAILED);
    assert_int_equal(s_kv.erase(s_kv.ctx, "there"), KV_FAILED);
}

static void settings_that_can_not_be_read_are_begun_anew(void **state)
{
    (void)state;
    s_nvs.init_error = ESP_ERR_NVS_NO_FREE_PAGES;
    assert_true(chip_kv_open(&s_handle, &s_kv));
    assert_int_equal(s_nvs.erased, 1);
}

static void a_factory_image_that_can_not_be_read_is_left_as_it_is(void **state)
{
    (void)state;
    s_nvs.init_error = ESP_ERR_NVS_NO_FREE_PAGES;
    assert_false(chip_factory_open(&s_handle, &s_kv));
    assert_int_equal(s_nvs.erased, 0);
}

static void a_setting_is_told_with_its_length_also_when_it_does_not_fit(void **state)
{
    (void)state;
    char out[4];
    size_t len = 0;
    s_nvs.text = "longer";
    assert_true(chip_kv_open(&s_handle, &s_kv));
    assert_int_equal(s_kv.get(s_kv.ctx, "there", out, sizeof(out), &len), KV_TOO_SMALL);
    assert_int_equal(len, 6);
    assert_int_equal(s_kv.set(s_kv.ctx, "full", "x", 1), KV_FULL);
    assert_int_equal(s_kv.erase(s_kv.ctx, "away"), KV_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_text_may_fill_the_callers_buffer_to_its_last_byte, new_partition),
        cmocka_unit_test_setup(the_longest_setting_fits_and_a_longer_text_is_told_with_its_length, new_partition),
        cmocka_unit_test_setup(the_format_of_the_image_is_a_number, new_partition),
        cmocka_unit_test_setup(what_has_another_type_or_is_not_there_is_no_value, new_partition),
        cmocka_unit_test_setup(the_factory_image_is_never_written, new_partition),
        cmocka_unit_test_setup(settings_that_can_not_be_read_are_begun_anew, new_partition),
        cmocka_unit_test_setup(a_factory_image_that_can_not_be_read_is_left_as_it_is, new_partition),
        cmocka_unit_test_setup(a_setting_is_told_with_its_length_also_when_it_does_not_fit, new_partition),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
