#include "internal.h"

#include <string.h>

#define FILE_TEXT(identifier) static const char identifier[] = {
#define END_TEXT , 0};

FILE_TEXT(device_cuh)
#embed "kernels/device.cuh"
END_TEXT
FILE_TEXT(elementwise_cu)
#embed "kernels/elementwise.cu"
END_TEXT
