/* What a device's state takes, as symbols whose sizes `nm` tells: nothing of it runs, so a compiler for another machine
 * can be asked. */
#include "app/loop.h"
#include "core/image.h"
#include "core/manifest.h"
#include "core/signed.h"
#include "core/ticket.h"

char sizeof_app_t[sizeof(app_t)];
char sizeof_loop_t[sizeof(loop_t)];
char sizeof_outbox_t[sizeof(outbox_t)];
char sizeof_sender_t[sizeof(sender_t)];
char sizeof_config_t[sizeof(config_t)];
char sizeof_command_t[sizeof(command_t)];
char sizeof_connection_t[sizeof(connection_t)];
char sizeof_renewal_t[sizeof(renewal_t)];
char sizeof_health_t[sizeof(health_t)];
char sizeof_sample_t[sizeof(sample_t)];
char sizeof_app_updates_t[sizeof(app_updates_t)];
char sizeof_update_t[sizeof(update_t)];
char sizeof_update_memory_t[sizeof(update_memory_t)];
char sizeof_trust_t[sizeof(trust_t)];
char sizeof_claims_t[sizeof(claims_t)];
char sizeof_manifest_t[sizeof(manifest_t)];
char sizeof_ticket_t[sizeof(ticket_t)];
char sizeof_image_t[sizeof(image_t)];
