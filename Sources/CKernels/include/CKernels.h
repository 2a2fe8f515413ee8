#ifndef CKERNELS_H
#define CKERNELS_H

#include "moult_dispatch.h"
#include "moult_elementwise.h"
#include "moult_linear.h"
#include "moult_onednn.h"
#include "moult_pool.h"
#include "moult_types.h"

#endif
