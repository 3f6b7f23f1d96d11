/* Any contents of the medium, then any settings, confirmations, restarts, power cuts and failures: what is in force is
 * valid, and what a trial gives back is what was in force before it. */
#include "core/config_table.h"
#include "port/fake/fake_kv.h"

#include <stdlib.h>
#include <string.h>

#define VALUE_BYTES 300

#define PASSED_MAX 8

#define INPUT_MAX_BYTES 600 /* more is more of the same, and slow */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct {
    const uint8_t *data;
    size_t left;
} input_t;

static fake_kv_t s_kv, s_factory;
static config_t s_config;
static config_t s_before; /* what was in force when nothing was on trial */
/* What was confirmed since, the latest last; but the medium may not have taken that, and goes back to the one before.
 */
static config_t s_passed[PASSED_MAX];
static uint64_t s_now_ms;

static void require(bool holds)
{
    if (!holds) {
        abort();
    }
}

static uint8_t take(input_t *in)
{
    if (in->left == 0) {
        return 0;
    }
    in->left--;
    return *in->data++;
}

/* A length byte and so many bytes, with a NUL behind them. */
static size_t take_value(input_t *in, char out[VALUE_BYTES + 1])
{
    size_t len = take(in);
    len = len < in->left ? len : in->left;
    if (len > 0) {
        memcpy(out, in->data, len);
    }
    out[len] = '\0';
    in->data += len;
    in->left -= len;
    return len;
}

static void fill_medium(input_t *in)
{
    static const char *const OTHERS[] = {"config_trial", "config_proven", "intervalo"};
    char value[VALUE_BYTES + 1];
    for (uint8_t count = take(in) % 8; count > 0; count--) {
        uint8_t which = take(in);
        size_t len = take_value(in, value);
        uint8_t key = which % 16;
        const char *name = key < CONFIG_KEYS ? config_name((config_key_t)key) : OTHERS[key % 3];
        fake_kv_put((which & 0x10) != 0 && key < CONFIG_KEYS ? &s_factory : &s_kv, name, value, len);
        if ((which & 0x20) != 0) {
            fake_kv_damage(&s_kv, name);
        }
    }
}

static void require_valid(void)
{
    for (int key = 0; key < CONFIG_KEYS; key++) {
        const config_row_t *row = config_row((config_key_t)key);
        const char *text = config_text(&s_config, (config_key_t)key);
        require(text[0] == '\0' || config_value_is_valid(row, text, strlen(text)));
        require(text[0] != '\0' || row->preset[0] == '\0');
        uint32_t number = config_number(&s_config, (config_key_t)key);
        require(row->kind != VALUE_NUMBER || (number >= row->min && number <= row->max));
    }
    require(config_next_due_ms(&s_config) >= s_now_ms || s_config.trial == CONFIG_TRIAL_RUNS ||
            s_config.trial == CONFIG_TRIAL_UNDONE);
}

static bool connects_as(const config_t *other)
{
    for (int key = 0; key < CONFIG_KEYS; key++) {
        if (config_connects((config_key_t)key) &&
            strcmp(config_text(&s_config, (config_key_t)key), config_text(other, (config_key_t)key)) != 0) {
            return false;
        }
    }
    return true;
}

static bool connects_as_one_that_passed(void)
{
    for (size_t i = 0; i < PASSED_MAX; i++) {
        if (connects_as(&s_passed[i])) {
            return true;
        }
    }
    return false;
}

static void note_passed(void)
{
    if (!connects_as(&s_passed[PASSED_MAX - 1])) {
        memmove(&s_passed[0], &s_passed[1], (PASSED_MAX - 1) * sizeof(s_passed[0]));
        s_passed[PASSED_MAX - 1] = s_config;
    }
}

static void forget_passed(void)
{
    for (size_t i = 0; i < PASSED_MAX; i++) {
        s_passed[i] = s_config;
    }
}

/* A cut is over only with a restart. */
static void restart(void)
{
    fake_kv_power_on(&s_kv);
    s_now_ms = 0;
    config_load(&s_config, &s_kv.port, &s_factory.port, 0);
}

static void set(input_t *in)
{
    char value[VALUE_BYTES + 1];
    char sentence[CONFIG_SENTENCE_MAX_BYTES];
    uint8_t key = take(in) % CONFIG_KEYS;
    (void)take_value(in, value);
    config_t former = s_config;
    const char *wrong = config_set(&s_config, (config_key_t)key, value, s_now_ms, sentence, sizeof(sentence));
    if (wrong == NULL) {
        require(value[0] == '\0' || strcmp(config_text(&s_config, (config_key_t)key), value) == 0);
    } else {
        require(memcmp(&former.texts, &s_config.texts, sizeof(former.texts)) == 0);
    }
}

static void do_one(input_t *in)
{
    uint8_t what = take(in);
    config_trial_t trial = s_config.trial;
    bool back = false;
    switch (what % 8) {
    case 0:
    case 1:
        set(in);
        break;
    case 2:
        config_confirm(&s_config);
        trial = CONFIG_TRIAL_PASSED; /* also when power goes before the medium has taken that */
        break;
    case 3:
        s_now_ms += CONFIG_TRIAL_S * UINT64_C(1000);
        (void)config_undo_due(&s_config, s_now_ms);
        back = true;
        break;
    case 4:
        restart();
        back = true;
        break;
    case 5:
        s_kv.cut = (what & 0x10) != 0 ? FAKE_KV_CUT_KEEPS_NEW : FAKE_KV_CUT_KEEPS_OLD;
        s_kv.cut_at_write = s_kv.writes + 1 + take(in) % 4;
        break;
    case 6:
        s_kv.fail_from_write = (what & 0x10) != 0 ? s_kv.writes + 1 + take(in) % 4 : 0;
        break;
    case 7:
        s_kv.room_bytes = (what & 0x10) != 0 ? fake_kv_used_bytes(&s_kv) + take(in) : SIZE_MAX / 2;
        break;
    }
    if (s_kv.power_is_off) {
        restart();
        back = true;
    }
    require_valid();
    if (back && trial == CONFIG_TRIAL_RUNS &&
        (s_config.trial == CONFIG_TRIAL_NONE || s_config.trial == CONFIG_TRIAL_UNDONE)) {
        require(connects_as(&s_before) || connects_as_one_that_passed());
    }
    if (s_config.trial == CONFIG_TRIAL_NONE) {
        s_before = s_config;
        forget_passed();
    } else if (s_config.trial == CONFIG_TRIAL_PASSED) {
        note_passed();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input_t in = {data, size};
    if (size > INPUT_MAX_BYTES) {
        return 0;
    }
    fake_kv_init(&s_kv);
    fake_kv_init(&s_factory);
    fill_medium(&in);
    restart();
    require_valid();
    (void)config_undo_due(&s_config, s_now_ms += CONFIG_TRIAL_S * UINT64_C(1000)); /* of a trial that it found */
    config_confirm(&s_config);
    s_before = s_config;
    forget_passed();
    while (in.left > 0) {
        do_one(&in);
    }
    return 0;
}
