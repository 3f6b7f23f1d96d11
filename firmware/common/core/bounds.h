/* Every bound of the core, with its unit. Each may be overridden by the build; what happens at the limit stands beside
 * it. */
#pragma once

/* Codes: contract, "Telemetry over MQTT". */
#define CODE_MAX_CHARS 64
#define TOPIC_MAX_CHARS 160

/* A reading: contract, same table. Longer texts are a bug of the board's catalogue and are refused by record_encode().
 */
#define TIPO_MAX_BYTES 64
#define UNIDADE_MAX_BYTES 16
#define VALOR_MAX_PLACES 9

/* One message. A sample that would not fit is refused when it is taken, never cut. */
#ifndef MESSAGE_MAX_BYTES
#define MESSAGE_MAX_BYTES 4096
#endif
#ifndef SAMPLE_MAX_READINGS
#define SAMPLE_MAX_READINGS 24
#endif
#ifndef RECORD_MAX_BYTES
#define RECORD_MAX_BYTES 1024
#endif

/* A whole update command (updates.md). A longer payload is refused unread. */
#define COMMAND_MAX_BYTES 3072
#define JSON_MAX_DEPTH 16
#define JSON_MAX_TOKENS 64
#define EXECUTION_ID_MAX_CHARS 64
#define VERSION_MAX_CHARS 31

/* Signed documents (docs/firmware-updates.md, "Signed documents"), as they come. Longer ones are malformed, unread. */
#define TRUST_MAX_BYTES 3072
#define MANIFEST_MAX_BYTES 1536
#define TICKET_MAX_BYTES 1024
#define JWS_HEADER_MAX_CHARS 256
/* What is within the longest: 3,072 less a header, a signature of 86 characters and two dots, of which 3/4. */
#define CLAIMS_MAX_BYTES 2240
/* Keys and values. A trust set of 8 keys and 8 revoked ones has 123; the rest is for members that are not known yet. */
#define CLAIMS_MAX_TOKENS 160
#define NUMERIC_DATE_MAX_S 253402300799 /* 9999-12-31T23:59:59Z */
#define TRUST_MAX_ROOTS 2
#define TRUST_MAX_KEYS 8
#define TRUST_MAX_REVOKED 8
#define MANIFEST_MAX_FAMILIES 8
#define MANIFEST_MAX_REVISIONS 8
#define NAME_MAX_CHARS 31 /* of a product, a family, a chip, a hardware revision */
#define COUNTER_MAX 2147483647
#define SEQ_MAX 9007199254740991 /* 2^53 - 1: what every reader of JSON keeps whole */

/* Images: a program of the host with its symbols has a few MiB, a chip's slot 4 at most. */
#define IMAGE_MAX_BYTES (64u * 1024 * 1024)
#define IMAGE_MAX_SEGMENTS 16

/* The outbox: 24 h at one message a minute of two devices (board and health); at the end the oldest go and are counted.
 */
#ifndef OUTBOX_SECTOR_BYTES
#define OUTBOX_SECTOR_BYTES 4096
#endif
#ifndef OUTBOX_MAX_SECTORS
#define OUTBOX_MAX_SECTORS 256
#endif

/* What may be on its way to the broker without an acknowledgement; more wait in the outbox. */
#ifndef SENDER_IN_FLIGHT
#define SENDER_IN_FLIGHT 8
#endif
#define RESEND_WINDOW_DEFAULT_S 90
#define RESEND_WINDOW_MAX_S 600

/* Publishing. */
#define INTERVAL_DEFAULT_S 60
#define INTERVAL_MIN_S 5
#define INTERVAL_MAX_S 86400

/* The device's own readings, at most so often: with every sample they would be most of what a fleet sends. */
#ifndef HEALTH_EVERY_S
#define HEALTH_EVERY_S 300
#endif

/* Reconnecting: full jitter between 0 and the ceiling, which doubles. */
#define BACKOFF_FIRST_MS 1000
#define BACKOFF_MAX_MS 300000
#define CONNECT_TIMEOUT_MS 30000 /* a broker that accepts and never answers */
#define KEEP_ALIVE_S 60

/* The recovery ladder, counted from the last acknowledged publish (or from power-up). */
#define RECOVERY_RADIO_S 600
#define RECOVERY_MODEM_S 1800
#define RECOVERY_REBOOT_S 3600
/* While the time is not known a reboot would cost what was measured since power-up (it can't be stamped any more): then
 * only after so long, when the outbox would begin to drop it anyway. */
#define RECOVERY_REBOOT_CLOCKLESS_S 86400

/* A certificate that a broker refuses: so often in a row, over at least so long, and the device's other one is shown.
 * Sooner than the restart above, with which a device begins anew with the renewed one. */
#define PAIR_REFUSALS 3
#define PAIR_REFUSED_S 1800

/* Configuration. The longest value is a URI: "mqtts://", a host of 253 characters (RFC 1035, 2.3.4), ":65535"; whatever
 * the factory writes fits. A line of the console has room to set it. Longer ones are refused with a sentence. */
#define CONFIG_HOST_MAX_CHARS 253
#define CONFIG_VALUE_MAX_BYTES 267
#define CONSOLE_LINE_MAX_BYTES 320
#define CONFIG_TRIAL_S 600 /* a change that cuts the connection is undone after so long */

/* A step says at most so much to do; the app keeps the rest for its next step, which is due at once. */
#define ACTIONS_MAX 8
