#ifndef CKERNELS_H
#define CKERNELS_H
/* placeholder: replaced by the kernels */
int moult_kernels_version(void);
#endif
