#pragma once

/// The names of the files in kernels/ and their texts, ended by a null name.
struct moult_cuda_file { const char* name; const char* text; };
extern const struct moult_cuda_file moult_cuda_files[];
