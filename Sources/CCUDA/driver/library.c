#include "library.h"

#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>

static _Thread_local char message[4096];

int moult_cuda_fail(const char* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    return 1;
}

const char* moult_cuda_error(void) { return message; }

void* moult_cuda_library(const char* const* names) {
    for (; *names; names++) {
        void* library = dlopen(*names, RTLD_NOW | RTLD_GLOBAL);
        if (library) return library;
    }
    return NULL;
}
