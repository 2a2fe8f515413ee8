// Kernels by name expression.
#pragma once
#include <stddef.h>

#include <functional>
#include <map>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace moult_emulator {

struct Kernel {
    std::string name;
    /// Bytes of each parameter.
    std::vector<size_t> sizes;
    std::function<void(void**)> call;
};

inline std::map<std::string, Kernel>& kernels() {
    static std::map<std::string, Kernel> all;
    return all;
}

template <typename... Parameters, size_t... index>
void call(void (*kernel)(Parameters...), void** arguments, std::index_sequence<index...>) {
    kernel(*static_cast<std::remove_cv_t<Parameters>*>(arguments[index])...);
}

struct Registration {
    template <typename... Parameters> Registration(const char* name, void (*kernel)(Parameters...)) {
        kernels()[name] = Kernel{name, {sizeof(Parameters)...}, [kernel](void** arguments) {
            call(kernel, arguments, std::index_sequence_for<Parameters...>());
        }};
    }
};

}  // namespace moult_emulator

/// Registers a kernel, or an instance of a kernel template, under its name expression without spaces.
#define REGISTER_KERNEL(...) \
    static moult_emulator::Registration MOULT_UNIQUE(__COUNTER__)(#__VA_ARGS__, __VA_ARGS__)
#define MOULT_UNIQUE_(n) moult_registration_##n
#define MOULT_UNIQUE(n) MOULT_UNIQUE_(n)
