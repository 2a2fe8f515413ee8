#ifndef MOULT_ONEDNN_H
#define MOULT_ONEDNN_H

#include <stdbool.h>

/// The version of the oneDNN library in use, such as "2.6.3"; NULL when there is none, or MOULT_ONEDNN=0, or it is
/// switched off. Products fall back to the package's own kernels.
const char *moult_onednn_version(void);

/// Whether bfloat16 weights of many rows go through oneDNN: it is in use and the processor multiplies bfloat16.
bool moult_onednn_has_bfloat16(void);

/// Switches the library's use off and on again. Not while kernels run.
void moult_use_onednn(bool use);

#endif
