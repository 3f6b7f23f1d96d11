/* A broker for tests, as unkind as a real one, with a record of its own of what it took.
 *
 * What it has acknowledged is in its memory and gets to its disk every FAKE_BROKER_SAVE_MS; when it is killed, what
 * came since the last time is gone. At the end the record says what is on the disk, whether one reading ever came with
 * two times, and whether one second of a device ever had two contents.
 *
 * A message is known by its topic and time; one of the board's has its sample's serial number as the reading `n`.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FAKE_BROKER_SAVE_MS 30000 /* mosquitto's autosave on our platform, at most */

typedef struct {
    uint64_t key; /* of topic and time; 0: free */
    uint32_t content;
    bool stored;
} fake_broker_message_t;

typedef struct {
    uint64_t now_ms; /* of the last thing that happened */
    uint64_t saved_ms;
    fake_broker_message_t *messages; /* hashed; a power of two of them */
    size_t cap, count;
    size_t *unsaved; /* indexes of messages since the last save */
    size_t unsaved_count;
    int64_t *time_of;   /* of a serial number; 0: never seen */
    bool *stored;       /* and whether it is on the disk */
    size_t serials_cap; /* numbers from 0 to below this */
    uint32_t *unsaved_serials;
    size_t unsaved_serial_count;
    uint64_t received;     /* messages, copies among them */
    uint64_t copies;       /* that were on the disk or in memory already */
    uint32_t two_times;    /* a reading came with another time than before */
    uint32_t two_contents; /* a second of a device came with other contents than before */
    uint32_t malformed;
    uint32_t kills;
    char presence[320]; /* what is retained of the gateway */
    uint32_t presences;
} fake_broker_t;

/* For so many messages, copies not counted, and serial numbers. */
void fake_broker_init(fake_broker_t *broker, size_t messages, size_t serials);
void fake_broker_free(fake_broker_t *broker);

void fake_broker_telemetry(fake_broker_t *broker, uint64_t now_ms, const char *topic, const char *payload);
void fake_broker_presence(fake_broker_t *broker, const char *payload);
void fake_broker_save(fake_broker_t *broker, uint64_t now_ms); /* what is due; called before anything else happens */
void fake_broker_save_all(fake_broker_t *broker);
void fake_broker_kill(fake_broker_t *broker, uint64_t now_ms);

bool fake_broker_has(const fake_broker_t *broker, uint32_t serial); /* on its disk */
size_t fake_broker_stored(const fake_broker_t *broker);             /* messages on its disk, each counted once */
