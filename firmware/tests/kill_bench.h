/* Programs that are killed at each system call by which they keep something. Calls are counted by the linker's --wrap
 * (CMakeLists.txt beside this file); a write is also broken off in its middle. What the kernel has got stays: that it
 * gets to the disk in time is asked of the order of the calls.
 *
 * Who includes it has _GNU_SOURCE. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define TRACE_BYTES 256

/* What the child tells even when it is killed. */
typedef struct {
    uint32_t calls;
    uint32_t done; /* steps that returned */
    bool ended;
} progress_t;

static progress_t *s_progress;
static uint32_t s_kill_at; /* 0: never */
static bool s_in_the_middle;
static char s_trace[TRACE_BYTES]; /* empty, and not kept, where it is longer */
static char s_folder[64];

static void trace(const char *name)
{
    const size_t len = strlen(s_trace);
    if (len + strlen(name) + 2 < sizeof(s_trace)) {
        (void)snprintf(s_trace + len, sizeof(s_trace) - len, "%s ", name);
    }
}

/* True: this is the call in whose middle it ends. */
static bool count(const char *name)
{
    if (s_progress == NULL) {
        return false;
    }
    trace(name);
    s_progress->calls++;
    if (s_progress->calls == s_kill_at && !s_in_the_middle) {
        (void)raise(SIGKILL);
    }
    return s_progress->calls == s_kill_at;
}

int __real_open(const char *path, int flags, ...);
ssize_t __real_write(int fd, const void *data, size_t len);
ssize_t __real_pwrite(int fd, const void *data, size_t len, off_t at);
int __real_fsync(int fd);
int __real_fdatasync(int fd);
int __real_ftruncate(int fd, off_t len);
int __real_rename(const char *from, const char *to);
int __real_unlink(const char *path);
int __wrap_open(const char *path, int flags, ...);
ssize_t __wrap_write(int fd, const void *data, size_t len);
ssize_t __wrap_pwrite(int fd, const void *data, size_t len, off_t at);
int __wrap_fsync(int fd);
int __wrap_fdatasync(int fd);
int __wrap_ftruncate(int fd, off_t len);
int __wrap_rename(const char *from, const char *to);
int __wrap_unlink(const char *path);

/* Of one that is no write the middle is its end. */
static int answer(bool kills, int result)
{
    if (kills) {
        (void)raise(SIGKILL);
    }
    return result;
}

int __wrap_open(const char *path, int flags, ...)
{
    va_list more;
    va_start(more, flags);
    const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(more, mode_t) : 0;
    va_end(more);
    const bool kills = (flags & O_CREAT) != 0 && count("create");
    return answer(kills, __real_open(path, flags, mode));
}

ssize_t __wrap_write(int fd, const void *data, size_t len)
{
    if (count("write")) {
        (void)__real_write(fd, data, len / 2);
        (void)raise(SIGKILL);
    }
    return __real_write(fd, data, len);
}

ssize_t __wrap_pwrite(int fd, const void *data, size_t len, off_t at)
{
    if (count("pwrite")) {
        (void)__real_pwrite(fd, data, len / 2, at);
        (void)raise(SIGKILL);
    }
    return __real_pwrite(fd, data, len, at);
}

int __wrap_fsync(int fd)
{
    const bool kills = count("fsync");
    return answer(kills, __real_fsync(fd));
}

int __wrap_fdatasync(int fd)
{
    const bool kills = count("fdatasync");
    return answer(kills, __real_fdatasync(fd));
}

int __wrap_ftruncate(int fd, off_t len)
{
    const bool kills = count("ftruncate");
    return answer(kills, __real_ftruncate(fd, len));
}

int __wrap_rename(const char *from, const char *to)
{
    const bool kills = count("rename");
    return answer(kills, __real_rename(from, to));
}

int __wrap_unlink(const char *path)
{
    const bool kills = count("unlink");
    return answer(kills, __real_unlink(path));
}

static const char *in_folder(const char *name)
{
    static char path[128];
    (void)snprintf(path, sizeof(path), "%s/%s", s_folder, name);
    return path;
}

static int begin(void **state)
{
    (void)state;
    /* In memory where there is such a folder: thousands of syncs of a disk take their time. */
    strcpy(s_folder, access("/dev/shm", W_OK) == 0 ? "/dev/shm/posix_kill_XXXXXX" : "/tmp/posix_kill_XXXXXX");
    return mkdtemp(s_folder) != NULL ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    char command[128];
    (void)snprintf(command, sizeof(command), "rm -r %s", s_folder);
    return system(command);
}

/* Runs `live` as a program of its own, to its end or to the kill. True: it was killed. */
static bool run(void (*live)(void), uint32_t kill_at, bool in_the_middle)
{
    int status = 0;
    progress_t *progress = mmap(NULL, sizeof(*progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(progress != MAP_FAILED);
    const pid_t child = fork();
    if (child == 0) {
        s_progress = progress;
        s_kill_at = kill_at;
        s_in_the_middle = in_the_middle;
        live();
        s_progress->ended = true;
        _exit(EXIT_SUCCESS);
    }
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    static progress_t last;
    last = *progress;
    (void)munmap(progress, sizeof(*progress));
    const bool killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    assert_true(killed || (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS && last.ended));
    s_progress = NULL;
    s_kill_at = last.done; /* how far it got, for who looks */
    return killed;
}

static uint32_t steps_done(void)
{
    return s_kill_at;
}
