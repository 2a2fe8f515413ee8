import CUDAEmulator
import Tensors
import Testing

/// The suites that run on the emulated GPU are nested here: it records the work of one at a time.
@Suite(.serialized, .emulatedGPU) enum CUDATests {}

/// Puts the emulator in the place of the driver, before the GPU is opened.
struct EmulatedGPU: SuiteTrait {
    func prepare(for test: Test) async throws {
        CUDACards.substitute(moult_emulated_cuda(), moult_emulated_nccl())
    }
}

extension Trait where Self == EmulatedGPU {
    static var emulatedGPU: Self { EmulatedGPU() }
}

/// A small generator, so that every run sees the same numbers.
struct Random {
    private var state: UInt64
    init(_ seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 &+ 1 }

    /// Uniform in [-1, 1).
    mutating func float() -> Float {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return Float(state >> 40) / Float(1 << 23) - 1
    }

    /// float32, of numbers that bfloat16 holds too.
    mutating func tensor(_ shape: [Int], scale: Float = 1) throws -> Tensor {
        try Tensor((0..<shape.reduce(1, *)).map { _ in float() * scale }, shape: shape)
            .converted(to: .bfloat16).converted(to: .float32)
    }
}

/// An argument of an operation.
struct Operand {
    enum Kind { case activation, weight, parameter, gates, constant }
    let kind: Kind
    let shape: [Int]
    var scale: Float = 1

    /// float32 on the processor, bfloat16 on a GPU.
    static func activation(_ shape: Int..., scale: Float = 1) -> Self {
        Self(kind: .activation, shape: shape, scale: scale)
    }
    /// bfloat16.
    static func weight(_ shape: Int...) -> Self { Self(kind: .weight, shape: shape) }
    /// float32, as norms, biases and states are.
    static func parameter(_ shape: Int...) -> Self { Self(kind: .parameter, shape: shape) }
    /// float32 from -`scale` to 0: log gates.
    static func gates(_ shape: Int..., scale: Float = 1) -> Self { Self(kind: .gates, shape: shape, scale: scale) }
    /// float32, without a gradient.
    static func constant(_ shape: Int...) -> Self { Self(kind: .constant, shape: shape) }

    /// Values for the processor.
    func values(_ random: inout Random) throws -> Tensor {
        let values = try random.tensor(shape, scale: scale)
        switch kind {
        case .weight: return try values.converted(to: .bfloat16)
        case .gates: return try Tensor(values.array().map { -abs($0) }, shape: shape)
        default: return values
        }
    }
}

/// Runs an operation on the processor and on the GPU, forwards and back from the same gradients of its results, and fails
/// unless results and gradients agree.
func expectAgreement(
    _ what: String, _ operands: [Operand], tolerance: Double = 0.01,
    sourceLocation: SourceLocation = #_sourceLocation, _ operation: ([Tensor]) throws -> [Tensor]
) throws {
    let (expected, found) = (try run(operands, on: .cpu, operation), try run(operands, on: .cuda, operation))
    #expect(found.map(\.0) == expected.map(\.0), "\(what)", sourceLocation: sourceLocation)
    for ((name, expected), (_, found)) in zip(expected, found) {
        #expect(found.device == .cuda && found.shape == expected.shape, "\(what)", sourceLocation: sourceLocation)
        try expectClose(found, expected, tolerance, "\(what), \(name)", sourceLocation: sourceLocation)
    }
}

/// The results of an operation on `device`, and the gradients of its operands from gradients of the results that are the same on all.
func run(
    _ operands: [Operand], on device: Device, _ operation: ([Tensor]) throws -> [Tensor]
) throws -> [(String, Tensor)] {
    var random = Random(7)
    let values = try operands.map { try $0.values(&random) }
    let tape = GradientTape()
    let inputs = try zip(operands, values).map { operand, tensor in
        let tensor = try operand.kind == .activation ? tensor.converted(to: device.traits.precision.dtype) : tensor
        return try operand.kind == .constant ? tensor.to(device) : tape.watch(tensor.to(device))
    }
    let results = try operation(inputs)
    for result in results {
        let gradient = try random.tensor(result.shape)
        try result.variable?.begin(with: gradient.converted(to: result.dtype).to(device))
    }
    try tape.playBack()
    return results.enumerated().map { ("result \($0)", $1) }
        + inputs.enumerated().compactMap { index, input in
            input.variable?.gradient.map { ("gradient \(index)", $0) }
        }
}

/// Elements as float64.
func doubles(_ tensor: Tensor) throws -> [Double] {
    try tensor.to(.cpu).converted(to: .float32).array(Float.self).map(Double.init)
}

/// Fails unless the difference's root mean square is at most `tolerance` of that of the expected elements, and no element is
/// off by more than five times as much of its own size and its row's, or all rows'.
func expectClose(
    _ found: Tensor, _ expected: Tensor, _ tolerance: Double, _ what: String,
    sourceLocation: SourceLocation = #_sourceLocation
) throws {
    let width = max(1, expected.shape.last ?? 1)
    let (found, expected) = (try doubles(found), try doubles(expected))
    func size(_ values: [Double]) -> Double {
        (values.reduce(0) { $0 + $1 * $1 } / Double(max(1, values.count))).squareRoot()
    }
    let differences = zip(found, expected).map(-)
    // What is zero but for rounding is compared with that. The processor's own rounding depends on its kernels, which other
    // suites switch meanwhile.
    let scale = max(size(expected), 2e-6)
    let (error, limit) = (size(differences) / scale, 5 * tolerance)
    // An embedding's gradient is large in the rows of a few tokens, and their rounding is that of their own elements.
    let rows = stride(from: 0, to: expected.count, by: width).map { max(size(Array(expected[$0..<$0 + width])), scale) }
    let worst = differences.indices.first {
        !(abs(differences[$0]) <= limit * (rows[$0 / width] + abs(expected[$0])))
    }
    #expect(
        error <= tolerance && worst == nil,
        "\(what): \(error); \(worst.map { "\(found[$0]) for \(expected[$0]) at \($0), " } ?? "")rms \(scale)",
        sourceLocation: sourceLocation)
}
