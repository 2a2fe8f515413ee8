#ifndef CKERNELS_H
#define CKERNELS_H

#include "moult_attention.h"
#include "moult_cache.h"
#include "moult_convert.h"
#include "moult_dispatch.h"
#include "moult_elementwise.h"
#include "moult_embedding.h"
#include "moult_experts.h"
#include "moult_gated_slot_attention.h"
#include "moult_grouped.h"
#include "moult_linear.h"
#include "moult_losses.h"
#include "moult_memory.h"
#include "moult_onednn.h"
#include "moult_optimiser.h"
#include "moult_pointwise.h"
#include "moult_pool.h"
#include "moult_quantise.h"
#include "moult_general_delta.h"
#include "moult_recurrence.h"
#include "moult_sampling.h"
#include "moult_short_convolution.h"
#include "moult_step.h"
#include "moult_types.h"

#endif
