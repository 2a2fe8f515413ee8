import CUDAEmulator
import Tensors
import Testing

extension CUDATests {
    @Suite("Tensors of a GPU in the host's memory") struct HostMemoryTests {
        private func use() throws -> (available: Int, host: Int) {
            try #require(try Device.cuda.memoryUse())
        }

        private func tensor(_ seed: UInt64, _ shape: [Int], in memory: MemoryKind) throws -> Tensor {
            var random = Random(seed)
            return try random.tensor(shape).converted(to: .bfloat16).to(.cuda, in: memory)
        }

        @Test("operations take them as they take others, and give tensors on the card")
        func operations() throws {
            let results = try MemoryKind.allCases.map { memory in
                let x = try tensor(1, [5, 64], in: memory), weight = try tensor(2, [24, 64], in: memory)
                #expect(x.memory == memory && x.device == .cuda)
                let result = try x.adding(x).activated(.silu).linear(weight)
                #expect(result.memory == .device)
                return try result.array(BFloat16.self)
            }
            #expect(results[0] == results[1])
        }

        @Test("AdamW updates them where they are, with the same bits")
        func optimiser() throws {
            let results = try MemoryKind.allCases.map { memory in
                var random = Random(3)
                func values() throws -> Tensor { try random.tensor([70, 1000]) }
                var parameters = [
                    AdamWParameter(
                        value: try values().to(.cuda, in: memory), gradient: try values().to(.cuda),
                        first: try .zeros([70, 1000], on: .cuda, in: memory),
                        second: try .zeros([70, 1000], on: .cuda, in: memory),
                        copy: try .zeros([70, 1000], .bfloat16, on: .cuda))
                ]
                for step in 1...3 {
                    let settings = AdamWSettings(
                        beta1: 0.9, beta2: 0.95, epsilon: 1e-8, rates: .init(learningRate: 1e-2, step: step))
                    _ = try Device.cuda.gradientBackend.adamW(&parameters, settings)
                }
                let parameter = parameters[0]
                #expect([parameter.value, parameter.first, parameter.second].allSatisfy { $0.memory == memory })
                return try [parameter.value, parameter.first, parameter.second].map { try $0.array() }
            }
            #expect(results[0] == results[1])
        }

        @Test("copies go from each memory to each, and a tensor stays where it is unless it is sent elsewhere")
        func copies() throws {
            let x = try Tensor([1, 2, 3] as [Float], shape: [3])
            let host = try x.to(.cuda, in: .host)
            #expect(try host.to(.cuda).memory == .host)
            #expect(try host.to(.cuda, in: .device).memory == .device)
            #expect(try x.to(.cuda).memory == .device)
            for memory in MemoryKind.allCases {
                #expect(try host.to(.cuda, in: memory).to(.cuda, in: .host).to(.cpu).array() == [1, 2, 3])
            }
            #expect(try host.to(.cuda(1)).array() == [1, 2, 3])
            #expect(try host.to(.cuda(1), in: .host).memory == .host)
            try host.overwrite([4, 5, 6] as [Float])
            #expect(try host.array() == [4, 5, 6])
            #expect(try Tensor.zeros([3], on: .cuda, in: .host).array() == [0, 0, 0])
            var copy = host
            try copy.withMutable(Float.self) { $0[0] = 9 }
            #expect(try host.array() == [4, 5, 6] && copy.array() == [9, 5, 6])
            // The processor has one memory.
            #expect(try x.to(.cpu, in: .host).memory == .device)
        }

        @Test("they take none of the card's memory, and what they leave is used again, by their kind alone")
        func accounts() throws {
            let bytes = 4 << 20
            func held() -> moult_emulated_bytes { moult_emulated_held(0) }
            let before = try use()
            var tensor: Tensor? = try .zeros([bytes], .uint8, on: .cuda, in: .host)
            let inUse = try use(), cardBytes = held().card, hostBytes = held().host
            #expect(inUse.available == before.available && inUse.host == before.host + bytes)
            #expect(hostBytes >= bytes && tensor != nil)
            tensor = nil
            #expect(try use().host == before.host && use().available == before.available)
            for _ in 0..<3 { _ = try Tensor.zeros([bytes], .uint8, on: .cuda, in: .host) }
            #expect(held().host == hostBytes && held().card == cardBytes)
            let own = try Tensor.zeros([bytes], .uint8, on: .cuda)
            #expect(try use().available == before.available - bytes && use().host == before.host)
            #expect(own.memory == .device)
        }

        @Test("recorded copies to the card read them anew, into memory that the recording uses again")
        func recording() throws {
            let count = 3000
            let sources = try (0..<4).map { _ in try Tensor.zeros([count], .bfloat16, on: .cuda, in: .host) }
            var (results, before): ([Tensor], Int) = ([], try use().available)
            let graph = try Device.cuda.record {
                for source in sources {
                    let copy = try source.to(.cuda, in: .device)
                    results.append(try copy.adding(copy))
                }
            }
            // The results, and one copy after another in the same place.
            before -= try use().available
            #expect(before == 4 * ((count * 2 + 511) / 512 * 512))
            for value: Float in [1, -2] {
                for (index, source) in sources.enumerated() {
                    try source.overwrite([BFloat16](repeating: BFloat16(value * Float(index)), count: count))
                }
                try graph.run()
                for (index, result) in results.enumerated() {
                    #expect(try doubles(result).allSatisfy { $0 == Double(2 * value * Float(index)) })
                }
            }
        }

        @Test("more than the host has gives an error that says whose memory it is, and how much was asked for")
        func exhausted() throws {
            let all = 8 << 30
            moult_emulated_host_memory(moult_emulated_held(0).host + (16 << 20))
            defer { moult_emulated_host_memory(all) }
            let kept = try Tensor.zeros([6 << 20], .uint8, on: .cuda, in: .host)
            let error = #expect(throws: TensorError.self) {
                try Tensor.zeros([1 << 30], .uint8, on: .cuda, in: .host)
            }
            guard case .outOfHostMemory(1 << 30, let used)? = error else {
                Issue.record("\(String(describing: error))")
                return
            }
            #expect(try used == use().host && used >= kept.byteCount)
            let text = "\(TensorError.outOfHostMemory(bytes: 1 << 30, used: 6 << 20))"
            #expect(text.hasPrefix("out of the host's memory: 1024 MiB asked for"))
            // What has been freed in blocks of one size is given back for one of another.
            for bytes in [4 << 20, 6 << 20, 10 << 20] { _ = try Tensor.zeros([bytes], .uint8, on: .cuda, in: .host) }
        }
    }
}
