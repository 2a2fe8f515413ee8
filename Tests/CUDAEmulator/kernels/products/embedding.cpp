#include "products/embedding.cu"

#include "registry.h"

REGISTER_KERNEL(gather_rows<bf16>);
REGISTER_KERNEL(embedding_gradient_runs);
REGISTER_KERNEL(embedding_gradient_joins);
REGISTER_KERNEL(document_places);
