/// A dense, contiguous, row-major array with value semantics: copies share storage until one of them is written.
public struct Tensor: Sendable {
    /// Extents, outermost first. An empty shape is a scalar.
    public let shape: [Int]
    /// The type of the elements.
    public let dtype: DType
    var storage: Storage
    /// Where this tensor's first element lies in `storage`, in bytes.
    private(set) var byteOffset: Int
    /// What ties the tensor to a ``GradientTape``; nil when nobody asks for its gradient.
    public private(set) var variable: Variable?

    init(shape: [Int], dtype: DType, storage: Storage, byteOffset: Int = 0) {
        self.shape = shape
        self.dtype = dtype
        self.storage = storage
        self.byteOffset = byteOffset
    }

    /// Number of elements.
    public var count: Int { shape.reduce(1, *) }
    /// Bytes of the elements.
    public var byteCount: Int {
        // A tensor that exists has a byte count.
        dtype.isQuantised ? dtype.byteCount(of: shape) ?? 0 : count * dtype.size
    }
    /// Number of extents; 0 of a scalar.
    public var rank: Int { shape.count }

    // MARK: Making tensors

    /// An uninitialised tensor; for code that writes every element.
    /// - Throws: ``TensorError/outOfMemory(bytes:)``, or ``TensorError/shape(operation:argument:expected:found:)`` when
    ///   an extent is negative or the byte count does not fit an Int.
    public static func empty(
        _ shape: [Int], _ dtype: DType = .float32, on device: Device = .cpu, in memory: MemoryKind = .device
    ) throws -> Tensor {
        try empty(shape, dtype, in: device.runtime, memory)
    }

    static func empty(
        _ shape: [Int], _ dtype: DType, in runtime: some DeviceRuntime, _ memory: MemoryKind = .device
    ) throws -> Tensor {
        Tensor(shape: shape, dtype: dtype, storage: try runtime.allocate(byteCount(of: shape, dtype), in: memory))
    }

    private static func byteCount(of shape: [Int], _ dtype: DType) throws -> Int {
        guard let bytes = dtype.byteCount(of: shape) else {
            let expected = "extents that memory can hold"
            throw TensorError.shape(
                operation: "Tensor", argument: "shape",
                expected: dtype.isQuantised
                    ? "[outputs, inputs] of \(dtype.rawValue), inputs a multiple of 32, with \(expected)" : expected,
                found: shape)
        }
        return bytes
    }

    /// A tensor whose bytes are all zero.
    public static func zeros(
        _ shape: [Int], _ dtype: DType = .float32, on device: Device = .cpu, in memory: MemoryKind = .device
    ) throws -> Tensor {
        try zeros(shape, dtype, in: device.runtime, memory)
    }

    static func zeros(
        _ shape: [Int], _ dtype: DType, in runtime: some DeviceRuntime, _ memory: MemoryKind = .device
    ) throws -> Tensor {
        let tensor = try empty(shape, dtype, in: runtime, memory)
        try tensor.clear()
        return tensor
    }

    /// A tensor of `shape` holding `values` in row-major order.
    /// - Throws: ``TensorError/shape(operation:argument:expected:found:)`` when the counts differ.
    public init<Element: TensorElement>(_ values: [Element], shape: [Int]) throws {
        guard try Tensor.byteCount(of: shape, Element.dtype) == values.count * Element.dtype.size else {
            throw TensorError.shape(
                operation: "Tensor", argument: "shape", expected: "\(values.count) elements", found: shape)
        }
        self = try Tensor.empty(shape, Element.dtype)
        values.withUnsafeBytes { storage.bytes.copyMemory(from: $0) }
    }

    /// A tensor that reads `memory` in place. `owner` keeps the memory alive and must not change it.
    public init(borrowing memory: UnsafeRawBufferPointer, shape: [Int], dtype: DType, owner: any Sendable) throws {
        guard try Tensor.byteCount(of: shape, dtype) == memory.count else {
            throw TensorError.shape(
                operation: "Tensor", argument: "shape", expected: "\(memory.count) bytes of \(dtype.rawValue)",
                found: shape)
        }
        self.init(shape: shape, dtype: dtype, storage: Storage(borrowing: memory, owner: owner))
    }

    /// A tensor of bytes that `body` writes, every one: for types that no ``TensorElement`` stands for.
    package init(
        _ shape: [Int], _ dtype: DType, writing body: (UnsafeMutableRawBufferPointer) throws -> Void
    ) throws {
        self = try Tensor.empty(shape, dtype)
        try body(storage.bytes)
    }

    // MARK: Reading and writing

    /// Calls `body` with the tensor's bytes, or with a copy of those of a GPU.
    public func withUnsafeBytes<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) throws -> Result {
        guard let bytes = storage.hostBytes else { return try to(.cpu).withUnsafeBytes(body) }
        return try withExtendedLifetime(storage) {
            try body(
                UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(bytes)[byteOffset..<byteOffset + byteCount]))
        }
    }

    /// Calls `body` with the tensor's elements. The element type must be the tensor's own.
    public func withElements<Element: TensorElement, Result>(
        _ type: Element.Type, _ body: (UnsafeBufferPointer<Element>) throws -> Result
    ) throws -> Result {
        guard dtype == Element.dtype else {
            throw TensorError.dtype(
                operation: "withElements", argument: "tensor", expected: Element.dtype.rawValue, found: dtype)
        }
        return try withUnsafeBytes { try body($0.bindMemory(to: Element.self)) }
    }

    /// Calls `body` with the tensor's elements for writing, after copying them if they are shared or borrowed.
    public mutating func withMutable<Element: TensorElement, Result>(
        _ type: Element.Type, _ body: (UnsafeMutableBufferPointer<Element>) throws -> Result
    ) throws -> Result {
        guard dtype == Element.dtype else {
            throw TensorError.dtype(
                operation: "withMutable", argument: "tensor", expected: Element.dtype.rawValue, found: dtype)
        }
        guard storage.hostBytes != nil else {
            var host = try to(.cpu)
            defer { self = host }
            return try host.withMutable(type, body)
        }
        try makeUnique()
        let bytes = UnsafeMutableRawBufferPointer(rebasing: storage.bytes[byteOffset..<byteOffset + byteCount])
        return try withExtendedLifetime(storage) { try body(bytes.bindMemory(to: Element.self)) }
    }

    /// Gives the tensor memory of its own, before that is written, where others hold it too.
    mutating func makeUnique() throws {
        if storage.owner == nil, isKnownUniquelyReferenced(&storage) { return }
        let runtime = storage.runtime
        let copy = try runtime.allocate(byteCount, in: memory)
        try runtime.copy(storage, at: byteOffset, count: byteCount, to: copy, at: 0)
        storage = copy
        byteOffset = 0
    }

    /// Overwrites the elements in place, wherever they are: for the inputs of recorded work, which reads this memory.
    public func overwrite<Element: TensorElement>(_ values: [Element]) throws {
        guard dtype == Element.dtype, count == values.count else {
            throw TensorError.shape(
                operation: "overwrite", argument: "values", expected: "\(count) of \(dtype.rawValue)",
                found: [values.count])
        }
        try values.withUnsafeBytes { try storage.runtime.write($0, to: storage, at: byteOffset) }
    }

    /// Fills the elements with zeros in place, as ``overwrite(_:)`` does with values.
    package func clear() throws { try storage.runtime.zero(storage, at: byteOffset, count: byteCount) }

    /// The elements in row-major order.
    /// - Throws: ``TensorError/dtype(operation:argument:expected:found:)`` when `type` is not the tensor's own.
    public func array<Element: TensorElement>(_ type: Element.Type = Float.self) throws -> [Element] {
        try withElements(type) { Array($0) }
    }

    // MARK: Views

    /// The same elements under another shape of the same count. Quantised tensors have no views.
    public func reshaped(_ shape: [Int]) throws -> Tensor {
        try requirePlain("reshaped", "tensor")
        guard try Tensor.byteCount(of: shape, dtype) == byteCount else {
            throw TensorError.shape(
                operation: "reshaped", argument: "tensor", expected: "as many elements as \(shape)", found: self.shape)
        }
        return Tensor(shape: shape, dtype: dtype, storage: storage, byteOffset: byteOffset).recorded(of: self) {
            [variable, shape = self.shape] in try variable?.add($0.reshaped(shape))
        }
    }

    /// Rows `range` along the first dimension, without a copy. Quantised tensors have no views.
    public func rows(_ range: Range<Int>) throws -> Tensor {
        try requirePlain("rows", "tensor")
        guard let first = shape.first, range.lowerBound >= 0, range.upperBound <= first else {
            throw TensorError.range(
                operation: "rows", argument: "range", expected: "within \(shape)", found: "\(range)")
        }
        let stride = shape.dropFirst().reduce(dtype.size, *)
        return Tensor(
            shape: [range.count] + shape.dropFirst(), dtype: dtype, storage: storage,
            byteOffset: byteOffset + range.lowerBound * stride
        ).recorded(of: self) { gradient in
            try withGradient { sum in
                try sum.withMutable(Float.self) { sum in
                    try gradient.withElements(Float.self) { gradient in
                        let first = range.lowerBound * (stride / dtype.size)
                        for (index, value) in gradient.enumerated() { sum[first + index] += value }
                    }
                }
            }
        }
    }

    /// The same elements, tied to `variable` instead of this tensor's own.
    func carrying(_ variable: Variable?) -> Tensor {
        var copy = self
        copy.variable = variable
        return copy
    }
}
