#ifndef MOULT_SLOT_CHUNK_H
#define MOULT_SLOT_CHUNK_H

#include "include/moult_gated_slot_attention.h"

/// Tokens between the states that the chunked form of gated slot attention stores.
enum { moult_slot_chunk = 64 };

#endif
