/* Which of its pairs the chip shows. What is in a certificate is played. */
#include "chip_identity.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "chip_clock.h"
#include "chip_events.h"
#include "chip_log.h"
#include "chip_renewal.h"
#include "chip_tls.h"
#include "freertos/FreeRTOS.h"
#include "freertos/semphr.h"
#include "freertos/task.h"
#include "mbedtls/platform_util.h"

#define GATEWAY "GW-1"

/* A certificate of this test is "code begin end", and belongs to any key. */
#define FACTORY_CERTIFICATE GATEWAY " 100 900"
#define RENEWED_CERTIFICATE GATEWAY " 500 1300"

static const char *s_factory_certificate;
static char s_kept[64];
static size_t s_kept_bytes;
static int64_t s_floor_unix_s;
static port_identity_t s_port;
static TaskFunction_t s_task;
static void *s_task_arg;
static bool s_renewal_succeeds;
static event_t s_event;

bool mbedtls_pair_read(const char *key_pem, const char *certificate_pem, pair_validity_t *out)
{
    char code[16];
    long long begin, end;
    (void)key_pem;
    if (sscanf(certificate_pem, "%15s %lld %lld", code, &begin, &end) != 3) {
        return false;
    }
    *out = (pair_validity_t){begin, end};
    return true;
}

bool mbedtls_pair_is_of(const char *certificate_pem, const char *gateway_code)
{
    const size_t len = strlen(gateway_code);
    return strncmp(certificate_pem, gateway_code, len) == 0 && certificate_pem[len] == ' ';
}

void mbedtls_platform_zeroize(void *data, size_t len)
{
    memset(data, 0, len);
}

bool chip_tls_is_pinned(void)
{
    return true;
}

bool chip_tls_pin(const char *authorities_pem)
{
    (void)authorities_pem;
    return true;
}

void chip_clock_not_before(int64_t unix_s)
{
    s_floor_unix_s = unix_s > s_floor_unix_s ? unix_s : s_floor_unix_s;
}

bool chip_events_post(const event_t *event)
{
    s_event = *event;
    return true;
}

bool chip_renewal_run(chip_renewal_t *renewal)
{
    assert_string_equal(renewal->gateway_code, GATEWAY);
    (void)snprintf(renewal->key_pem, sizeof(renewal->key_pem), "next key");
    (void)snprintf(renewal->certificate_pem, sizeof(renewal->certificate_pem), GATEWAY " 700 1500");
    renewal->validity = (pair_validity_t){700, 1500};
    return s_renewal_succeeds;
}

SemaphoreHandle_t xSemaphoreCreateMutexStatic(StaticSemaphore_t *memory)
{
    return (SemaphoreHandle_t)(uintptr_t)memory;
}

BaseType_t xSemaphoreTake(SemaphoreHandle_t semaphore, TickType_t wait)
{
    (void)semaphore, (void)wait;
    return pdTRUE;
}

BaseType_t xSemaphoreGive(SemaphoreHandle_t semaphore)
{
    (void)semaphore;
    return pdTRUE;
}

BaseType_t xTaskCreate(TaskFunction_t code, const char *name, uint32_t stack_bytes, void *arg, UBaseType_t priority,
                       TaskHandle_t *out)
{
    (void)name, (void)stack_bytes, (void)priority, (void)out;
    s_task = code;
    s_task_arg = arg;
    return pdPASS;
}

void vTaskDelete(TaskHandle_t task)
{
    (void)task;
}

void vTaskDelay(TickType_t ticks)
{
    (void)ticks;
}

static void say_nothing(void *ctx, log_level_t level, const char *tag, const char *text)
{
    (void)ctx, (void)level, (void)tag, (void)text;
}

const port_log_t chip_log = {.write = say_nothing};

static kv_status_t give(const char *text, size_t len_bytes, void *out, size_t cap_bytes, size_t *len)
{
    *len = len_bytes;
    if (len_bytes > cap_bytes) {
        return KV_TOO_SMALL;
    }
    memcpy(out, text, len_bytes);
    return KV_OK;
}

static kv_status_t get_factory(void *ctx, const char *key, void *out, size_t cap_bytes, size_t *len)
{
    (void)ctx;
    if (strcmp(key, "device_cert") == 0) {
        return give(s_factory_certificate, strlen(s_factory_certificate), out, cap_bytes, len);
    }
    return give("key", strlen("key"), out, cap_bytes, len);
}

static kv_status_t get(void *ctx, const char *key, void *out, size_t cap_bytes, size_t *len)
{
    (void)ctx;
    assert_string_equal(key, "renewed");
    return s_kept_bytes > 0 ? give(s_kept, s_kept_bytes, out, cap_bytes, len) : KV_MISSING;
}

static kv_status_t set(void *ctx, const char *key, const void *value, size_t len_bytes)
{
    (void)ctx;
    assert_string_equal(key, "renewed");
    assert_true(len_bytes <= sizeof(s_kept));
    memcpy(s_kept, value, len_bytes);
    s_kept_bytes = len_bytes;
    return KV_OK;
}

static const port_kv_t s_kv = {.get = get, .set = set};
static const port_kv_t s_factory = {.get = get_factory};

static void power_up(const char *factory, const char *renewed)
{
    s_factory_certificate = factory;
    s_kept_bytes = 0;
    if (renewed != NULL) {
        memcpy(s_kept, "key 2", sizeof("key 2"));
        memcpy(s_kept + sizeof("key 2"), renewed, strlen(renewed));
        s_kept_bytes = sizeof("key 2") + strlen(renewed);
    }
    s_floor_unix_s = 0;
    chip_identity_init(&s_port, &s_kv, &s_factory, GATEWAY);
}

static const char *shown(void)
{
    const chip_pair_t *pair = chip_identity_pair();
    return pair != NULL ? pair->certificate : NULL;
}

static bool is_there(pair_t pair, int64_t begin, int64_t end)
{
    pair_times_t times;
    return s_port.validity(s_port.ctx, pair, &times) && times.not_before_unix_s == begin &&
           times.not_after_unix_s == end;
}

static bool is_missing(pair_t pair)
{
    pair_times_t times;
    return !s_port.validity(s_port.ctx, pair, &times) && times.not_after_unix_s == 0;
}

static void a_renewed_pair_is_shown_and_both_are_known(void **state)
{
    (void)state;
    power_up(FACTORY_CERTIFICATE, RENEWED_CERTIFICATE);
    assert_string_equal(shown(), RENEWED_CERTIFICATE);
    assert_true(is_there(PAIR_FACTORY, 100, 900));
    assert_true(is_there(PAIR_RENEWED, 500, 1300));
    assert_int_equal(s_floor_unix_s, 500);
}

static void the_other_pair_is_shown_from_the_next_connection_on_and_the_first_again(void **state)
{
    (void)state;
    power_up(FACTORY_CERTIFICATE, RENEWED_CERTIFICATE);
    const chip_pair_t *of_connection = chip_identity_pair();
    s_port.use(s_port.ctx, PAIR_FACTORY);
    assert_string_equal(of_connection->certificate, RENEWED_CERTIFICATE); /* its client still points to it */
    assert_string_equal(shown(), FACTORY_CERTIFICATE);
    assert_string_equal(chip_identity_pair()->key, "key");
    assert_true(is_there(PAIR_RENEWED, 500, 1300));
    s_port.use(s_port.ctx, PAIR_RENEWED);
    assert_string_equal(shown(), RENEWED_CERTIFICATE);
    assert_string_equal(chip_identity_pair()->key, "key 2");
}

static void a_renewal_with_the_factorys_pair_brings_the_new_one(void **state)
{
    (void)state;
    power_up(FACTORY_CERTIFICATE, RENEWED_CERTIFICATE);
    s_port.use(s_port.ctx, PAIR_FACTORY);
    assert_string_equal(shown(), FACTORY_CERTIFICATE);
    s_renewal_succeeds = true;
    s_port.renew(s_port.ctx, "https://server:8070", GATEWAY);
    assert_string_equal(((chip_renewal_t *)s_task_arg)->present.certificate, FACTORY_CERTIFICATE);
    s_task(s_task_arg);
    assert_true(s_event.renewal.ok);
    assert_string_equal(shown(), GATEWAY " 700 1500");
    assert_string_equal(chip_identity_pair()->key, "next key");
}

static void a_renewal_that_fails_changes_nothing(void **state)
{
    (void)state;
    power_up(FACTORY_CERTIFICATE, NULL);
    s_renewal_succeeds = false;
    s_port.renew(s_port.ctx, "https://server:8070", GATEWAY);
    s_task(s_task_arg);
    assert_false(s_event.renewal.ok);
    assert_string_equal(shown(), FACTORY_CERTIFICATE);
}

static void one_of_before_the_factorys_or_of_another_gateway_or_damaged_is_none(void **state)
{
    (void)state;
    const char *const wrongs[] = {GATEWAY " 50 1300", "GW-2 500 1300", "junk", ""};
    for (size_t i = 0; i < sizeof(wrongs) / sizeof(wrongs[0]); i++) {
        power_up(FACTORY_CERTIFICATE, wrongs[i]);
        assert_string_equal(shown(), FACTORY_CERTIFICATE);
        assert_true(is_missing(PAIR_RENEWED));
        assert_true(is_there(PAIR_FACTORY, 100, 900));
    }
}

static void a_factorys_that_can_not_be_used_is_none_and_the_renewed_one_is_shown_whatever_is_wanted(void **state)
{
    (void)state;
    power_up("junk", RENEWED_CERTIFICATE);
    assert_true(is_missing(PAIR_FACTORY));
    s_port.use(s_port.ctx, PAIR_FACTORY);
    assert_string_equal(shown(), RENEWED_CERTIFICATE);
    power_up("junk", NULL);
    assert_null(shown());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_renewed_pair_is_shown_and_both_are_known),
        cmocka_unit_test(the_other_pair_is_shown_from_the_next_connection_on_and_the_first_again),
        cmocka_unit_test(a_renewal_with_the_factorys_pair_brings_the_new_one),
        cmocka_unit_test(a_renewal_that_fails_changes_nothing),
        cmocka_unit_test(one_of_before_the_factorys_or_of_another_gateway_or_damaged_is_none),
        cmocka_unit_test(a_factorys_that_can_not_be_used_is_none_and_the_renewed_one_is_shown_whatever_is_wanted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
