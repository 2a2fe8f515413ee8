import Tensors

/// How a quantised tensor stands in a safetensors file, which has no type for it: as bytes, a row of the file's tensor
/// for every 16 outputs, with its type and true shape in the header's `__metadata__`:
///
///     "moult.quantised.NAME": "q4 49152 576"        NAME: U8 [3072, 5248]
///
/// Each file describes its own tensors, so that a shard can be read without the others.
struct QuantisedLayout {
    let dtype: DType
    /// Outputs and inputs.
    let shape: [Int]

    /// Before a tensor's name, makes the key of its description.
    static let prefix = "moult.quantised."

    init(dtype: DType, shape: [Int]) {
        self.dtype = dtype
        self.shape = shape
    }

    /// Reads a description; nil when it is none of a tensor that can exist.
    init?(_ text: String) {
        let parts = text.split(separator: " ", omittingEmptySubsequences: false)
        guard parts.count == 3, let dtype = DType(rawValue: String(parts[0])), dtype.isQuantised,
            let outputs = Int(parts[1]), let inputs = Int(parts[2]), outputs > 0,
            dtype.byteCount(of: [outputs, inputs]) != nil
        else { return nil }
        self.init(dtype: dtype, shape: [outputs, inputs])
    }

    var description: String { "\(dtype.rawValue) \(shape.map(String.init).joined(separator: " "))" }

    /// The extents of the bytes: rows for 16 outputs each, and bytes of one.
    var storedShape: [Int] {
        guard let total = dtype.byteCount(of: shape), let row = dtype.byteCount(of: [1, shape[1]]) else {
            return [0, 0]
        }
        return [total / row, row]
    }
}
