#ifndef CCOMPRESSION_H
#define CCOMPRESSION_H

#include <stddef.h>

/// The functions of one libzstd that are used.
typedef struct moult_zstd moult_zstd;

/// Loads a libzstd by its file name, such as "libzstd.so.1"; NULL when there is none. It stays loaded.
const moult_zstd *moult_zstd_open(const char *library);

/// Decompresses one buffer of whole frames. Returns the bytes written, or a code that moult_zstd_error explains.
size_t moult_zstd_decompress(
    const moult_zstd *zstd, void *output, size_t capacity, const void *input, size_t size);

/// A decompression that takes its input in parts, in memory of at most 128 MiB; NULL when memory is short.
void *moult_zstd_stream_create(const moult_zstd *zstd);
void moult_zstd_stream_free(const moult_zstd *zstd, void *stream);

/// Decompresses what it can: adds to `taken` the bytes of `input` used and to `made` those of `output` written.
/// Returns 0 at the end of a frame, another number inside one, or a code that moult_zstd_error explains.
size_t moult_zstd_stream_step(
    const moult_zstd *zstd, void *stream, void *output, size_t capacity, size_t *made, const void *input, size_t size,
    size_t *taken);

/// What a returned code means; NULL when it is no error.
const char *moult_zstd_error(const moult_zstd *zstd, size_t code);

#endif
