#include "CCompression.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

// The part of libzstd 1's stable interface that is used, declared here so that building needs no headers.

typedef struct {
    const void *bytes;
    size_t size, position;
} zstd_input;
typedef struct {
    void *bytes;
    size_t size, position;
} zstd_output;

struct moult_zstd {
    size_t (*decompress)(void *, size_t, const void *, size_t);
    void *(*create)(void);
    size_t (*set)(void *, int, int);
    size_t (*release)(void *);
    size_t (*step)(void *, zstd_output *, zstd_input *);
    unsigned (*is_error)(size_t);
    const char *(*error_name)(size_t);
};

const moult_zstd *moult_zstd_open(const char *library) {
    void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    if (!handle) return NULL;
    moult_zstd *zstd = calloc(1, sizeof *zstd);
    if (!zstd) return NULL;
    const struct {
        const char *name;
        void *target;
    } symbols[] = {
        {"ZSTD_decompress", &zstd->decompress},   {"ZSTD_createDStream", &zstd->create},
        {"ZSTD_DCtx_setParameter", &zstd->set},
        {"ZSTD_freeDStream", &zstd->release},     {"ZSTD_decompressStream", &zstd->step},
        {"ZSTD_isError", &zstd->is_error},        {"ZSTD_getErrorName", &zstd->error_name},
    };
    for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++) {
        void *found = dlsym(handle, symbols[i].name);
        if (!found) {
            free(zstd);
            return NULL;
        }
        memcpy(symbols[i].target, &found, sizeof found);
    }
    return zstd;
}

size_t moult_zstd_decompress(
    const moult_zstd *zstd, void *output, size_t capacity, const void *input, size_t size) {
    return zstd->decompress(output, capacity, input, size);
}

void *moult_zstd_stream_create(const moult_zstd *zstd) {
    void *stream = zstd->create();
    // ZSTD_d_windowLogMax, whose default refuses what zstd --long made; where 31 is too much it stays.
    if (stream) zstd->set(stream, 100, 31);
    return stream;
}

void moult_zstd_stream_free(const moult_zstd *zstd, void *stream) { zstd->release(stream); }

size_t moult_zstd_stream_step(
    const moult_zstd *zstd, void *stream, void *output, size_t capacity, size_t *made, const void *input, size_t size,
    size_t *taken) {
    zstd_output target = {output, capacity, *made};
    zstd_input source = {input, size, *taken};
    size_t code = zstd->step(stream, &target, &source);
    *made = target.position;
    *taken = source.position;
    return code;
}

const char *moult_zstd_error(const moult_zstd *zstd, size_t code) {
    return zstd->is_error(code) ? zstd->error_name(code) : NULL;
}
