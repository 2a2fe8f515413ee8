// What is known of the files that this process maps and writes, for a handler of SIGBUS.
//
// Reading a mapping behind the end of its file, which another program cut short meanwhile, ends a process by SIGBUS. Inside
// the ranges registered here the handler says so in one line that names the file, removes what is half-written and ends
// the process with exit code 1. Anywhere else the signal keeps its default action. All functions may be called from any
// thread.
#pragma once
#include <stddef.h>

// Registers a mapping of `path`, and installs the handler the first time. Returns a token; NULL when memory is short.
void *moult_mapping_add(const void *start, size_t count, const char *path);
void moult_mapping_remove(void *mapping);

// Reads a byte of every page, where a system call cannot and says EFAULT.
void moult_touch(const void *start, size_t count);

// Registers a file or folder that is half-written until it is removed from the register. Returns a token, or NULL.
void *moult_partial_add(const char *path);
void moult_partial_remove(void *partial);

// memmem, which Swift does not see: where `pattern` first stands in `text`, or NULL. Its time does not grow with the
// product of the lengths.
const void *moult_find(const void *text, size_t text_count, const void *pattern, size_t pattern_count);

// From now on SIGTERM comes to this process when the one that has started it ends, however that ends.
void moult_end_with_parent(void);
