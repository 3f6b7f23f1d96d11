/* Images that are bad in one way each, for rehearsals and tests: what a bad build does to a fleet must be seen before
 * one is made by accident. Each is the family's program but for its fault. */
#include <stdlib.h>
#include <unistd.h>

#include "../board.h"
#include "host_device.h"

#define CRASHES 1      /* at start */
#define HANGS 2        /* at start */
#define CUT_OFF 3      /* runs, and can't connect */
#define STOPS 4        /* runs, connects, measures a few times, and then no more */
#define FAILS_ITSELF 5 /* its self-test does not pass */

#define MEASURES 2 /* before it stops: it is confirmed by then */

static board_t s_board;

#if FAULT == STOPS
static bool (*s_measure)(void *ctx, uint8_t index, const char *own_code, uint64_t since_boot_ms, sample_t *out);

static bool measure(void *ctx, uint8_t index, const char *own_code, uint64_t since_boot_ms, sample_t *out)
{
    static unsigned s_rounds;
    s_rounds += index == 0 ? 1 : 0;
    return s_rounds <= MEASURES && s_measure(ctx, index, own_code, since_boot_ms, out);
}
#endif

#if FAULT == FAILS_ITSELF
static const char *self_test(void *ctx)
{
    (void)ctx;
    return "The meter's bus does not answer.";
}
#endif

int main(int argc, char **argv)
{
    s_board = *board();
#if FAULT == CRASHES
    abort();
#elif FAULT == HANGS
    for (;;) {
        pause();
    }
#elif FAULT == CUT_OFF
    static char broker[] = "--broker", nowhere[] = "mqtts://127.0.0.1:9"; /* discard: nobody is there */
    char **words = calloc((size_t)argc + 3, sizeof(*words));
    if (words == NULL) {
        return EXIT_FAILURE;
    }
    for (int i = 0; i < argc; i++) {
        words[i] = argv[i];
    }
    words[argc++] = broker;
    words[argc++] = nowhere;
    argv = words;
#elif FAULT == STOPS
    s_measure = s_board.measure;
    s_board.measure = measure;
#elif FAULT == FAILS_ITSELF
    s_board.self_test = self_test;
#endif
    return host_device_main(argc, argv, &s_board, board_use);
}
