// The kernels of all rooms, each by KERNEL(name, result, parameters), which the including file defines.
#include "foundation/table.h"
#include "pointwise/table.h"
#include "products/table.h"
#include "losses/table.h"
#include "optimiser/table.h"
#include "mixers/attention/table.h"
#include "mixers/gated_slot_attention/table.h"
#include "mixers/recurrence/table.h"
