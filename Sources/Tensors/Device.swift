/// Where tensors live and operations run.
public enum Device: String, Sendable, CaseIterable {
    case cpu

    /// The operations of this device.
    public var backend: any Backend {
        switch self {
        case .cpu: CPUBackend.shared
        }
    }
}

extension Tensor {
    /// Where this tensor lives.
    public var device: Device { .cpu }
}
