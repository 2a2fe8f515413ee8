import Communication
import Tensors
import TestSupport
import Testing

extension CUDATests {
    @Suite("GPUs of several ranks") struct GroupTests {
        /// What each of two ranks, threads with a GPU each, makes.
        private func ranks<Value: Sendable>(
            _ body: @escaping @Sendable (DeviceCommunicator, Device) throws -> Value
        ) throws -> [Value] {
            try onThreads(Launch.here(2).map(\.place)) { place in
                let sockets = try SocketCommunicator(place, run: "run", version: "1")
                let device = Device.cuda(place.rank)
                let value = try body(DeviceCommunicator(sockets, device: device), device)
                try sockets.leave()
                return value
            }.map { try $0.get() }
        }

        private static func values(_ rank: Int, _ count: Int) -> [Float] {
            (0..<count).map { Float((rank + 1) * ($0 % 17) - 8) }
        }

        @Test("add up, scatter and gather several tensors, also in recorded work")
        func operations() throws {
            let counts = [16, 48, 4096]
            let found = try ranks { ranks, device -> [[[Float]]] in
                let rank = ranks.rank
                let inputs = try counts.map { try Tensor(Self.values(rank, $0), shape: [$0]).to(device) }
                var parts = try counts.map { try Tensor.zeros([$0 / 2], on: device) }
                var all = try counts.map { try Tensor.zeros([$0], on: device) }
                func work() throws {
                    try ranks.reduceScatter(inputs, into: &parts)
                    try ranks.join()
                    try ranks.allGather(parts, into: &all)
                    try ranks.join()
                }
                try work()
                let byHand = try (parts + all).map { try $0.array() }
                for tensor in parts + all { try tensor.clear() }
                let recorded = try device.record(work)
                try recorded.run()
                let again = try (parts + all).map { try $0.array() }
                #expect(byHand == again)
                // Parts that stand in their place already.
                let views = try all.map { try $0.rows(rank * $0.count / 2..<(rank + 1) * $0.count / 2) }
                try ranks.allGather(views, into: &all)
                try ranks.join()
                return [again, try all.map { try $0.array() }]
            }
            let sums = counts.map { zip(Self.values(0, $0), Self.values(1, $0)).map(+) }
            for (rank, results) in found.enumerated() {
                let parts = sums.map { Array($0[rank * $0.count / 2..<(rank + 1) * $0.count / 2]) }
                #expect(results[0] == parts + sums && results[1] == sums)
            }
        }
    }
}
