#include "program.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../exit_codes.h"

#define CHUNK_BYTES 4096u
#define PATH_BYTES 4096
#define LOOK_EVERY_MS 50
#define EXIT_NOT_STARTED 127 /* as shells say it */

static volatile sig_atomic_t s_child;
static volatile sig_atomic_t s_stopped;

static bool write_whole(int fd, const uint8_t *data, size_t len_bytes)
{
    for (size_t done = 0; done < len_bytes;) {
        ssize_t count = write(fd, data + done, len_bytes - done);
        if (count < 0 && errno != EINTR) {
            return false;
        }
        done += count > 0 ? (size_t)count : 0;
    }
    return true;
}

static bool copy_program(const port_flash_t *slot, const host_image_t *image, int fd)
{
    uint8_t chunk[CHUNK_BYTES];
    for (uint32_t done = 0; done < image->program_len_bytes;) {
        uint32_t left_bytes = image->program_len_bytes - done;
        uint32_t len_bytes = left_bytes < sizeof(chunk) ? left_bytes : (uint32_t)sizeof(chunk);
        if (!slot->read(slot->ctx, image->program_offset_bytes + done, chunk, len_bytes) ||
            !write_whole(fd, chunk, len_bytes)) {
            return false;
        }
        done += len_bytes;
    }
    return true;
}

static bool write_program(const port_flash_t *slot, const host_image_t *image, const char *path)
{
    char temporary[PATH_BYTES];
    /* Its own: devices that share their programs may begin at one moment. */
    if (snprintf(temporary, sizeof(temporary), "%s.%d", path, (int)getpid()) >= (int)sizeof(temporary)) {
        errno = ENAMETOOLONG;
        return false;
    }
    (void)unlink(temporary);
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, S_IRUSR);
    if (fd < 0) {
        return false;
    }
    bool good = copy_program(slot, image, fd) && fchmod(fd, S_IRUSR | S_IXUSR) == 0;
    good = close(fd) == 0 && good && rename(temporary, path) == 0;
    if (!good) {
        int why = errno;
        unlink(temporary);
        errno = why;
    }
    return good;
}

/* False also of a file that another account could have written, or could write now. */
static bool is_the_program(const port_flash_t *slot, const host_image_t *image, int fd)
{
    uint8_t here[CHUNK_BYTES], there[CHUNK_BYTES];
    struct stat found;
    if (fstat(fd, &found) != 0 || !S_ISREG(found.st_mode) || found.st_uid != geteuid() ||
        (found.st_mode & (S_IRWXU | S_IRWXG | S_IRWXO)) != (S_IRUSR | S_IXUSR) ||
        found.st_size != (off_t)image->program_len_bytes) {
        return false;
    }
    for (uint32_t done = 0; done < image->program_len_bytes;) {
        uint32_t left_bytes = image->program_len_bytes - done;
        uint32_t len_bytes = left_bytes < sizeof(here) ? left_bytes : (uint32_t)sizeof(here);
        if (!slot->read(slot->ctx, image->program_offset_bytes + done, here, len_bytes) ||
            pread(fd, there, len_bytes, (off_t)done) != (ssize_t)len_bytes || memcmp(here, there, len_bytes) != 0) {
            return false;
        }
        done += len_bytes;
    }
    return true;
}

static int open_program(const port_flash_t *slot, const host_image_t *image, const char *path)
{
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd >= 0 && !is_the_program(slot, image, fd)) {
        close(fd);
        fd = -1;
        errno = EIO;
    }
    return fd;
}

int program_extract(const port_flash_t *slot, const host_image_t *image, const char *path)
{
    int fd = open_program(slot, image, path);
    if (fd < 0 && write_program(slot, image, path)) {
        fd = open_program(slot, image, path);
    }
    if (fd >= 0) {
        (void)futimens(fd, NULL); /* whoever clears away what nobody starts any more sees that somebody does */
    }
    return fd;
}

static void pass_on(int number)
{
    s_stopped = 1;
    /* A terminal sends Ctrl-C to both by itself. */
    if (s_child > 0 && number != SIGINT) {
        kill((pid_t)s_child, number);
    }
}

void program_catch_stops(void)
{
    struct sigaction action = {.sa_handler = pass_on};
    sigemptyset(&action.sa_mask);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
}

bool program_is_stopped(void)
{
    return s_stopped != 0;
}

/* In the child. */
static void start(int program, const char *name, char *const *arguments, const sigset_t *mask)
{
    static char launched[] = "--launched";
    char *argv[PROGRAM_ARGUMENTS_MAX + 3];
    char copy[PATH_BYTES];
    size_t count = 0;
    snprintf(copy, sizeof(copy), "%s", name);
    argv[count++] = copy;
    argv[count++] = launched;
    for (size_t i = 0; i < PROGRAM_ARGUMENTS_MAX && arguments[i] != NULL; i++) {
        argv[count++] = arguments[i];
    }
    argv[count] = NULL;
    /* A launcher that is killed takes its device along: a second one would meet it in its own state. */
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    sigprocmask(SIG_SETMASK, mask, NULL);
    fexecve(program, argv, environ);
    fprintf(stderr, "launcher: %s can't be started: %s.\n", name, strerror(errno));
    _exit(EXIT_NOT_STARTED);
}

/* False: errno says why. */
static bool wait_for(pid_t child, const program_limit_t *limit, int *status)
{
    unsigned waited_ms = 0;
    for (;;) {
        const bool counts = limit->limit_ms > 0 && waited_ms < limit->limit_ms;
        const pid_t ended = waitpid(child, status, counts ? WNOHANG : 0);
        if (ended == child) {
            return true;
        }
        if (ended < 0 && errno != EINTR) {
            return false;
        }
        if (!counts) {
            continue;
        }
        usleep(LOOK_EVERY_MS * 1000);
        waited_ms += LOOK_EVERY_MS;
        if (waited_ms >= limit->limit_ms && limit->is_over(limit->ctx)) {
            fprintf(stderr, "launcher: it did not confirm itself within %u s: it is ended.\n", limit->limit_ms / 1000);
            kill(child, SIGKILL);
        }
    }
}

int program_run(int program, const char *name, char *const *arguments, const program_limit_t *limit)
{
    sigset_t stops, before;
    sigemptyset(&stops);
    sigaddset(&stops, SIGTERM);
    sigaddset(&stops, SIGINT);
    sigaddset(&stops, SIGHUP);
    /* A stop between fork and the note of the child would stop nobody. */
    sigprocmask(SIG_BLOCK, &stops, &before);
    pid_t child = fork();
    if (child == 0) {
        start(program, name, arguments, &before);
    }
    close(program);
    s_child = child > 0 ? (sig_atomic_t)child : 0;
    if (s_child != 0 && program_is_stopped()) {
        kill(child, SIGTERM);
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
    if (child < 0) {
        return -1;
    }
    int status = 0;
    if (!wait_for(child, limit, &status)) {
        return -1;
    }
    s_child = 0;
    return WIFSIGNALED(status) ? POSIX_EXIT_SIGNAL + WTERMSIG(status) : WEXITSTATUS(status);
}
