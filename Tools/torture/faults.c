// Loaded before a program (LD_PRELOAD): counts its changes to files below $FAULTS_FOLDER, and at number $FAULTS_AT either
// ends the process, as a loss of power would, or lets the change fail with the error number $FAULTS_ERROR, once or (with
// $FAULTS_ALWAYS) from then on. Without $FAULTS_AT it writes how many there were to the file $FAULTS_COUNT.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static atomic_long changes;

static bool is_below(const char *path) {
    const char *folder = getenv("FAULTS_FOLDER");
    return folder && path && (path[0] != '/' || strncmp(path, folder, strlen(folder)) == 0);
}

static bool is_file(int descriptor) {
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0) return false;
    path[length] = 0;
    return path[0] == '/' && is_below(path);
}

/// Whether this change has to fail; does not return where the process has to end. A full disk lets go of files.
static bool fails(bool removes) {
    long number = atomic_fetch_add(&changes, 1) + 1;
    const char *at = getenv("FAULTS_AT"), *error = getenv("FAULTS_ERROR");
    if (!at) return false;
    if (number != atol(at) && !(number > atol(at) && getenv("FAULTS_ALWAYS"))) return false;
    if (!error) {
        syscall(SYS_kill, getpid(), SIGKILL);
        for (;;) pause();
    }
    if (removes && atoi(error) == ENOSPC) return false;
    errno = atoi(error);
    return true;
}

__attribute__((destructor)) static void report(void) {
    const char *path = getenv("FAULTS_COUNT");
    if (!path) return;
    char text[32];
    int length = snprintf(text, sizeof text, "%ld", atomic_load(&changes));
    int descriptor = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (descriptor < 0) return;
    syscall(SYS_write, descriptor, text, length);
    syscall(SYS_close, descriptor);
}

#define NEXT(result, name, ...) \
    static result (*next)(__VA_ARGS__); \
    if (!next) next = (result (*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)

ssize_t write(int descriptor, const void *bytes, size_t count) {
    NEXT(ssize_t, write, int, const void *, size_t);
    if (is_file(descriptor) && fails(false)) return -1;
    return next(descriptor, bytes, count);
}

ssize_t pwrite(int descriptor, const void *bytes, size_t count, off_t offset) {
    NEXT(ssize_t, pwrite, int, const void *, size_t, off_t);
    if (is_file(descriptor) && fails(false)) return -1;
    return next(descriptor, bytes, count, offset);
}

ssize_t pwrite64(int descriptor, const void *bytes, size_t count, off_t offset) {
    return pwrite(descriptor, bytes, count, offset);
}

int fsync(int descriptor) {
    NEXT(int, fsync, int);
    if (is_file(descriptor) && fails(false)) return -1;
    return next(descriptor);
}

int ftruncate(int descriptor, off_t length) {
    NEXT(int, ftruncate, int, off_t);
    if (is_file(descriptor) && fails(false)) return -1;
    return next(descriptor, length);
}

int ftruncate64(int descriptor, off_t length) { return ftruncate(descriptor, length); }

#define OPEN(name) \
    int name(const char *path, int flags, ...) { \
        NEXT(int, name, const char *, int, ...); \
        va_list list; \
        va_start(list, flags); \
        mode_t mode = va_arg(list, mode_t); \
        va_end(list); \
        if ((flags & (O_CREAT | O_TRUNC)) && is_below(path) && fails(false)) return -1; \
        return next(path, flags, mode); \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name) \
    int name(int folder, const char *path, int flags, ...) { \
        NEXT(int, name, int, const char *, int, ...); \
        va_list list; \
        va_start(list, flags); \
        mode_t mode = va_arg(list, mode_t); \
        va_end(list); \
        if ((flags & (O_CREAT | O_TRUNC)) && is_below(path) && fails(false)) return -1; \
        return next(folder, path, flags, mode); \
    }
OPENAT(openat)
OPENAT(openat64)

int rename(const char *from, const char *to) {
    NEXT(int, rename, const char *, const char *);
    if (is_below(to) && fails(false)) return -1;
    return next(from, to);
}

int renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned flags) {
    NEXT(int, renameat2, int, const char *, int, const char *, unsigned);
    if (is_below(to) && fails(false)) return -1;
    return next(from_folder, from, to_folder, to, flags);
}

int link(const char *from, const char *to) {
    NEXT(int, link, const char *, const char *);
    if (is_below(to) && fails(false)) return -1;
    return next(from, to);
}

int mkdir(const char *path, mode_t mode) {
    NEXT(int, mkdir, const char *, mode_t);
    if (is_below(path) && fails(false)) return -1;
    return next(path, mode);
}

int unlink(const char *path) {
    NEXT(int, unlink, const char *);
    if (is_below(path) && fails(true)) return -1;
    return next(path);
}

int unlinkat(int folder, const char *path, int flags) {
    NEXT(int, unlinkat, int, const char *, int);
    if (is_below(path) && fails(true)) return -1;
    return next(folder, path, flags);
}

int rmdir(const char *path) {
    NEXT(int, rmdir, const char *);
    if (is_below(path) && fails(true)) return -1;
    return next(path);
}
