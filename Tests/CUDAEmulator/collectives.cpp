#include <string.h>

#include <chrono>
#include <condition_variable>
#include <memory>
#include <string>

#include "card.h"
#include "emulator.h"

// NCCL in one process: a rank is a thread with a card of its own. The last to come to an operation does it for all.
namespace moult_emulator {
namespace {

enum class Kind { sum, reduce_scatter, all_gather, broadcast };

/// What a rank asks for: tensors and their elements, or bytes.
struct Request {
    Kind kind;
    std::vector<uint64_t> from, to;
    std::vector<size_t> counts;
    int root;
};

/// What the ranks of a group share.
struct Meeting {
    std::mutex mutex;
    std::condition_variable all;
    size_t ranks = 0, here = 0, done = 0;
    std::vector<const Request*> requests;
    bool isLeft = false;
    int fault = 0;
};

std::mutex meetings_mutex;
std::map<std::string, std::shared_ptr<Meeting>> meetings;
int identifiers = 0;

template <class Value>
Value* at(uint64_t address) {
    return reinterpret_cast<Value*>(address);
}

int carry_out(const Meeting& meeting) {
    const auto& requests = meeting.requests;
    const Request& first = *requests[0];
    for (const Request* request : requests)
        if (request->kind != first.kind || request->counts != first.counts || request->root != first.root) return 1;
    for (size_t tensor = 0; tensor < first.counts.size(); tensor++) {
        const size_t count = first.counts[tensor], ranks = meeting.ranks;
        if (first.kind == Kind::all_gather) {
            for (size_t to = 0; to < ranks; to++)
                for (size_t from = 0; from < ranks; from++)
                    memmove(
                        at<char>(requests[to]->to[tensor]) + from * count, at<char>(requests[from]->from[tensor]), count);
            continue;
        }
        if (first.kind == Kind::broadcast) {
            for (size_t to = 0; to < ranks; to++)
                memmove(at<char>(requests[to]->to[tensor]), at<char>(requests[first.root]->from[tensor]), count);
            continue;
        }
        const bool scatters = first.kind == Kind::reduce_scatter;
        const size_t all = scatters ? count * ranks : count;
        std::vector<float> sums(all);
        for (const Request* request : requests)
            for (size_t i = 0; i < all; i++) sums[i] += at<float>(request->from[tensor])[i];
        for (size_t rank = 0; rank < ranks; rank++)
            memcpy(
                at<float>(requests[rank]->to[tensor]), sums.data() + (scatters ? rank * count : 0),
                count * sizeof(float));
    }
    return 0;
}

}  // namespace
}  // namespace moult_emulator

struct moult_cuda_group {
    moult_cuda_card* card;
    size_t rank, ranks;
    std::shared_ptr<moult_emulator::Meeting> meeting;
};

namespace moult_emulator {
namespace {

/// Waits for all ranks, of which the last calls `body`.
template <class Body>
int meet(Meeting& meeting, size_t rank, const Request* request, double seconds, Body body) {
    std::unique_lock lock(meeting.mutex);
    const size_t round = meeting.done;
    meeting.requests.resize(meeting.ranks);
    meeting.requests[rank] = request;
    if (++meeting.here == meeting.ranks) {
        meeting.fault = body();
        (meeting.here = 0, meeting.done++);
        meeting.all.notify_all();
    }
    const auto limit = std::chrono::duration<double>(seconds);
    if (!meeting.all.wait_for(lock, limit, [&] { return meeting.done > round || meeting.isLeft; }))
        return fail("ncclCommInitRankConfig: not done");
    if (meeting.done == round) return fail("the group was left");
    return meeting.fault ? fail("the ranks ask for different things") : 0;
}

int identify(char identifier[moult_cuda_identifier_bytes]) {
    std::lock_guard lock(meetings_mutex);
    memset(identifier, 0, moult_cuda_identifier_bytes);
    snprintf(identifier, moult_cuda_identifier_bytes, "emulated %d", ++identifiers);
    return 0;
}

int join(
    moult_cuda_card* card, const char identifier[moult_cuda_identifier_bytes], int rank, int ranks, double seconds,
    moult_cuda_group** result) {
    std::shared_ptr<Meeting> meeting;
    {
        std::lock_guard lock(meetings_mutex);
        auto& known = meetings[identifier];
        if (!known) known = std::make_shared<Meeting>();
        meeting = known;
        std::lock_guard own(meeting->mutex);
        meeting->ranks = size_t(ranks);
    }
    if (meet(*meeting, size_t(rank), nullptr, seconds, [] { return 0; })) return 1;
    return *result = new moult_cuda_group{card, size_t(rank), size_t(ranks), meeting}, 0;
}

int give(moult_cuda_group* group, Request request, size_t read, size_t written) {
    {
        std::lock_guard lock(mutex);
        for (size_t tensor = 0; tensor < request.counts.size(); tensor++)
            if (forbid_elsewhere(group->card, "a group", request.from[tensor], read * request.counts[tensor])
                || forbid_elsewhere(group->card, "a group", request.to[tensor], written * request.counts[tensor]))
                return 1;
    }
    auto work = [group, request] {
        return meet(*group->meeting, group->rank, &request, 600, [=] { return carry_out(*group->meeting); });
    };
    if (!group->card->recording) return work();
    std::lock_guard lock(mutex);
    group->card->recording->push_back({work, true});
    return 0;
}

int sum(moult_cuda_group* group, const uint64_t* addresses, const size_t* counts, size_t tensors) {
    const std::vector<uint64_t> places(addresses, addresses + tensors);
    return give(group, {Kind::sum, places, places, {counts, counts + tensors}, 0}, sizeof(float), sizeof(float));
}

int reduce_scatter(
    moult_cuda_group* group, const uint64_t* from, const uint64_t* to, const size_t* counts, size_t tensors) {
    return give(
        group, {Kind::reduce_scatter, {from, from + tensors}, {to, to + tensors}, {counts, counts + tensors}, 0},
        sizeof(float) * group->ranks, sizeof(float));
}

int all_gather(
    moult_cuda_group* group, const uint64_t* from, const uint64_t* to, const size_t* bytes, size_t tensors) {
    return give(
        group, {Kind::all_gather, {from, from + tensors}, {to, to + tensors}, {bytes, bytes + tensors}, 0}, 1,
        group->ranks);
}

int broadcast(moult_cuda_group* group, uint64_t values, size_t bytes, int root) {
    return give(group, {Kind::broadcast, {values}, {values}, {bytes}, root}, 1, 1);
}

/// Work is done when it is given.
int wait(moult_cuda_group*) { return 0; }

int check(moult_cuda_group* group) {
    std::lock_guard lock(group->meeting->mutex);
    return group->meeting->isLeft ? fail("the group was left") : 0;
}

void leave(moult_cuda_group* group) {
    std::lock_guard lock(group->meeting->mutex);
    group->meeting->isLeft = true;
    group->meeting->all.notify_all();
}

const char* error() { return moult_emulated_cuda()->error(); }

const moult_cuda_collectives functions = {
    error, identify, join, sum, reduce_scatter, all_gather, broadcast, wait, check, leave,
};

}  // namespace
}  // namespace moult_emulator

const moult_cuda_collectives* moult_emulated_nccl() { return &moult_emulator::functions; }
