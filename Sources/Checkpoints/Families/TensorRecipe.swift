import Tensors

/// How a tensor of the decoder is made of a file's: what a family's files have otherwise than Llama's.
public indirect enum TensorRecipe: Sendable, Equatable {
    /// The file's tensor of this name.
    case stored(String)
    /// Of another's rows, its first dimension, those of these numbers in this order.
    case rows(TensorRecipe, [Int])
    /// One of the tensors of which another is a stack, along its first dimension.
    case member(TensorRecipe, Int)
    /// A matrix whose rows are another's columns.
    case transposed(TensorRecipe)
    /// Another's elements · `scale` + `shift`, float32.
    case scaled(TensorRecipe, by: Float, plus: Float)
    /// Of the softmax over another's rows, element by element, the sum of rows 1 to `row`; a vector, float32.
    case softmaxSum(TensorRecipe, through: Int)

    /// The tensor of the file that it takes.
    public var source: String {
        switch self {
        case .stored(let name): name
        case .rows(let part, _), .member(let part, _), .transposed(let part), .scaled(let part, _, _),
            .softmaxSum(let part, _):
            part.source
        }
    }

    /// In words, for reports: "rows of model.layers.0.self_attn.qkv_proj.weight".
    public var summary: String { text { "number \($0)" } }

    /// The same of all members of a stack together: "each of model.layers.0.mlp.experts.up_proj.weight".
    public var kind: String { text { _ in "each" } }

    private func text(_ member: (Int) -> String) -> String {
        switch self {
        case .stored(let name): name
        case .rows(let part, let rows):
            rows == Array((rows.first ?? 0)..<(rows.first ?? 0) + rows.count)
                ? "rows \(rows.first ?? 0) to \((rows.last ?? 0)) of \(part.text(member))"
                : "\(rows.count) rows of \(part.text(member)), in another order"
        case .member(let part, let number): "\(member(number)) of \(part.text(member))"
        case .transposed(let part): "\(part.text(member)), transposed"
        case .scaled(let part, let scale, let shift):
            part.text(member) + (scale == 1 ? "" : " · \(scale)") + (shift == 0 ? "" : " + \(shift)")
        case .softmaxSum(let part, let row): "softmax of \(part.text(member)), rows 1 to \(row) added"
        }
    }

    /// The shape of the result; nil where the parts do not fit.
    func shape(_ stored: (String) -> [Int]?) -> [Int]? {
        switch self {
        case .stored(let name): return stored(name)
        case .rows(let part, let rows):
            guard let shape = part.shape(stored), let count = shape.first, rows.allSatisfy({ (0..<count).contains($0) })
            else { return nil }
            return [rows.count] + shape.dropFirst()
        case .member(let part, let number):
            guard let shape = part.shape(stored), shape.count > 1, (0..<shape[0]).contains(number) else { return nil }
            return Array(shape.dropFirst())
        case .transposed(let part):
            guard let shape = part.shape(stored), shape.count == 2 else { return nil }
            return [shape[1], shape[0]]
        case .scaled(let part, _, _): return part.shape(stored)
        case .softmaxSum(let part, let row):
            guard let shape = part.shape(stored), shape.count == 2, (0..<shape[0]).contains(row) else { return nil }
            return [shape[1]]
        }
    }

    /// Whether its elements are float32, whatever the file's are.
    var isWide: Bool {
        switch self {
        case .stored: false
        case .rows(let part, _), .member(let part, _), .transposed(let part): part.isWide
        case .scaled, .softmaxSum: true
        }
    }

    /// The tensor, in the type `dtype`; nil for the file's.
    func load(_ checkpoint: any Checkpoint, as dtype: DType?) throws -> Tensor {
        switch self {
        case .stored(let name): return try checkpoint.load(name, as: dtype)
        case .rows(let part, let rows): return try part.load(checkpoint, as: dtype).gatheringRows(rows)
        case .member(.stored(let name), let number): return try checkpoint.load(name, number: number, as: dtype)
        case .member(let part, let number): return try part.load(checkpoint, as: dtype).member(number)
        case .transposed(let part): return try part.load(checkpoint, as: dtype).transposedMatrix()
        case .scaled(let part, let scale, let shift):
            let values = try part.load(checkpoint, as: .float32)
            let tensor = try Tensor(values.array(Float.self).map { $0 * scale + shift }, shape: values.shape)
            return try dtype.map { try tensor.converted(to: $0) } ?? tensor
        case .softmaxSum(let part, let row):
            let sums = try part.load(checkpoint, as: .float32).softmaxSums(through: row)
            return try dtype.map { try sums.converted(to: $0) } ?? sums
        }
    }
}
