#include <stdlib.h>
#include <string.h>

#include <array>
#include <mutex>

#include "emulator.h"

namespace moult_emulator {
namespace {

/// One call at a time, whichever thread it comes from.
std::mutex mutex;
thread_local std::string message;

/// Blocks of memory and their bytes.
std::map<uint64_t, size_t> blocks;
size_t used = 0, total = size_t(8) << 30;

/// Recorded work.
using Graph = std::vector<std::function<int()>>;
Graph* recording = nullptr;

void* host(uint64_t address) { return reinterpret_cast<void*>(address); }

/// Does the work, or records it. What `work` captures must stay what it is until it is replayed.
int give(std::function<int()> work) {
    if (!recording) return work();
    recording->push_back(std::move(work));
    return 0;
}

int forbid_while_recording(const char* what) {
    return recording ? fail(std::string(what) + " while work is recorded") : 0;
}

const char* error() { return message.c_str(); }
const char* name() { return "emulated"; }

int memory(size_t* free_bytes, size_t* all) {
    std::lock_guard lock(mutex);
    *free_bytes = total > used ? total - used : 0;
    *all = total;
    return 0;
}

int allocate(size_t bytes, uint64_t* address) {
    std::lock_guard lock(mutex);
    void* block = nullptr;
    if (used + bytes > total || posix_memalign(&block, 256, bytes)) return 2;
    // NaNs, whatever they are read as.
    memset(block, 0xff, bytes);
    *address = reinterpret_cast<uint64_t>(block);
    blocks[*address] = bytes;
    used += bytes;
    return 0;
}

int release(uint64_t address) {
    std::lock_guard lock(mutex);
    auto block = blocks.find(address);
    if (block == blocks.end()) return fail("release of memory that was not allocated");
    used -= block->second;
    blocks.erase(block);
    free(host(address));
    return 0;
}

int upload(uint64_t to, const void* from, size_t bytes) {
    std::lock_guard lock(mutex);
    if (forbid_while_recording("upload")) return 1;
    memcpy(host(to), from, bytes);
    return 0;
}

int download(void* to, uint64_t from, size_t bytes) {
    std::lock_guard lock(mutex);
    if (forbid_while_recording("download")) return 1;
    memcpy(to, host(from), bytes);
    return 0;
}

int copy(uint64_t to, uint64_t from, size_t bytes) {
    std::lock_guard lock(mutex);
    return give([=] { return memmove(host(to), host(from), bytes), 0; });
}

int zero(uint64_t to, size_t bytes) {
    std::lock_guard lock(mutex);
    return give([=] { return memset(host(to), 0, bytes), 0; });
}

int synchronise() {
    std::lock_guard lock(mutex);
    return forbid_while_recording("synchronise");
}

int find(const char* source, const char* expression, void** kernel) {
    std::lock_guard lock(mutex);
    auto found = kernels().find(expression);
    if (!moult_cuda_source(source)) return fail(std::string("no file ") + source);
    if (found == kernels().end())
        return fail(std::string(expression) + " of " + source + " is not registered in Tests/CUDAEmulator/kernels");
    *kernel = &found->second;
    return 0;
}

int launch(void* handle, const unsigned grid[3], const unsigned block[3], size_t shared_bytes, void** arguments) {
    std::lock_guard lock(mutex);
    const Kernel& kernel = *static_cast<Kernel*>(handle);
    if (!recording) return run(kernel, grid, block, shared_bytes, arguments);
    std::vector<std::vector<char>> values;
    for (size_t i = 0; i < kernel.sizes.size(); i++) {
        const char* value = static_cast<char*>(arguments[i]);
        values.emplace_back(value, value + kernel.sizes[i]);
    }
    using Extents = std::array<unsigned, 3>;
    return give([=, &kernel, grid = Extents{grid[0], grid[1], grid[2]}, block = Extents{block[0], block[1], block[2]}] {
        std::vector<void*> pointers;
        for (const auto& value : values) pointers.push_back(const_cast<char*>(value.data()));
        return run(kernel, grid.data(), block.data(), shared_bytes, pointers.data());
    });
}

int product(const moult_cuda_product* product) {
    std::lock_guard lock(mutex);
    return give([product = *product] { return multiply(product), 0; });
}

int begin_capture() {
    std::lock_guard lock(mutex);
    if (forbid_while_recording("begin_capture")) return 1;
    recording = new Graph;
    return 0;
}

int end_capture(void** graph) {
    std::lock_guard lock(mutex);
    if (!recording) return fail("end_capture without begin_capture");
    *graph = recording;
    recording = nullptr;
    return 0;
}

int replay(void* graph) {
    std::lock_guard lock(mutex);
    if (forbid_while_recording("replay")) return 1;
    for (const auto& work : *static_cast<Graph*>(graph))
        if (work()) return 1;
    return 0;
}

void forget(void* graph) { delete static_cast<Graph*>(graph); }

const moult_cuda functions = {
    error, name, memory, allocate, release, upload, download, copy, zero, synchronise, find, launch, product,
    begin_capture, end_capture, replay, forget,
};

}  // namespace

int fail(const std::string& reason) {
    message = reason;
    return 1;
}

}  // namespace moult_emulator

const moult_cuda* moult_emulated_cuda() { return &moult_emulator::functions; }

void moult_emulated_memory(size_t bytes) {
    std::lock_guard lock(moult_emulator::mutex);
    moult_emulator::total = bytes;
}
