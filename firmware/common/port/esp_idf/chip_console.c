#include "chip_console.h"

#include <stdio.h>

#include "chip_events.h"
#include "driver/uart.h"
#include "freertos/FreeRTOS.h"
#include "freertos/task.h"

#define CONSOLE_UART UART_NUM_0
#define RECEIVE_BYTES 512 /* more than the UART's own 128, and than any line */
#define STACK_BYTES 3072  /* printf() wants most of it */
#define PRIORITY 3

static StackType_t s_stack[STACK_BYTES / sizeof(StackType_t)];
static StaticTask_t s_task;

typedef struct {
    char text[CONSOLE_LINE_MAX_BYTES];
    size_t len_bytes;
    bool too_long;
} typed_t;

/* A terminal shows nothing of what is typed by itself. */
static void echo(const char *text)
{
    (void)fputs(text, stdout);
    (void)fflush(stdout);
}

static void end_line(typed_t *typed)
{
    echo("\n");
    if (typed->too_long) {
        chip_console_say(NULL, "That line is too long.");
    } else if (typed->len_bytes > 0 && !chip_events_post_line(typed->text, typed->len_bytes)) {
        chip_console_say(NULL, "Busy: say it again.");
    }
    typed->len_bytes = 0;
    typed->too_long = false;
}

static void take(typed_t *typed, char c)
{
    if (c == '\r' || c == '\n') {
        if (typed->len_bytes > 0 || typed->too_long) { /* the second half of CR LF ends nothing */
            end_line(typed);
        }
    } else if (c == '\b' || c == 0x7F) {
        if (typed->len_bytes > 0) {
            typed->len_bytes--;
            echo("\b \b");
        }
    } else if (typed->len_bytes == sizeof(typed->text)) {
        typed->too_long = true;
    } else {
        const char seen[] = {c, '\0'};
        typed->text[typed->len_bytes] = c;
        typed->len_bytes++;
        echo(seen);
    }
}

static void read_lines(void *ctx)
{
    (void)ctx;
    static typed_t typed;
    for (;;) {
        char c;
        if (uart_read_bytes(CONSOLE_UART, &c, 1, portMAX_DELAY) == 1) {
            take(&typed, c);
        }
    }
}

bool chip_console_start(void)
{
    return uart_driver_install(CONSOLE_UART, RECEIVE_BYTES, 0, 0, NULL, 0) == ESP_OK &&
           xTaskCreateStatic(read_lines, "console", STACK_BYTES, NULL, PRIORITY, s_stack, &s_task) != NULL;
}

void chip_console_say(void *ctx, const char *line)
{
    (void)ctx;
    (void)printf("%s\n", line);
}
