/// Where tensors live and operations run: the processor, or one of the machine's GPUs.
public struct Device: Hashable, Sendable {
    /// A kind of device.
    public enum Kind: String, Sendable {
        /// The processor.
        case cpu
        /// An NVIDIA GPU.
        case cuda
    }

    /// What kind of device it is.
    public let kind: Kind
    /// Which of its kind, from 0 on: of GPUs as the driver numbers them, which `CUDA_VISIBLE_DEVICES` changes.
    public let index: Int

    /// The processor, of which there is one.
    public static var cpu: Device { Device(kind: .cpu, index: 0) }
    /// The first GPU.
    public static var cuda: Device { .cuda(0) }
    /// The GPU `index`. Whether there is one shows when it is first used.
    public static func cuda(_ index: Int) -> Device { Device(kind: .cuda, index: index) }
}

extension Device: LosslessStringConvertible {
    /// "cpu", "cuda" or "cuda:1".
    public var description: String { index == 0 ? kind.rawValue : "\(kind.rawValue):\(index)" }

    /// The device of that description, "cuda:0" being "cuda"; nil for any other text.
    public init?(_ description: String) {
        let parts = description.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        guard let kind = Kind(rawValue: String(parts[0])) else { return nil }
        guard parts.count > 1 else {
            self.init(kind: kind, index: 0)
            return
        }
        // A plain number: neither a sign nor white space.
        guard kind == .cuda, parts[1].allSatisfy({ $0.isASCII && $0.isNumber }), let index = Int(parts[1]) else {
            return nil
        }
        self.init(kind: kind, index: index)
    }
}

extension Device {
    /// What may be known of the device before it is used.
    public var traits: DeviceTraits {
        switch kind {
        case .cpu: .cpu
        case .cuda: .cuda
        }
    }

    /// The device at work.
    /// - Throws: ``TensorError/device(_:)`` when there is no such device here.
    var runtime: any DeviceRuntime {
        get throws {
            switch kind {
            case .cpu: CPUBackend.shared
            case .cuda: try CUDACards.card(index)
            }
        }
    }

    /// The operations of this device.
    /// - Throws: ``TensorError/device(_:)`` when there is no such device here.
    public var backend: any Backend { get throws { try runtime.backend } }

    /// The operations of training on this device.
    /// - Throws: ``TensorError/device(_:)`` when there is no such device here.
    public var gradientBackend: any GradientBackend { get throws { try runtime.gradientBackend } }

    /// Runs `body` without doing its work, which the result then does as often as asked, always on the same tensors: what it
    /// reads must stay alive, and what it makes must be kept as long as it is read.
    /// - Throws: ``TensorError/device(_:)`` where ``DeviceTraits/recordsWork`` is false.
    public func record(_ body: () throws -> Void) throws -> any RecordedWork { try runtime.record(body) }

    /// Bytes of the device's own memory that tensors can still take, and of the host's what its tensors take there
    /// (``MemoryKind/host``). Nil on the processor, whose memory is the machine's.
    public func memoryUse() throws -> (available: Int, host: Int)? { try runtime.memoryUse() }

    /// The most that tensors have taken of the device's own memory at once, since ``forgetPeak()``; nil on the processor.
    public func peakMemory() throws -> Int? { try runtime.peakMemory() }

    /// Lets the most that tensors have taken at once be what they take now.
    public func forgetPeak() throws { try runtime.forgetPeak() }
}

extension Tensor {
    /// Where this tensor lives.
    public var device: Device { storage.runtime.place }

    /// The same elements on `device`; this tensor where it is there already.
    /// - Parameter memory: where they are to lie there; nil for the device's own memory, or where they are on it already.
    /// - Throws: ``TensorError`` without memory, and for what a step is to compute; see ``CapturedStep``.
    public func to(_ device: Device, in memory: MemoryKind? = nil) throws -> Tensor {
        let isThere = device == self.device && storage.captured == nil
        let moves = isThere && device.traits.hasOwnMemory && memory ?? self.memory != self.memory
        guard moves || !isThere else { return self }
        let copy = try Tensor.empty(shape, dtype, on: device, in: memory ?? .device)
        if isThere {
            try storage.runtime.copy(storage, at: byteOffset, count: byteCount, to: copy.storage, at: 0)
        } else if let bytes = copy.storage.hostBytes {
            try storage.runtime.read(storage, at: byteOffset, count: byteCount, to: bytes.baseAddress)
        } else {
            // From another GPU by way of the host.
            try withUnsafeBytes { try copy.storage.runtime.write($0, to: copy.storage, at: 0) }
        }
        return copy
    }
}
