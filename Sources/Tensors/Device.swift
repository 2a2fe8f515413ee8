/// Where tensors live and operations run.
public enum Device: String, Sendable, CaseIterable {
    case cpu
    /// The first NVIDIA GPU that the driver shows; `CUDA_VISIBLE_DEVICES` picks another.
    case cuda

    /// The operations of this device.
    /// - Throws: ``TensorError/device(_:)`` when there is no such device here.
    public var backend: any Backend {
        get throws {
            switch self {
            case .cpu: CPUBackend.shared
            case .cuda: try CUDABackend.opened.get()
            }
        }
    }

    /// The type of activations and of their gradients.
    public var activationType: DType { self == .cpu ? .float32 : .bfloat16 }
}

extension Tensor {
    /// Where this tensor lives.
    public var device: Device { storage.device }

    /// The same elements on `device`; this tensor where it is there already.
    public func to(_ device: Device) throws -> Tensor {
        guard device != self.device else { return self }
        let copy = try Tensor.empty(shape, dtype, on: device)
        if let block = storage.block {
            try CUDABackend.opened.get().device.download(
                copy.storage.bytes.baseAddress, from: block.address + UInt64(byteOffset), bytes: byteCount)
        } else if let block = copy.storage.block {
            try withUnsafeBytes { try CUDABackend.opened.get().device.upload($0, to: block.address) }
        }
        return copy
    }
}
