#include <string.h>

#include "internal.h"

// Of C23, which every compiler that Moult builds with has.
#pragma clang diagnostic ignored "-Wc23-extensions"

// The kernels travel inside the program as the text that NVRTC compiles.
#define TEXT(identifier) static const char identifier[] = {
#define END , 0};

TEXT(device_cuh)
#embed "kernels/device.cuh"
END
TEXT(eight_cuh)
#embed "kernels/eight.cuh"
END
TEXT(attention_cuh)
#embed "kernels/attention.cuh"
END
TEXT(ring_cuh)
#embed "kernels/ring.cuh"
END
TEXT(gated_slot_attention_cuh)
#embed "kernels/gated_slot_attention.cuh"
END
TEXT(activations_cu)
#embed "kernels/activations.cu"
END
TEXT(attention_cu)
#embed "kernels/attention.cu"
END
TEXT(attention_backward_cu)
#embed "kernels/attention_backward.cu"
END
TEXT(attention_step_cu)
#embed "kernels/attention_step.cu"
END
TEXT(cache_cu)
#embed "kernels/cache.cu"
END
TEXT(carried_cu)
#embed "kernels/carried.cu"
END
TEXT(columns_cu)
#embed "kernels/columns.cu"
END
TEXT(elementwise_cu)
#embed "kernels/elementwise.cu"
END
TEXT(embedding_cu)
#embed "kernels/embedding.cu"
END
TEXT(gated_slot_attention_cu)
#embed "kernels/gated_slot_attention.cu"
END
TEXT(gated_slot_attention_backward_cu)
#embed "kernels/gated_slot_attention_backward.cu"
END
TEXT(gated_slot_attention_step_cu)
#embed "kernels/gated_slot_attention_step.cu"
END
TEXT(heads_cu)
#embed "kernels/heads.cu"
END
TEXT(losses_cu)
#embed "kernels/losses.cu"
END
TEXT(mix_cu)
#embed "kernels/mix.cu"
END
TEXT(norm_cu)
#embed "kernels/norm.cu"
END
TEXT(optimiser_cu)
#embed "kernels/optimiser.cu"
END
TEXT(rope_cu)
#embed "kernels/rope.cu"
END
TEXT(sampling_cu)
#embed "kernels/sampling.cu"
END
TEXT(sort_cu)
#embed "kernels/sort.cu"
END
TEXT(squared_error_cu)
#embed "kernels/squared_error.cu"
END

const struct moult_cuda_file moult_cuda_files[] = {
    {"device.cuh", device_cuh},
    {"eight.cuh", eight_cuh},
    {"attention.cuh", attention_cuh},
    {"ring.cuh", ring_cuh},
    {"gated_slot_attention.cuh", gated_slot_attention_cuh},
    {"activations.cu", activations_cu},
    {"attention.cu", attention_cu},
    {"attention_backward.cu", attention_backward_cu},
    {"attention_step.cu", attention_step_cu},
    {"cache.cu", cache_cu},
    {"carried.cu", carried_cu},
    {"columns.cu", columns_cu},
    {"elementwise.cu", elementwise_cu},
    {"embedding.cu", embedding_cu},
    {"gated_slot_attention.cu", gated_slot_attention_cu},
    {"gated_slot_attention_backward.cu", gated_slot_attention_backward_cu},
    {"gated_slot_attention_step.cu", gated_slot_attention_step_cu},
    {"heads.cu", heads_cu},
    {"losses.cu", losses_cu},
    {"mix.cu", mix_cu},
    {"norm.cu", norm_cu},
    {"optimiser.cu", optimiser_cu},
    {"rope.cu", rope_cu},
    {"sampling.cu", sampling_cu},
    {"sort.cu", sort_cu},
    {"squared_error.cu", squared_error_cu},
    {0, 0},
};

const char* moult_cuda_source(const char* name) {
    for (const struct moult_cuda_file* file = moult_cuda_files; file->name; file++) {
        if (strcmp(file->name, name) == 0) return file->text;
    }
    return 0;
}
