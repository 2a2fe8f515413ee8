// Kernels whose text is written at run time: compiled for the processor with clang and loaded, as NVRTC does for a
// card.
#pragma once
#include <string>

#include "registry.h"

namespace moult_emulator {

/// The kernel `name` of `text`; nullptr, with the reason in `error`, where it cannot be compiled.
const Kernel* compiled(const std::string& text, const std::string& name, std::string& error);

}  // namespace moult_emulator
