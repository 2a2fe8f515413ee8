// What everything else here stands on: loading libraries, and the reason of the last failure.
#pragma once

/// Keeps a formatted reason for moult_cuda_error and returns 1.
int moult_cuda_fail(const char* format, ...) __attribute__((format(printf, 1, 2)));

/// The calling thread's last reason.
const char* moult_cuda_error(void);

/// A library of the installed driver or toolkit: the first of `names` (ended by null) that loads.
void* moult_cuda_library(const char* const* names);
