#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <array>

#include "card.h"
#include "emulator.h"
#include "text.h"

namespace moult_emulator {

std::mutex mutex;

namespace {

thread_local std::string message;

using Card = moult_cuda_card;
/// As many as two, so that what belongs to one is never taken for the other's.
Card cards[2];

void* host(uint64_t address) { return reinterpret_cast<void*>(address); }

/// Kernels and products that were done.
size_t launches = 0;

/// Does the work, or records it. What `work` captures must stay what it is until it is replayed.
int give(Card* card, std::function<int()> work) {
    if (!card->recording) return work();
    card->recording->push_back({std::move(work)});
    return 0;
}

int forbid_while_recording(Card* card, const char* what) {
    return card->recording ? fail(std::string(what) + " while work is recorded") : 0;
}

}  // namespace

int forbid_elsewhere(Card* card, const char* what, uint64_t address, size_t bytes) {
    if (bytes == 0) return 0;
    for (const auto* memory : {&card->own, &card->host}) {
        auto block = memory->blocks.upper_bound(address);
        if (block == memory->blocks.begin()) continue;
        --block;
        if (address + bytes <= block->first + block->second) return 0;
    }
    return fail(std::string(what) + " beyond the card's memory");
}

namespace {

const char* error() { return message.c_str(); }

int count(int* count) { return *count = 2, 0; }

int describe(int index, char name[256]) { return snprintf(name, 256, "emulated card %d", index), 0; }

int open(int index, Card** card) {
    if (index < 0 || index > 1) return fail("there is no such card");
    return *card = &cards[index], 0;
}

int memory(Card* card, size_t* free_bytes, size_t* all) {
    std::lock_guard lock(mutex);
    *free_bytes = card->own.total > card->own.used ? card->own.total - card->own.used : 0;
    *all = card->own.total;
    return 0;
}

int take(Card::Memory& memory, size_t bytes, uint64_t* address) {
    std::lock_guard lock(mutex);
    void* block = nullptr;
    if (memory.used + bytes > memory.total || posix_memalign(&block, 256, bytes)) return 2;
    // NaNs, whatever they are read as.
    memset(block, 0xff, bytes);
    *address = reinterpret_cast<uint64_t>(block);
    memory.blocks[*address] = bytes;
    memory.used += bytes;
    return 0;
}

int give_back(Card::Memory& memory, uint64_t address) {
    std::lock_guard lock(mutex);
    auto block = memory.blocks.find(address);
    if (block == memory.blocks.end()) return fail("release of memory that was not allocated");
    memory.used -= block->second;
    memory.blocks.erase(block);
    free(host(address));
    return 0;
}

int allocate(Card* card, size_t bytes, uint64_t* address) { return take(card->own, bytes, address); }

int release(Card* card, uint64_t address) { return give_back(card->own, address); }

int allocate_host(Card* card, size_t bytes, uint64_t* address) { return take(card->host, bytes, address); }

int release_host(Card* card, uint64_t address) { return give_back(card->host, address); }

int upload(Card* card, uint64_t to, const void* from, size_t bytes) {
    std::lock_guard lock(mutex);
    if (forbid_while_recording(card, "upload") || forbid_elsewhere(card, "upload", to, bytes)) return 1;
    memcpy(host(to), from, bytes);
    return 0;
}

int download(Card* card, void* to, uint64_t from, size_t bytes) {
    std::lock_guard lock(mutex);
    if (forbid_while_recording(card, "download") || forbid_elsewhere(card, "download", from, bytes)) return 1;
    memcpy(to, host(from), bytes);
    return 0;
}

int copy(Card* card, uint64_t to, uint64_t from, size_t bytes) {
    std::lock_guard lock(mutex);
    if (forbid_elsewhere(card, "copy", to, bytes) || forbid_elsewhere(card, "copy", from, bytes)) return 1;
    return give(card, [=] { return memmove(host(to), host(from), bytes), 0; });
}

int zero(Card* card, uint64_t to, size_t bytes) {
    std::lock_guard lock(mutex);
    if (forbid_elsewhere(card, "zero", to, bytes)) return 1;
    return give(card, [=] { return memset(host(to), 0, bytes), 0; });
}

int synchronise(Card* card) {
    std::lock_guard lock(mutex);
    return forbid_while_recording(card, "synchronise");
}

int find(Card*, const char* source, const char* expression, void** kernel) {
    std::lock_guard lock(mutex);
    auto found = kernels().find(expression);
    if (!moult_cuda_source(source)) return fail(std::string("no file ") + source);
    if (found == kernels().end())
        return fail(std::string(expression) + " of " + source + " is not registered in Tests/CUDAEmulator/kernels");
    *kernel = &found->second;
    return 0;
}

int find_text(Card*, const char* source, const char* text, const char* expression, void** kernel) {
    std::lock_guard lock(mutex);
    std::string error;
    *kernel = const_cast<Kernel*>(compiled(text, expression, error));
    return *kernel ? 0 : fail(std::string(source) + ": " + error);
}

int launch(
    Card* card, void* handle, const unsigned grid[3], const unsigned block[3], size_t shared_bytes, void** arguments) {
    std::lock_guard lock(mutex);
    const Kernel& kernel = *static_cast<Kernel*>(handle);
    if (!card->recording) return launches++, run(kernel, grid, block, shared_bytes, arguments);
    std::vector<std::vector<char>> values;
    for (size_t i = 0; i < kernel.sizes.size(); i++) {
        const char* value = static_cast<char*>(arguments[i]);
        values.emplace_back(value, value + kernel.sizes[i]);
    }
    using Extents = std::array<unsigned, 3>;
    const Extents blocks{grid[0], grid[1], grid[2]}, threads{block[0], block[1], block[2]};
    return give(card, [=, &kernel] {
        std::vector<void*> pointers;
        for (const auto& value : values) pointers.push_back(const_cast<char*>(value.data()));
        return launches++, run(kernel, blocks.data(), threads.data(), shared_bytes, pointers.data());
    });
}

int product(Card* card, const moult_cuda_product* product) {
    std::lock_guard lock(mutex);
    const size_t half = sizeof(uint16_t), sum = product->d_type == moult_cuda_float32 ? sizeof(float) : half;
    if (forbid_elsewhere(card, "product", product->a, half * product->m * product->k)
        || forbid_elsewhere(card, "product", product->b, half * product->k * product->n)
        || forbid_elsewhere(card, "product", product->d, sum * product->m * product->n))
        return 1;
    return give(card, [product = *product] { return launches++, multiply(product), 0; });
}

int begin_capture(Card* card) {
    std::lock_guard lock(mutex);
    if (forbid_while_recording(card, "begin_capture")) return 1;
    card->recording = new Graph;
    return 0;
}

int end_capture(Card* card, void** graph) {
    std::lock_guard lock(mutex);
    if (!card->recording) return fail("end_capture without begin_capture");
    *graph = card->recording;
    card->recording = nullptr;
    return 0;
}

int replay(Card* card, void* graph) {
    std::unique_lock lock(mutex);
    if (forbid_while_recording(card, "replay")) return 1;
    for (const auto& [work, waits] : *static_cast<Graph*>(graph)) {
        // For another card, whose thread must be let in.
        if (waits) lock.unlock();
        if (work()) return 1;
        if (waits) lock.lock();
    }
    return 0;
}

void forget(Card*, void* graph) { delete static_cast<Graph*>(graph); }

const moult_cuda functions = {
    error, count, describe, open, memory, allocate, release, allocate_host, release_host, upload, download, copy, zero,
    synchronise, find, find_text, launch, product, begin_capture, end_capture, replay, forget,
};

}  // namespace

int fail(const std::string& reason) {
    message = reason;
    return 1;
}

}  // namespace moult_emulator

const moult_cuda* moult_emulated_cuda() { return &moult_emulator::functions; }

size_t moult_emulated_launches() {
    std::lock_guard lock(moult_emulator::mutex);
    return moult_emulator::launches;
}

void moult_emulated_memory(size_t bytes) {
    std::lock_guard lock(moult_emulator::mutex);
    for (auto& card : moult_emulator::cards) card.own.total = bytes;
}

void moult_emulated_host_memory(size_t bytes) {
    std::lock_guard lock(moult_emulator::mutex);
    for (auto& card : moult_emulator::cards) card.host.total = bytes;
}

moult_emulated_bytes moult_emulated_held(int card) {
    std::lock_guard lock(moult_emulator::mutex);
    return {moult_emulator::cards[card].own.used, moult_emulator::cards[card].host.used};
}
