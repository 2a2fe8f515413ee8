/// What those who use a device may know of it before it is used. They ask for these, not for the device's name.
public struct DeviceTraits: Sendable {
    /// What its operations compute in, the one that is taken unless another is asked for first.
    public let precisions: [Precision]
    /// How states on it may hold keys and values, the one that is taken unless another is asked for first.
    public let cacheTypes: [CacheType]
    /// The one type of weight matrices that its products read; nil where they read all.
    public let matrixType: DType?
    /// Whether work is recorded once, by ``Device/record(_:)``, and then done again and again in the same memory.
    public let recordsWork: Bool
    /// Whether rows of one length are read side by side, (B, T), whatever they hold, and one state is that of several
    /// sequences. Otherwise a row with several documents is read by itself, and sequences of any lengths decode together.
    public let readsInStep: Bool
    /// Whether the host goes on while it works.
    public let worksAside: Bool
    /// Whether devices of several processes add up and hand out tensors among themselves.
    public let joinsGroups: Bool
    /// Whether it has memory of its own, beside which its tensors may lie in the host's.
    public let hasOwnMemory: Bool
    /// Whether it is tens of times as fast as a processor, so that recipes are longer.
    public let isAccelerator: Bool

    /// The type in which products read a weight matrix that files hold as `stored`.
    public func weightType(of stored: DType) -> DType { matrixType ?? stored }

    /// How keys and values are held where `asked` is asked for.
    public func cacheType(_ asked: CacheType) -> CacheType {
        cacheTypes.first { $0 == asked } ?? cacheTypes.first ?? .float32
    }

    /// What is computed in unless another precision is asked for.
    public var precision: Precision { precisions.first ?? .float32 }
}

extension Device {
    /// `asked`, or else what this device computes in.
    /// - Throws: ``TensorError/precision(_:device:)`` when the device does not compute in it.
    public func precision(_ asked: Precision?) throws -> Precision {
        guard let asked else { return traits.precision }
        guard traits.precisions.contains(asked) else { throw TensorError.precision(asked, device: self) }
        return asked
    }
}
