#define _GNU_SOURCE
#include "CSupport.h"
#include <string.h>

const void *moult_find(const void *text, size_t text_count, const void *pattern, size_t pattern_count) {
    return memmem(text, text_count, pattern, pattern_count);
}
