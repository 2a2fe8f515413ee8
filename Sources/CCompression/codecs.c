#include "CCompression.h"

#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

// The parts of zlib, libbrotlidec and liblz4 that are used, declared here so that building needs no headers.

typedef struct {
    const unsigned char *next_in;
    unsigned avail_in;
    unsigned long total_in;
    unsigned char *next_out;
    unsigned avail_out;
    unsigned long total_out;
    const char *message;
    void *state;
    void *(*allocate)(void *, unsigned, unsigned);
    void (*release)(void *, void *);
    void *opaque;
    int data_type;
    unsigned long adler, reserved;
} zlib_stream;

static int (*inflate_init)(zlib_stream *, int, const char *, int);
static int (*inflate_step)(zlib_stream *, int);
static int (*inflate_reset)(zlib_stream *);
static int (*inflate_end)(zlib_stream *);
static int (*brotli)(size_t, const uint8_t *, size_t *, uint8_t *);
static int (*lz4)(const char *, char *, int, int);

static void load(void *library, const char *name, void *target) {
    void *found = library ? dlsym(library, name) : NULL;
    memcpy(target, &found, sizeof found);
}

static void load_all(void) {
    void *zlib = dlopen("libz.so.1", RTLD_NOW | RTLD_LOCAL);
    load(zlib, "inflateInit2_", &inflate_init);
    load(zlib, "inflate", &inflate_step);
    load(zlib, "inflateReset", &inflate_reset);
    load(zlib, "inflateEnd", &inflate_end);
    load(dlopen("libbrotlidec.so.1", RTLD_NOW | RTLD_LOCAL), "BrotliDecoderDecompress", &brotli);
    load(dlopen("liblz4.so.1", RTLD_NOW | RTLD_LOCAL), "LZ4_decompress_safe", &lz4);
}

static pthread_once_t once = PTHREAD_ONCE_INIT;

long moult_gzip_decompress(void *output, size_t capacity, const void *input, size_t size) {
    pthread_once(&once, load_all);
    if (!inflate_init || !inflate_step || !inflate_reset || !inflate_end) return MOULT_NO_LIBRARY;
    if (size > UINT_MAX || capacity > UINT_MAX) return MOULT_DAMAGED;
    zlib_stream stream = {.next_in = input, .avail_in = (unsigned)size, .next_out = output,
                          .avail_out = (unsigned)capacity};
    // 32: gzip and zlib, told by their beginning.
    if (inflate_init(&stream, 15 + 32, "1.2.11", (int)sizeof stream)) return MOULT_DAMAGED;
    int code;
    // 1: the end of a member, behind which another may begin.
    do {
        code = inflate_step(&stream, 0);
    } while ((code == 1 && stream.avail_in && !inflate_reset(&stream)) || (code == 0 && stream.avail_in && stream.avail_out));
    long made = (long)(capacity - stream.avail_out);
    inflate_end(&stream);
    return code == 1 ? made : MOULT_DAMAGED;
}

long moult_brotli_decompress(void *output, size_t capacity, const void *input, size_t size) {
    pthread_once(&once, load_all);
    if (!brotli) return MOULT_NO_LIBRARY;
    return brotli(size, input, &capacity, output) == 1 ? (long)capacity : MOULT_DAMAGED;
}

long moult_lz4_decompress(void *output, size_t capacity, const void *input, size_t size) {
    pthread_once(&once, load_all);
    if (!lz4) return MOULT_NO_LIBRARY;
    if (size > INT_MAX || capacity > INT_MAX) return MOULT_DAMAGED;
    int made = lz4(input, output, (int)size, (int)capacity);
    return made < 0 ? MOULT_DAMAGED : made;
}

typedef struct {
    zlib_stream zlib;
    int is_behind_member;
} gzip_stream;

void *moult_gzip_stream_create(void) {
    pthread_once(&once, load_all);
    if (!inflate_init || !inflate_step || !inflate_reset || !inflate_end) return NULL;
    gzip_stream *stream = calloc(1, sizeof *stream);
    // 16: gzip alone.
    if (stream && inflate_init(&stream->zlib, 15 + 16, "1.2.11", (int)sizeof stream->zlib)) {
        free(stream);
        return NULL;
    }
    return stream;
}

void moult_gzip_stream_free(void *stream) {
    inflate_end(&((gzip_stream *)stream)->zlib);
    free(stream);
}

int moult_gzip_stream_step(
    void *opaque, void *output, size_t capacity, size_t *made, const void *input, size_t size, size_t *taken) {
    gzip_stream *stream = opaque;
    const unsigned char *bytes = input;
    if (stream->is_behind_member) {
        while (*taken < size && !bytes[*taken]) ++*taken;
        if (*taken == size) return 0;
        if (inflate_reset(&stream->zlib)) return MOULT_DAMAGED;
        stream->is_behind_member = 0;
    }
    size_t room = capacity - *made < UINT_MAX ? capacity - *made : UINT_MAX;
    size_t rest = size - *taken < UINT_MAX ? size - *taken : UINT_MAX;
    stream->zlib.next_in = bytes + *taken;
    stream->zlib.avail_in = (unsigned)rest;
    stream->zlib.next_out = (unsigned char *)output + *made;
    stream->zlib.avail_out = (unsigned)room;
    int code = inflate_step(&stream->zlib, 0);
    *taken += rest - stream->zlib.avail_in;
    *made += room - stream->zlib.avail_out;
    if (code == 1) {
        stream->is_behind_member = 1;
        return 0;
    }
    // -5: neither input nor room, which is no fault.
    return code == 0 || code == -5 ? 1 : MOULT_DAMAGED;
}
