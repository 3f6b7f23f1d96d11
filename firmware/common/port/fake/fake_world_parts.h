/* What the files of the fake world share; nobody else includes it. */
#pragma once

#include "fake_world.h"

#define FAKE_WORLD_GATEWAY "GW-1"

/* fake_world.c */
bool fake_world_is_dead(const fake_world_t *world); /* power went in this step: what it does reaches nobody */
void fake_world_plan(fake_world_t *world, uint64_t in_ms, event_t event);
void fake_world_plan_plain(fake_world_t *world, uint64_t in_ms, event_type_t type);
void fake_world_drop_all_of(fake_world_t *world, event_type_t type);
void fake_world_drop_stale(fake_world_t *world); /* of former connections and boots */

/* fake_world_link.c: network and broker as the device finds them */
void fake_world_link_ports(fake_world_t *world);
void fake_world_end_connection(fake_world_t *world, bool with_will);
void fake_world_lose_connection(fake_world_t *world, uint64_t heard_in_ms, failure_t failure);

/* fake_world_unit.c: console, log, sensors, lights, certificates and restarts of the one device */
void fake_world_unit_ports(fake_world_t *world);
void fake_world_say(void *ctx, const char *line);
