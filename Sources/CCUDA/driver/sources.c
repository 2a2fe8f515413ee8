#include "sources.h"

#include <string.h>

#include "CCUDA.h"

// Of C23, which every compiler that Moult builds with has.
#pragma clang diagnostic ignored "-Wc23-extensions"

// The kernels travel inside the program as the text that NVRTC compiles. Each folder of kernels/ lists its files once.
#define TEXT(name) {name, (const char[]){
#define END , 0}},

const struct moult_cuda_file moult_cuda_files[] = {
#include "../kernels/foundation/files.inc"
#include "../kernels/pointwise/files.inc"
#include "../kernels/products/files.inc"
#include "../kernels/losses/files.inc"
#include "../kernels/optimiser/files.inc"
#include "../kernels/mixers/files.inc"
#include "../kernels/mixers/attention/files.inc"
#include "../kernels/mixers/gated_slot_attention/files.inc"
#include "../kernels/mixers/recurrence/files.inc"
    {0, 0},
};

const char* moult_cuda_source(const char* name) {
    for (const struct moult_cuda_file* file = moult_cuda_files; file->name; file++) {
        if (strcmp(file->name, name) == 0) return file->text;
    }
    return 0;
}
