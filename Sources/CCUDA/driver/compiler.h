#pragma once

/// The machine code of `expression` in `text`, which messages call `source`, for compute capability `major`.`minor`,
/// from the cache on disk or compiled: `image` (to be freed) and the symbol's name.
int moult_cuda_compile(
    const char* source, const char* text, const char* expression, int major, int minor, void** image, char symbol[512]);
