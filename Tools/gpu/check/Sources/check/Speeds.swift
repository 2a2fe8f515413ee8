import Tensors

/// How fast a card reaches the host's memory: medians of several times, in 10⁹ bytes a second.
struct Speeds {
    let device: Device
    private static let (bytes, times) = (1 << 30, 7)

    func show() throws {
        let bytes = Self.bytes
        let host = try Tensor.zeros([bytes], .uint8, on: device, in: .host)
        let own = try Tensor.zeros([bytes], .uint8, on: device)
        try line("copy host to card", bytes) { try wait(for: host.to(device, in: .device)) }
        try line("copy card to host", bytes) { try wait(for: own.to(device, in: .host)) }
        // AdamW reads and writes 12 bytes of states a parameter, beside gradients and copies on the card.
        let count = bytes / 8
        for memory in MemoryKind.allCases {
            var (parameters, step) = ([try Check.parameter(count, in: memory)], 0)
            try line("AdamW's states, \(memory)", 24 * count) {
                step += 1
                _ = try Check.update(&parameters, step: step).read()
            }
        }
    }

    /// Reads an element when the work is done.
    private func wait(for tensor: Tensor) throws { _ = try tensor.rows(0..<1).array(UInt8.self) }

    private func line(_ name: String, _ bytes: Int, _ work: () throws -> Void) throws {
        // The first time allocates and compiles.
        try work()
        let times = try (0..<Self.times).map { _ in try ContinuousClock().measure { try work() } / .seconds(1) }
        let seconds = times.sorted()[Self.times / 2]
        let rate = Double(bytes) / seconds / 1e9
        print("\(name): \((10 * rate).rounded() / 10) GB/s, \((10000 * seconds).rounded() / 10) ms")
    }
}
