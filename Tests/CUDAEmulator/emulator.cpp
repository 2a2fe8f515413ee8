#include "emulator.h"

#include <setjmp.h>
#include <ucontext.h>

#include <memory>
#include <vector>

#include "emulated_device.h"

dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace moult_emulator {

unsigned char* shared_memory = nullptr;

namespace {

constexpr size_t stack_bytes = 256 << 10;
constexpr size_t shared_limit = 227 << 10;

/// One CUDA thread: a stack of its own, left at barriers and gone back to when all have arrived. When it is done it waits
/// for the next block.
struct Thread {
    enum State { running, at_warp_barrier, at_part_barrier, at_block_barrier, done } state = done;
    bool has_begun = false;
    ucontext_t start;
    jmp_buf place;
    int parity = 0;
    /// Pages of it that no kernel reaches stay untouched.
    std::unique_ptr<char[]> stack{new char[stack_bytes]};
};

std::vector<Thread> threads;
/// Arguments of a warp's collectives: 16 words a lane, twice, so that one barrier a collective is enough.
std::vector<uint32_t> slots[2];
jmp_buf scheduler;
int current = 0;
int count = 0;
/// Threads that a barrier of a part of the block waits for.
int part_count = 0;
const Kernel* kernel = nullptr;
void** kernel_arguments = nullptr;

void leave(Thread::State state) {
    threads[current].state = state;
    if (_setjmp(threads[current].place) == 0) _longjmp(scheduler, 1);
}

void body() {
    while (true) {
        kernel->call(kernel_arguments);
        leave(Thread::done);
    }
}

void resume(int index) {
    current = index;
    threadIdx.x = index % blockDim.x;
    threadIdx.y = index / blockDim.x % blockDim.y;
    threadIdx.z = index / blockDim.x / blockDim.y;
    Thread& thread = threads[index];
    if (_setjmp(scheduler) != 0) return;
    if (thread.has_begun) _longjmp(thread.place, 1);
    thread.has_begun = true;
    getcontext(&thread.start);
    thread.start.uc_stack.ss_sp = thread.stack.get();
    thread.start.uc_stack.ss_size = stack_bytes;
    thread.start.uc_link = nullptr;
    makecontext(&thread.start, body, 0);
    setcontext(&thread.start);
}

/// Lets the threads first..<last go on once all that live have arrived at the same barrier.
bool release(int first, int last, Thread::State barrier) {
    bool any = false;
    for (int i = first; i < last; i++) {
        if (threads[i].state == barrier) any = true;
        else if (threads[i].state != Thread::done) return false;
    }
    for (int i = first; any && i < last; i++) {
        if (threads[i].state == barrier) threads[i].state = Thread::running;
    }
    return any;
}

bool run_block() {
    for (int i = 0; i < count; i++) {
        threads[i].state = Thread::running;
        threads[i].parity = 0;
    }
    while (true) {
        bool progress = false, alive = false;
        for (int first = 0; first < count; first += 32) {
            int last = std::min(first + 32, count);
            // A warp runs on until it needs the other warps.
            bool again = true;
            while (again) {
                for (int i = first; i < last; i++) {
                    if (threads[i].state == Thread::running) {
                        resume(i);
                        progress = true;
                    }
                }
                again = release(first, last, Thread::at_warp_barrier);
            }
        }
        for (int i = 0; i < count; i++) alive |= threads[i].state != Thread::done;
        if (!alive) return true;
        bool released = release(0, count, Thread::at_block_barrier);
        released |= release(0, std::min(part_count, count), Thread::at_part_barrier);
        if (!released && !progress) return false;
    }
}

}  // namespace

void block_barrier() { leave(Thread::at_block_barrier); }
void part_barrier(int threads) {
    part_count = threads;
    leave(Thread::at_part_barrier);
}
void warp_barrier() { leave(Thread::at_warp_barrier); }
int lane() { return current % 32; }
uint32_t* begin_collective() {
    threads[current].parity ^= 1;
    return &slots[threads[current].parity][current * 16];
}
uint32_t* exchange(int lane) { return &slots[threads[current].parity][(current / 32 * 32 + lane) * 16]; }

int run(
    const Kernel& chosen, const unsigned grid[3], const unsigned block[3], size_t shared_bytes, void** arguments) {
    static std::vector<unsigned char> memory(shared_limit + 128);
    if (shared_bytes > shared_limit) return fail(chosen.name + ": " + std::to_string(shared_bytes) + " bytes shared");
    const unsigned size = block[0] * block[1] * block[2];
    if (size > 1024) return fail(chosen.name + ": " + std::to_string(size) + " threads in a block");
    if (grid[1] > 65535 || grid[2] > 65535) return fail(chosen.name + ": more than 65535 blocks down or deep");
    kernel = &chosen;
    kernel_arguments = arguments;
    shared_memory = memory.data() + (128 - reinterpret_cast<uintptr_t>(memory.data()) % 128) % 128;
    gridDim = {grid[0], grid[1], grid[2]};
    blockDim = {block[0], block[1], block[2]};
    count = static_cast<int>(size);
    if (threads.size() < static_cast<size_t>(count)) threads.resize(count);
    for (auto& slot : slots) slot.resize((count + 31) / 32 * 32 * 16);
    for (unsigned z = 0; z < grid[2]; z++)
        for (unsigned y = 0; y < grid[1]; y++)
            for (unsigned x = 0; x < grid[0]; x++) {
                blockIdx = {x, y, z};
                // Shared memory begins with whatever was there: here, with NaNs.
                memset(shared_memory, 0xff, shared_bytes);
                if (!run_block()) {
                    threads.clear();
                    return fail(chosen.name + ": some threads wait at a barrier that others never reach");
                }
            }
    return 0;
}

}  // namespace moult_emulator
