#define _GNU_SOURCE
#include "compiler.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "CCUDA.h"
#include "library.h"
#include "sources.h"

// NVRTC compiles a kernel for the card that is there in a second or less; the machine code is kept in
// $XDG_CACHE_HOME/moult (or ~/.cache/moult), named by a hash of all that it depends on.

typedef void* nvrtcProgram;
#define COMPILER_FUNCTIONS(F)                                                                                          \
    F(nvrtcVersion, (int*, int*))                                                                                      \
    F(nvrtcCreateProgram, (nvrtcProgram*, const char*, const char*, int, const char* const*, const char* const*))      \
    F(nvrtcAddNameExpression, (nvrtcProgram, const char*))                                                             \
    F(nvrtcCompileProgram, (nvrtcProgram, int, const char* const*))                                                    \
    F(nvrtcGetProgramLogSize, (nvrtcProgram, size_t*))                                                                 \
    F(nvrtcGetProgramLog, (nvrtcProgram, char*))                                                                       \
    F(nvrtcGetLoweredName, (nvrtcProgram, const char*, const char**))                                                  \
    F(nvrtcGetCUBINSize, (nvrtcProgram, size_t*))                                                                      \
    F(nvrtcGetCUBIN, (nvrtcProgram, char*))                                                                            \
    F(nvrtcDestroyProgram, (nvrtcProgram*))

#define DECLARE(name, parameters) static int(*name) parameters;
COMPILER_FUNCTIONS(DECLARE)
static int version_major, version_minor;

static int open_compiler(void) {
    if (nvrtcVersion) return 0;
    void* library = moult_cuda_library(
        (const char* const[]){"libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so", NULL});
    if (!library) return moult_cuda_fail("libnvrtc.so cannot be loaded: install NVRTC, version 12 or later");
#define LOAD(name, parameters)                                                                                         \
    if (!(*(void**)&name = dlsym(library, #name))) return moult_cuda_fail("libnvrtc has no " #name);
    COMPILER_FUNCTIONS(LOAD)
    return nvrtcVersion(&version_major, &version_minor) != 0 && moult_cuda_fail("nvrtcVersion failed");
}

// The cache

static uint64_t hash(uint64_t state, const char* text) {
    // FNV-1a.
    for (; *text; text++) state = (state ^ (unsigned char)*text) * 0x100000001b3;
    return (state ^ 0xff) * 0x100000001b3;
}

/// The cache file's path; empty when there is no home.
static void cache_path(char path[1024], uint64_t key) {
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    char folder[900];
    path[0] = 0;
    if (cache && *cache) snprintf(folder, sizeof folder, "%s", cache);
    else if (home && *home) snprintf(folder, sizeof folder, "%s/.cache", home);
    else return;
    mkdir(folder, 0755);
    size_t length = strlen(folder);
    snprintf(folder + length, sizeof folder - length, "/moult");
    mkdir(folder, 0755);
    snprintf(path, 1024, "%s/%016llx.cubin", folder, (unsigned long long)key);
}

/// A cache file: the symbol in 512 bytes, then the machine code.
static int read_cache(const char* path, void** image, char symbol[512]) {
    FILE* file = *path ? fopen(path, "rb") : NULL;
    if (!file) return 1;
    struct stat status;
    void* bytes = NULL;
    int failed = fstat(fileno(file), &status) || status.st_size <= 512 || fread(symbol, 512, 1, file) != 1
        || symbol[511] || !(bytes = malloc((size_t)status.st_size - 512))
        || fread(bytes, (size_t)status.st_size - 512, 1, file) != 1;
    fclose(file);
    if (failed) free(bytes);
    else *image = bytes;
    return failed;
}

/// A new file, or what a process that was killed has left of one, emptied; -1 while another process writes it.
static int open_beside(const char* path) {
    int descriptor = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0644);
    struct stat own, named;
    // The lock ends with its process. Until it was taken the file may have been renamed to its place.
    if (descriptor >= 0
        && ((flock(descriptor, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK) || fstat(descriptor, &own)
            || lstat(path, &named) || own.st_ino != named.st_ino || !S_ISREG(own.st_mode) || ftruncate(descriptor, 0))) {
        close(descriptor);
        return -1;
    }
    return descriptor;
}

/// Written beside and renamed; without a cache the next start compiles again, which is no error.
static void write_cache(const char* path, const char symbol[512], const void* image, size_t bytes) {
    char beside[1100];
    snprintf(beside, sizeof beside, "%s.partial", path);
    int descriptor = *path ? open_beside(beside) : -1;
    FILE* file = descriptor < 0 ? NULL : fdopen(descriptor, "wb");
    if (!file) return;
    int written = fwrite(symbol, 512, 1, file) == 1 && fwrite(image, bytes, 1, file) == 1 && fflush(file) == 0;
    if (!written || rename(beside, path) != 0) unlink(beside);
    fclose(file);
}

// Compiling

static int fail_with_log(nvrtcProgram program, const char* expression) {
    size_t size = 0;
    char* log = NULL;
    if (nvrtcGetProgramLogSize(program, &size) == 0 && (log = calloc(1, size + 1))) nvrtcGetProgramLog(program, log);
    moult_cuda_fail("NVRTC cannot compile %s: %.3000s", expression, log ? log : "no log");
    free(log);
    return 1;
}

static int compile(
    nvrtcProgram program, const char* expression, const char* architecture, void** image, size_t* bytes,
    char symbol[512]) {
    const char* options[] = {architecture, "--std=c++17", "-default-device"};
    const char* lowered;
    if (nvrtcAddNameExpression(program, expression) || nvrtcCompileProgram(program, 3, options)
        || nvrtcGetLoweredName(program, expression, &lowered) || nvrtcGetCUBINSize(program, bytes))
        return fail_with_log(program, expression);
    if (strlen(lowered) > 511) return moult_cuda_fail("NVRTC gives %s a name of over 511 bytes", expression);
    memset(symbol, 0, 512);
    strcpy(symbol, lowered);
    if (!(*image = malloc(*bytes))) return moult_cuda_fail("out of memory");
    if (nvrtcGetCUBIN(program, *image) == 0) return 0;
    free(*image);
    return fail_with_log(program, expression);
}

int moult_cuda_compile(
    const char* source, const char* text, const char* expression, int major, int minor, void** image,
    char symbol[512]) {
    if (open_compiler()) return 1;
    char architecture[64], version[32], path[1024];
    snprintf(architecture, sizeof architecture, "--gpu-architecture=sm_%d%d", major, minor);
    snprintf(version, sizeof version, "%d.%d", version_major, version_minor);
    uint64_t key = hash(hash(hash(hash(0xcbf29ce484222325, text), expression), architecture), version);
    const char *headers[16], *names[16];
    int count = 0;
    for (const struct moult_cuda_file* file = moult_cuda_files; file->name && count < 16; file++) {
        if (!strstr(file->name, ".cuh")) continue;
        headers[count] = file->text;
        names[count++] = file->name;
        key = hash(key, file->text);
    }
    cache_path(path, key);
    if (read_cache(path, image, symbol) == 0) return 0;
    nvrtcProgram program;
    if (nvrtcCreateProgram(&program, text, source, count, headers, names))
        return moult_cuda_fail("nvrtcCreateProgram of %s failed", source);
    size_t bytes = 0;
    int failed = compile(program, expression, architecture, image, &bytes, symbol);
    nvrtcDestroyProgram(&program);
    if (!failed) write_cache(path, symbol, *image, bytes);
    return failed;
}
