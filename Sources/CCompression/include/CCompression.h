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

/// A decompression that takes its input in parts, in memory for windows of at most 2 GiB, the longest that
/// zstd --long makes; NULL when memory is short.
void *moult_zstd_stream_create(const moult_zstd *zstd);
void moult_zstd_stream_free(const moult_zstd *zstd, void *stream);

/// Decompresses what it can: adds to `taken` the bytes of `input` used and to `made` those of `output` written.
/// Returns 0 at the end of a frame, another number inside one, or a code that moult_zstd_error explains.
size_t moult_zstd_stream_step(
    const moult_zstd *zstd, void *stream, void *output, size_t capacity, size_t *made, const void *input, size_t size,
    size_t *taken);

/// What a returned code means; NULL when it is no error.
const char *moult_zstd_error(const moult_zstd *zstd, size_t code);

/// What a codec below returns in place of the bytes it has written: its library is not installed, or the data is damaged.
enum { MOULT_NO_LIBRARY = -1, MOULT_DAMAGED = -2 };

/// Decompress one buffer with zlib (libz.so.1; gzip or zlib), Brotli (libbrotlidec.so.1) or LZ4 (liblz4.so.1; a raw block),
/// loaded when they are first needed.
long moult_gzip_decompress(void *output, size_t capacity, const void *input, size_t size);
long moult_brotli_decompress(void *output, size_t capacity, const void *input, size_t size);
long moult_lz4_decompress(void *output, size_t capacity, const void *input, size_t size);

/// A decompression of gzip that takes its input in parts; NULL when zlib is not installed or memory is short.
void *moult_gzip_stream_create(void);
void moult_gzip_stream_free(void *stream);

/// Decompresses what it can: adds to `taken` the bytes of `input` used and to `made` those of `output` written.
/// Returns 0 at the end of a member, 1 inside one, or MOULT_DAMAGED. Zeros behind a member are passed over.
int moult_gzip_stream_step(
    void *stream, void *output, size_t capacity, size_t *made, const void *input, size_t size, size_t *taken);

#endif
