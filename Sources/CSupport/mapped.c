#define _GNU_SOURCE
#include "CSupport.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

// Entries are never freed, and used again: the handler may walk the lists at any moment.
typedef struct entry {
    struct entry *next;
    _Atomic(char *) path;       // NULL while the entry is free
    _Atomic uintptr_t start;    // of a mapping
    _Atomic uintptr_t end;
} entry;

static _Atomic(entry *) mappings, partials;
// Guards taking entries; the handler does not take it.
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static entry *add(_Atomic(entry *) *list, uintptr_t start, uintptr_t end, const char *path) {
    char *copy = strdup(path);
    if (!copy) return NULL;
    pthread_mutex_lock(&lock);
    entry *found = atomic_load(list);
    while (found && atomic_load(&found->path)) found = found->next;
    entry *made = found ? found : calloc(1, sizeof *made);
    if (made) {
        atomic_store(&made->start, start);
        atomic_store(&made->end, end);
        atomic_store(&made->path, copy);
        if (!found) {
            made->next = atomic_load(list);
            atomic_store(list, made);
        }
    }
    pthread_mutex_unlock(&lock);
    if (!made) free(copy);
    return made;
}

static void take_away(entry *gone) {
    if (!gone) return;
    pthread_mutex_lock(&lock);
    atomic_store(&gone->end, 0);
    char *path = atomic_exchange(&gone->path, NULL);
    pthread_mutex_unlock(&lock);
    free(path);
}

static void say(const char *text) {
    size_t left = strlen(text);
    while (left > 0) {
        ssize_t written = write(STDERR_FILENO, text, left);
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return;
        text += written;
        left -= (size_t)written;
    }
}

// Removes a file, or a folder with all that is in it, with system calls alone: readdir allocates.
static void remove_all(int parent, const char *name, int depth) {
    if (unlinkat(parent, name, 0) == 0 || depth == 0) return;
    int folder = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (folder < 0) return;
    struct { uint64_t inode; int64_t offset; unsigned short length; unsigned char type; char name[]; } *item;
    _Alignas(16) char buffer[4096];
    for (int removed = 1; removed;) {
        removed = 0;
        if (lseek(folder, 0, SEEK_SET) != 0) break;
        long count = syscall(SYS_getdents64, folder, buffer, sizeof buffer);
        for (long position = 0; position < count; position += item->length) {
            item = (void *)(buffer + position);
            if (strcmp(item->name, ".") == 0 || strcmp(item->name, "..") == 0) continue;
            remove_all(folder, item->name, depth - 1);
            // What cannot be removed must not be tried for ever.
            if (faccessat(folder, item->name, F_OK, AT_SYMLINK_NOFOLLOW) != 0) removed = 1;
        }
    }
    close(folder);
    unlinkat(parent, name, AT_REMOVEDIR);
}

static void on_bus_error(int signal, siginfo_t *info, void *context) {
    (void)context;
    uintptr_t address = (uintptr_t)info->si_addr;
    for (entry *mapping = info->si_code > 0 ? atomic_load(&mappings) : NULL; mapping; mapping = mapping->next) {
        const char *path = atomic_load(&mapping->path);
        if (!path || address < atomic_load(&mapping->start) || address >= atomic_load(&mapping->end)) continue;
        say("Error: ");
        say(path);
        say(": was cut short while it was read; copy the file again, and replace model files by renaming\n");
        for (entry *partial = atomic_load(&partials); partial; partial = partial->next) {
            const char *left = atomic_load(&partial->path);
            if (left) remove_all(AT_FDCWD, left, 8);
        }
        _exit(1);
    }
    // Not ours: the instruction runs again, and ends the process.
    struct sigaction standard = {.sa_handler = SIG_DFL};
    sigaction(signal, &standard, NULL);
    if (info->si_code <= 0) raise(signal);
}

static void install(void) {
    struct sigaction before, action = {.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO | SA_NODEFER};
    sigemptyset(&action.sa_mask);
    // A handler that somebody else put there, as sanitizers do, stays.
    if (sigaction(SIGBUS, NULL, &before) == 0 && before.sa_handler == SIG_DFL) sigaction(SIGBUS, &action, NULL);
}

void *moult_mapping_add(const void *start, size_t count, const char *path) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, install);
    return add(&mappings, (uintptr_t)start, (uintptr_t)start + count, path);
}

void moult_mapping_remove(void *mapping) { take_away(mapping); }

void moult_touch(const void *start, size_t count) {
    const volatile char *bytes = start;
    for (size_t offset = 0; offset < count; offset += 4096) (void)bytes[offset];
    if (count > 0) (void)bytes[count - 1];
}

void *moult_partial_add(const char *path) { return add(&partials, 0, 0, path); }
void moult_partial_remove(void *partial) { take_away(partial); }
