#include "CKernels.h"
int moult_kernels_version(void) { return 1; }
