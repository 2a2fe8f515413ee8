#ifndef MOULT_TYPES_H
#define MOULT_TYPES_H

/// Element types that kernels read; arithmetic is in float32.
enum moult_type { moult_float32, moult_bfloat16, moult_float16 };

/// What a function that allocates scratch memory returns.
enum moult_status { moult_success, moult_out_of_memory };

#endif
