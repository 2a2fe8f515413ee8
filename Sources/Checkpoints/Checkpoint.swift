import Tensors

/// One stored tensor.
public struct TensorDescription: Sendable, Equatable {
    /// The Hugging Face name, also for tensors of GGUF files.
    public let name: String
    /// Extents, outermost first.
    public let shape: [Int]
    /// How its elements are stored.
    public let format: StoredFormat
    /// Bytes in the file.
    public let byteCount: Int
    /// The path of the file that holds it.
    public let file: String

    /// Number of elements.
    public var count: Int { shape.reduce(1, *) }
}

/// A readable set of named tensors, memory-mapped: opening reads only headers. Names are Hugging Face's.
///
/// Files must not shrink while they are open: the system ends a program that reads a mapping beyond the end of its file.
/// Replace model files by renaming, as ``SafetensorsWriter`` does.
public protocol Checkpoint: Sendable {
    /// The file or folder that was opened.
    var path: String { get }

    /// All tensors, in the order of the files.
    var tensors: [TensorDescription] { get }

    /// The tensor called `name`; nil when there is none.
    func description(of name: String) -> TensorDescription?

    /// Reads a tensor: in place, without a copy, where it is stored as `dtype` and aligned, and converted otherwise.
    ///
    /// - Parameter dtype: The element type; nil keeps the stored type and turns GGML's quantised ones into float32.
    ///   Floating-point types convert into each other, rounding to nearest, ties to even, and quantised ones into them;
    ///   others do not convert.
    /// - Throws: ``CheckpointError/missingTensor(path:name:)``, ``CheckpointError/conversion(file:name:from:to:)``, or
    ///   `TensorError.outOfMemory`.
    func load(_ name: String, as dtype: DType?) throws -> Tensor

    /// Reads one of the tensors of which `name` is a stack, along its first dimension, without the others.
    func load(_ name: String, number: Int, as dtype: DType?) throws -> Tensor
}

extension Checkpoint {
    /// Reads a tensor as it is stored, or as float32 when it is of one of GGML's quantised types.
    public func load(_ name: String) throws -> Tensor { try load(name, as: nil) }

    public func load(_ name: String, number: Int, as dtype: DType?) throws -> Tensor {
        try load(name, as: dtype).member(number)
    }
}

/// Tensors in file order with a look-up by name; what every kind of checkpoint is made of.
struct TensorTable: Sendable {
    private(set) var stored: [StoredTensor] = []
    private var places: [String: Int] = [:]

    /// - Throws: ``CheckpointError/duplicate(file:name:)``.
    mutating func append(_ tensor: StoredTensor) throws {
        let description = tensor.description
        guard places.updateValue(stored.count, forKey: description.name) == nil else {
            throw CheckpointError.duplicate(file: description.file, name: description.name)
        }
        stored.append(tensor)
    }

    subscript(name: String) -> StoredTensor? { places[name].map { stored[$0] } }

    func load(_ name: String, as dtype: DType?, path: String) throws -> Tensor {
        guard let tensor = self[name] else { throw CheckpointError.missingTensor(path: path, name: name) }
        return try tensor.load(as: dtype)
    }

    func load(_ name: String, number: Int, as dtype: DType?, path: String) throws -> Tensor {
        guard let tensor = self[name] else { throw CheckpointError.missingTensor(path: path, name: name) }
        return try tensor.number(number).load(as: dtype)
    }
}
