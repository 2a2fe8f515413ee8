#include "text.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

#include "CUDAEmulator.h"
#include "emulated_device.h"

extern char** environ;

namespace moult_emulator {
namespace {

const Device device = {&threadIdx, &blockIdx,    &blockDim, &gridDim,         &shared_memory,
                       block_barrier, warp_barrier, exchange, begin_collective, lane};

/// This folder, and that of the kernels.
std::string folder() {
    const std::string file = __FILE__;
    return file.substr(0, file.find_last_of('/'));
}
std::string kernel_folder() { return folder() + "/../../Sources/CCUDA/kernels"; }

std::string contents(const std::string& path) {
    std::ifstream file(path);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

/// The first `name` of $PATH, or beside what a link there leads to: clang++ comes with the Swift toolchain.
std::string find_compiler() {
    if (const char* chosen = getenv("CXX"); chosen && strstr(chosen, "clang")) return chosen;
    const char* path = getenv("PATH");
    std::istringstream folders(path ? path : "");
    std::string place, beside;
    while (std::getline(folders, place, ':')) {
        if (access((place + "/clang++").c_str(), X_OK) == 0) return place + "/clang++";
        char* swift = realpath((place + "/swift").c_str(), nullptr);
        if (!swift) continue;
        const std::string found = std::string(swift).substr(0, std::string(swift).find_last_of('/')) + "/clang++";
        free(swift);
        if (beside.empty() && access(found.c_str(), X_OK) == 0) beside = found;
    }
    return beside;
}

/// Where libraries are kept from one run to the next, as those of NVRTC are.
std::string cache() {
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    std::string path = cache && *cache ? cache : std::string(home && *home ? home : "/var/tmp") + "/.cache";
    for (const char* part : {"", "/moult", "/emulator"}) mkdir((path += part).c_str(), 0755);
    return path;
}

/// Whether the command ended well; its messages are in `log`.
bool run_compiler(const std::vector<std::string>& command, const std::string& log) {
    std::vector<char*> arguments;
    for (const auto& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 2, log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    pid_t child;
    const int failed = posix_spawn(&child, arguments[0], &actions, nullptr, arguments.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    int status = 1;
    if (failed) return false;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {}
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/// The library of `text`, compiled unless an earlier run did.
std::string library(const std::string& text, std::string& error) {
    static const std::string compiler = find_compiler(), kept = cache();
    // All that a text may include.
    static const std::string headers = [] {
        std::string all = contents(folder() + "/emulated_device.h") + contents(folder() + "/compiled_text.h");
        for (const char* name : {"device.cuh", "eight.cuh", "activation.cuh", "pointwise.cuh"})
            all += moult_cuda_source(name);
        return all + contents(folder() + "/device.h");
    }();
    if (compiler.empty()) return error = "no clang++ in PATH, nor beside swift there", "";
    const std::string own = std::to_string(std::hash<std::string>()(headers + compiler + text));
    const std::string path = kept + "/" + own + ".so", beside = kept + "/" + own + "." + std::to_string(getpid());
    if (access(path.c_str(), R_OK) == 0) return path;
    std::ofstream(beside + ".cpp") << text;
    const std::string kernels = kernel_folder();
    const bool done = run_compiler(
        {compiler, "-std=c++17", "-O1", "-fPIC", "-shared", "-ffp-contract=off", "-DMOULT_EMULATED",
         "-DMOULT_EMULATED_TEXT", "-I" + folder(), "-I" + kernels, "-I" + kernels + "/foundation",
         "-I" + kernels + "/pointwise", beside + ".cpp", "-o", beside + ".so"},
        beside + ".log");
    if (!done) error = "clang cannot compile an expression: " + contents(beside + ".log").substr(0, 3000) + text;
    const bool named = done && rename((beside + ".so").c_str(), path.c_str()) == 0;
    for (const char* ending : {".cpp", ".log", ".so"}) unlink((beside + ending).c_str());
    if (done && !named) error = "cannot write " + path;
    return named ? path : "";
}

}  // namespace

const Kernel* compiled(const std::string& text, const std::string& name, std::string& error) {
    static std::map<std::string, Kernel> known;
    const std::string whole = text + "\nEXPORT_KERNEL(" + name + ")\n";
    if (auto found = known.find(whole); found != known.end()) return &found->second;
    const std::string path = library(whole, error);
    if (path.empty()) return nullptr;
    void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!handle) return error = dlerror(), nullptr;
    auto call = reinterpret_cast<void (*)(const Device*, void**)>(dlsym(handle, "moult_call"));
    auto sizes = reinterpret_cast<int (*)(size_t*)>(dlsym(handle, "moult_sizes"));
    if (!call || !sizes) return error = path + " has no kernel", nullptr;
    Kernel kernel{name, std::vector<size_t>(256), [call](void** arguments) { call(&device, arguments); }};
    kernel.sizes.resize(sizes(kernel.sizes.data()));
    return &(known[whole] = kernel);
}

}  // namespace moult_emulator
