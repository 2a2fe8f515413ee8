import Communication
import Foundation
import Tensors

/// What only a card can show: whether tensors in the host's memory hold what they should, and NCCL's work stands where it should in what is
/// recorded, each comparison to the bit; and how fast the host's memory is reached. Prints a line for each; the process exits with 1
/// where one fails.
@main struct Check {
    static let device = Device(CommandLine.arguments.dropFirst().first ?? "cuda") ?? .cuda
    /// Elements of float32, 64 MiB, and an odd one.
    static let count = (16 << 20) + 1

    static func main() {
        do { try run() } catch {
            print("FAILED", error)
            exit(1)
        }
    }

    private static func run() throws {
        print(try device.backend.name)
        let checks: [(String, () throws -> Bool)] = [
            ("zeros", zeros), ("written and read", copies), ("kernels read them", reading),
            ("kernels write them", writing), ("what is written comes behind the work before it", order),
            ("recorded copies to the card", recording), ("more than the host has", exhausted),
            ("sums and parts of a group of one, recorded", group),
        ]
        var failures = 0
        for (name, check) in checks {
            let passes = try check()
            failures += passes ? 0 : 1
            print(passes ? "passed" : "FAILED", name)
        }
        // Speeds of what is wrong are worth nothing.
        guard failures == 0 else { exit(1) }
        try Speeds(device: device).show()
    }

    static func values(_ seed: Int, _ count: Int = count) -> [Float] {
        (0..<count).map { Float(($0 &* 2_654_435_761 &+ seed) & 0xFFFF) / 65536 - 0.5 }
    }

    static func tensor(_ seed: Int, in memory: MemoryKind) throws -> Tensor {
        try Tensor(values(seed), shape: [count]).to(device, in: memory)
    }

    /// bfloat16, as a GPU's operations have them; on the processor.
    static func activations(_ seed: Int) throws -> Tensor {
        try Tensor(values(seed), shape: [count]).converted(to: .bfloat16)
    }

    static func zeros() throws -> Bool {
        let tensor = try Tensor.zeros([count], on: device, in: .host)
        return try tensor.memory == .host && tensor.array().allSatisfy { $0 == 0 }
    }

    /// From the process and back, and from each memory to each.
    static func copies() throws -> Bool {
        let host = try tensor(1, in: .host)
        let there = try host.to(device, in: .device)
        return try host.array() == values(1) && there.array() == values(1)
            && there.to(device, in: .host).array() == values(1)
    }

    static func reading() throws -> Bool {
        let sums = try MemoryKind.allCases.map { memory in
            let x = try activations(2).to(device, in: memory), y = try activations(3).to(device, in: memory)
            return try x.adding(y).array(BFloat16.self)
        }
        return sums[0] == sums[1]
    }

    static func parameter(_ count: Int, in memory: MemoryKind) throws -> AdamWParameter {
        AdamWParameter(
            value: try Tensor(values(4, count), shape: [count]).to(device, in: memory),
            gradient: try Tensor(values(5, count), shape: [count]).to(device),
            first: try .zeros([count], on: device, in: memory), second: try .zeros([count], on: device, in: memory),
            copy: try .zeros([count], .bfloat16, on: device))
    }

    /// One step of AdamW.
    static func update(_ parameters: inout [AdamWParameter], step: Int) throws -> AdamWOutcome {
        let settings = AdamWSettings(
            beta1: 0.9, beta2: 0.95, epsilon: 1e-8, rates: .init(learningRate: 1e-3, step: step))
        return try device.gradientBackend.adamW(&parameters, settings)
    }

    static func writing() throws -> Bool {
        let results = try MemoryKind.allCases.map { memory in
            var parameters = [try parameter(count, in: memory)]
            for step in 1...3 { _ = try update(&parameters, step: step) }
            return try [parameters[0].value, parameters[0].first, parameters[0].second].map { try $0.array(Float.self) }
        }
        return results[0] == results[1]
    }

    /// What the kernels of ten steps have written must be gone.
    static func order() throws -> Bool {
        var parameters = [try parameter(count, in: .host)]
        for step in 1...10 { _ = try update(&parameters, step: step) }
        try parameters[0].value.overwrite(values(6))
        let copy = try parameters[0].value.to(device, in: .device)
        try parameters[0].value.overwrite(values(7))
        return try copy.array() == values(6) && parameters[0].value.array() == values(7)
    }

    static func recording() throws -> Bool {
        let sources = try (0..<3).map { try activations($0).to(device, in: .host) }
        // What is compiled at first is not recorded.
        _ = try sources[0].adding(sources[0])
        var sums: [Tensor] = []
        let graph = try device.record {
            for source in sources {
                let copy = try source.to(device, in: .device)
                sums.append(try copy.adding(copy))
            }
        }
        return try (0..<3).allSatisfy { round in
            let values = try sources.indices.map { try activations(8 + 3 * round + $0).array(BFloat16.self) }
            for (source, values) in zip(sources, values) { try source.overwrite(values) }
            try graph.run()
            return try sums.indices.allSatisfy { index in
                try sums[index].array(BFloat16.self) == values[index].map { BFloat16(2 * $0.float) }
            }
        }
    }

    static func group() throws -> Bool {
        let ranks = try DeviceCommunicator(
            SocketCommunicator(Launch.here(1)[0].place, run: "check", version: "1"), device: device)
        let x = try tensor(9, in: .device)
        var sum = [try tensor(9, in: .device)]
        var (parts, all) = ([try Tensor.zeros([count], on: device)], [try Tensor.zeros([count], on: device)])
        let graph = try device.record {
            // Nothing was begun that it could wait for.
            try ranks.join()
            try ranks.reduceScatter([x], into: &parts)
            try ranks.sum(&sum)
            try ranks.join()
            try ranks.allGather(parts, into: &all)
            try ranks.join()
        }
        for round in 1...2 {
            try x.overwrite(values(round))
            try graph.run()
            guard try all[0].array() == values(round), try sum[0].array() == values(9) else { return false }
        }
        try ranks.leave()
        return true
    }

    static func exhausted() throws -> Bool {
        do { _ = try Tensor.empty([1 << 50], .uint8, on: device, in: .host) } catch let error as TensorError {
            print("      ", error)
            if case .outOfHostMemory(1 << 50, _) = error { return true }
        }
        return false
    }
}
