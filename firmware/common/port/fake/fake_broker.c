#include "fake_broker.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void fake_broker_init(fake_broker_t *broker, size_t messages, size_t serials)
{
    size_t cap = 16;
    while (cap < messages * 2) {
        cap *= 2;
    }
    *broker = (fake_broker_t){.cap = cap, .serials_cap = serials};
    broker->messages = calloc(cap, sizeof(*broker->messages));
    broker->unsaved = calloc(cap / 2, sizeof(*broker->unsaved));
    broker->time_of = calloc(serials, sizeof(*broker->time_of));
    broker->stored = calloc(serials, sizeof(*broker->stored));
    broker->unsaved_serials = calloc(serials, sizeof(*broker->unsaved_serials));
    assert(broker->messages != NULL && broker->unsaved != NULL && broker->time_of != NULL && broker->stored != NULL &&
           broker->unsaved_serials != NULL);
}

void fake_broker_free(fake_broker_t *broker)
{
    free(broker->messages);
    free(broker->unsaved);
    free(broker->time_of);
    free(broker->stored);
    free(broker->unsaved_serials);
    memset(broker, 0, sizeof(*broker));
}

/* FNV-1a, 64 bits (draft-eastlake-fnv). */
static uint64_t hash_of(uint64_t hash, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        hash = (hash ^ (uint8_t)text[i]) * 0x100000001B3U;
    }
    return hash;
}

static const char *behind(const char *text, const char *what)
{
    const char *at = strstr(text, what);
    return at == NULL ? NULL : at + strlen(what);
}

/* The same eight bytes at a time, for long texts. */
static uint64_t quick_hash_of(uint64_t hash, const char *text, size_t len)
{
    for (; len >= sizeof(uint64_t); len -= sizeof(uint64_t), text += sizeof(uint64_t)) {
        uint64_t word;
        memcpy(&word, text, sizeof(word));
        hash = (hash ^ word) * 0x100000001B3U;
        hash ^= hash >> 32;
    }
    return hash_of(hash, text, len);
}

/* Days since 1970 (H. Hinnant, "chrono-Compatible Low-Level Date Algorithms"). */
static int64_t days_of(int64_t year, int month, int day)
{
    year -= month <= 2 ? 1 : 0;
    const int64_t era = year / 400;
    const int64_t year_of_era = year - era * 400;
    const int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719468;
}

static int two_digits(const char *text)
{
    return (text[0] - '0') * 10 + text[1] - '0';
}

/* 2026-02-18T18:30:00Z; 0: it is none. */
static int64_t time_of(const char *text)
{
    if (text == NULL || strlen(text) < 20 || text[4] != '-' || text[10] != 'T' || text[19] != 'Z') {
        return 0;
    }
    const int64_t days =
        days_of(two_digits(text) * 100 + two_digits(text + 2), two_digits(text + 5), two_digits(text + 8));
    return days * 86400 + two_digits(text + 11) * 3600 + two_digits(text + 14) * 60 + two_digits(text + 17);
}

/* The message's place, and whether it was there. */
static size_t find(const fake_broker_t *broker, uint64_t key)
{
    size_t at = (size_t)(key * 0x9E3779B97F4A7C15U >> 20) & (broker->cap - 1);
    while (broker->messages[at].key != 0 && broker->messages[at].key != key) {
        at = (at + 1) & (broker->cap - 1);
    }
    return at;
}

static void take_message(fake_broker_t *broker, uint64_t key, uint32_t content)
{
    const size_t at = find(broker, key);
    fake_broker_message_t *message = &broker->messages[at];
    if (message->key != 0) {
        broker->copies++;
        broker->two_contents += message->content != content ? 1 : 0;
    } else {
        assert(broker->count * 2 < broker->cap);
        *message = (fake_broker_message_t){.key = key, .content = content};
        broker->count++;
    }
    if (!message->stored) {
        broker->unsaved[broker->unsaved_count++] = at;
        assert(broker->unsaved_count < broker->cap / 2);
    }
}

static void take_serial(fake_broker_t *broker, uint32_t serial, int64_t unix_s)
{
    assert(serial < broker->serials_cap);
    if (broker->time_of[serial] != 0 && broker->time_of[serial] != unix_s) {
        broker->two_times++;
    }
    broker->time_of[serial] = unix_s;
    if (!broker->stored[serial] && broker->unsaved_serial_count < broker->serials_cap) {
        broker->unsaved_serials[broker->unsaved_serial_count++] = serial;
    }
}

void fake_broker_telemetry(fake_broker_t *broker, uint64_t now_ms, const char *topic, const char *payload)
{
    fake_broker_save(broker, now_ms);
    broker->received++;
    const char *time = behind(payload, "\"timestamp\":\"");
    const int64_t unix_s = time_of(time);
    if (unix_s == 0) {
        broker->malformed++;
        return;
    }
    const uint64_t key = hash_of(hash_of(0xCBF29CE484222325U, topic, strlen(topic)), time, 20);
    const uint64_t content = quick_hash_of(key, payload, strlen(payload));
    take_message(broker, key == 0 ? 1 : key, (uint32_t)(content >> 32));
    const char *serial = behind(payload, "{\"tipo\":\"n\",\"valor\":");
    if (serial != NULL) {
        take_serial(broker, (uint32_t)strtoul(serial, NULL, 10), unix_s);
    }
}

void fake_broker_presence(fake_broker_t *broker, const char *payload)
{
    broker->presences++;
    (void)snprintf(broker->presence, sizeof(broker->presence), "%s", payload);
}

void fake_broker_save_all(fake_broker_t *broker)
{
    for (size_t i = 0; i < broker->unsaved_count; i++) {
        broker->messages[broker->unsaved[i]].stored = true;
    }
    for (size_t i = 0; i < broker->unsaved_serial_count; i++) {
        broker->stored[broker->unsaved_serials[i]] = true;
    }
    broker->unsaved_count = broker->unsaved_serial_count = 0;
}

void fake_broker_save(fake_broker_t *broker, uint64_t now_ms)
{
    broker->now_ms = now_ms;
    if (now_ms - broker->saved_ms >= FAKE_BROKER_SAVE_MS) {
        /* All that there is came before the last time that was due, or else this was called then. */
        fake_broker_save_all(broker);
        broker->saved_ms = now_ms - (now_ms - broker->saved_ms) % FAKE_BROKER_SAVE_MS;
    }
}

void fake_broker_kill(fake_broker_t *broker, uint64_t now_ms)
{
    fake_broker_save(broker, now_ms);
    broker->kills++;
    broker->unsaved_count = broker->unsaved_serial_count = 0;
    broker->saved_ms = now_ms;
}

bool fake_broker_has(const fake_broker_t *broker, uint32_t serial)
{
    return serial < broker->serials_cap && broker->stored[serial];
}

size_t fake_broker_stored(const fake_broker_t *broker)
{
    size_t count = 0;
    for (size_t i = 0; i < broker->cap; i++) {
        count += broker->messages[i].stored ? 1 : 0;
    }
    return count;
}
