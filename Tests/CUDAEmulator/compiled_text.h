// The device side of a kernel whose text is compiled at run time (text.cpp): the emulator's, by way of pointers.
#pragma once
#include <type_traits>
#include <utility>

#include "device.h"

namespace moult_emulator {

static const Device* device;

inline void block_barrier() { device->block_barrier(); }
inline void warp_barrier() { device->warp_barrier(); }
inline uint32_t* exchange(int lane) { return device->exchange(lane); }
inline uint32_t* begin_collective() { return device->begin_collective(); }
inline int lane() { return device->lane(); }

template <typename... Parameters, size_t... index>
void call(void (*kernel)(Parameters...), void** arguments, std::index_sequence<index...>) {
    kernel(*static_cast<std::remove_cv_t<Parameters>*>(arguments[index])...);
}

template <typename... Parameters> void call(void (*kernel)(Parameters...), void** arguments) {
    call(kernel, arguments, std::index_sequence_for<Parameters...>());
}

template <typename... Parameters> int sizes(void (*)(Parameters...), size_t* sizes) {
    const size_t all[] = {sizeof(Parameters)...};
    for (size_t i = 0; i < sizeof...(Parameters); i++) sizes[i] = all[i];
    return sizeof...(Parameters);
}

}  // namespace moult_emulator

#define threadIdx (*moult_emulator::device->thread)
#define blockIdx (*moult_emulator::device->block)
#define blockDim (*moult_emulator::device->block_size)
#define gridDim (*moult_emulator::device->grid_size)

/// Exports a kernel: its call, and the bytes of its parameters.
#define EXPORT_KERNEL(kernel)                                                                      \
    extern "C" void moult_call(const moult_emulator::Device* device, void** arguments) {           \
        moult_emulator::device = device;                                                           \
        moult_emulator::call(kernel, arguments);                                                   \
    }                                                                                              \
    extern "C" int moult_sizes(size_t* sizes) { return moult_emulator::sizes(kernel, sizes); }
