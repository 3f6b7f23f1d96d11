#include "host_journal.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../core/json_out.h"

static void text(json_out_t *out, const char *value)
{
    json_out_string(out, value, strlen(value));
}

/* {"seq":7,"device":"D01","time":1790000000,"readings":[["energia","kWh",123456,3]]}: digits, and how many of them are
 * behind the point. */
static void write_line(const host_journal_t *journal)
{
    const sample_t *sample = &journal->sample;
    char line[MESSAGE_MAX_BYTES];
    json_out_t json;
    json_out_init(&json, line, sizeof(line));
    json_out_raw(&json, "{\"seq\":");
    json_out_int(&json, journal->seq);
    json_out_raw(&json, ",\"device\":");
    text(&json, sample->device_code);
    json_out_raw(&json, ",\"time\":");
    json_out_int(&json, sample->moment.unix_s);
    json_out_raw(&json, ",\"readings\":[");
    for (size_t i = 0; i < sample->count; i++) {
        json_out_raw(&json, i == 0 ? "[" : ",[");
        text(&json, sample->readings[i].tipo);
        json_out_raw(&json, ",");
        text(&json, sample->readings[i].unidade);
        json_out_raw(&json, ",");
        json_out_int(&json, sample->readings[i].valor.digits);
        json_out_raw(&json, ",");
        json_out_int(&json, sample->readings[i].valor.places);
        json_out_raw(&json, "]");
    }
    json_out_raw(&json, "]}\n");
    /* In one call: a kill leaves a line whole or leaves it out. */
    if (json_out_end(&json) && write(journal->file, line, json.len_bytes) != (ssize_t)json.len_bytes) {
        (void)!write(STDERR_FILENO, "The journal can't be written.\n", 30);
    }
}

bool host_journal_open(host_journal_t *journal, const char *path, const outbox_t *outbox)
{
    *journal = (host_journal_t){.file = -1, .seq = outbox->first_seq};
    if (path == NULL) {
        return true;
    }
    journal->file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, S_IRUSR | S_IWUSR);
    return journal->file >= 0;
}

void host_journal_step(host_journal_t *journal, const outbox_t *outbox)
{
    if (journal->file < 0 || journal->seq == outbox->next_seq) {
        return;
    }
    /* A copy: whoever reads has a place in the log, and the device's own must not move. */
    journal->reader = *outbox;
    while (journal->seq != outbox->next_seq) {
        switch (outbox_read(&journal->reader, &journal->seq, &journal->sample)) {
        case OUTBOX_FOUND:
            write_line(journal);
            journal->seq++;
            break;
        case OUTBOX_END:
            journal->seq = outbox->next_seq;
            break;
        case OUTBOX_WAITS_FOR_CLOCK:
        case OUTBOX_UNREADABLE:
            return;
        }
    }
}

void host_journal_close(host_journal_t *journal)
{
    if (journal->file >= 0) {
        close(journal->file);
    }
}
