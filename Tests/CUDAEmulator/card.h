// A card of the emulator, for those who give it work.
#pragma once
#include <functional>
#include <map>
#include <mutex>
#include <vector>

#include "CUDAEmulator.h"

namespace moult_emulator {

/// One call at a time, whichever thread it comes from.
extern std::mutex mutex;

struct Work {
    std::function<int()> run;
    /// Whether it waits for other cards: then `mutex` is not held.
    bool waits = false;
};

/// Recorded work.
using Graph = std::vector<Work>;

/// A card reads and writes its own memory alone.
int forbid_elsewhere(moult_cuda_card* card, const char* what, uint64_t address, size_t bytes);

}  // namespace moult_emulator

struct moult_cuda_card {
    /// Blocks and their bytes.
    struct Memory {
        std::map<uint64_t, size_t> blocks;
        size_t used = 0, total = size_t(8) << 30;
    };
    /// Its own memory, and what it reaches of the host's.
    Memory own, host;
    moult_emulator::Graph* recording = nullptr;
};
