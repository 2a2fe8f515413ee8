#ifndef CKERNELS_H
#define CKERNELS_H

#include "moult_dispatch.h"
#include "moult_elementwise.h"
#include "moult_pool.h"

#endif
