/// The kernel of a ``PointwiseCall``, as text: what of a call the text depends on, from which it follows. Constants and
/// extents are arguments, so that one text serves all.
struct PointwiseText: Hashable {
    /// How an input is read, or a result written.
    enum Form: Hashable {
        /// One element for each of the whole.
        case whole
        /// One for several: spread out, or added up.
        case spread
        /// Added up over elements that stand together.
        case rowSum
    }

    struct Place: Hashable {
        let type: String
        let form: Form
        /// Whether the tensor begins at a multiple of 16 bytes.
        let isAligned: Bool

        init(_ type: DType, _ form: Form, isAligned: Bool) {
            (self.type, self.form, self.isAligned) = (type == .float32 ? "float" : "bf16", form, isAligned)
        }
    }

    /// The name of the kernel in the text.
    static let kernel = "pointwise"

    /// Without the values of constants.
    let program: PointwiseProgram
    let inputs: [Place]
    let results: [Place]
    /// Whether elements are counted in 64 bits.
    let isLong: Bool
    var hasSums: Bool { results.contains { $0.form != .whole } }

    /// The text: 8 elements a thread, grid ceil(count / 2048), block 256; with sums as `Strip` of pointwise.cuh says.
    var text: String {
        var lines = ["#include \"pointwise.cuh\"", "typedef \(isLong ? "int64_t" : "uint32_t") Index;", ""]
        lines.append("__global__ void __launch_bounds__(256) \(Self.kernel)(\(parameters.joined(separator: ", "))) {")
        lines += (hasSums ? rows : elements).map { "    " + $0 }
        lines.append("}")
        return lines.joined(separator: "\n") + "\n"
    }

    private var parameters: [String] {
        var parameters = inputs.enumerated().map { "const \($1.type)* x\($0)" }
        parameters += results.enumerated().map { "\($1.form == .spread ? "float" : $1.type)* y\($0)" }
        parameters += program.constants.indices.map { "float c\($0)" }
        for (index, input) in inputs.enumerated() where input.form == .spread {
            parameters += ["Index inner\(index)", "Index count\(index)"]
        }
        return parameters + (hasSums ? ["int64_t rows, int32_t columns, int32_t unit, int32_t each"] : ["Index count"])
    }

    private var elements: [String] {
        [
            "const Index i = (static_cast<Index>(blockIdx.x) * blockDim.x + threadIdx.x) * 8;",
            "if (i >= count) return;",
            "const Index left = count - i;",
        ] + loads(aligned: "true") + steps + stores(aligned: "true")
    }

    private var rows: [String] {
        let aligned = "aligned"
        var lines = [
            "const Strip strip(rows, columns, unit, each);", "const int32_t units = columns / unit;",
            "const bool aligned = columns % 8 == 0 && unit % 8 == 0;",
        ]
        let sums = results.indices.filter { results[$0].form == .spread }
        lines += sums.map { "Eight sum\($0) = {};" }
        lines += [
            "for (int64_t first = strip.first; first < strip.last; first += blockDim.y) {",
            "    const int64_t row = first + threadIdx.y;",
            "    const int32_t left = row < strip.last ? max(strip.own, 0) : 0;",
            "    const Index i = row * columns + strip.column;",
        ]
        lines += (loads(aligned: aligned) + steps + stores(aligned: aligned)).map { "    " + $0 }
        for (index, result) in results.enumerated() where result.form != .whole {
            lines.append(
                result.form == .spread
                    ? "    add_own(sum\(index), r\(index), left);"
                    : "    store_row_sum(y\(index), r\(index), strip, row, units, left);")
        }
        lines.append("}")
        return lines + sums.map { "store_column_sums(y\($0), sum\($0), strip, columns);" }
    }

    private func loads(aligned: String) -> [String] {
        inputs.enumerated().map { index, input in
            let aligned = input.isAligned ? aligned : "false"
            if input.form == .whole { return "const Eight e\(index) = load_eight(x\(index) + i, left, \(aligned));" }
            let spread = "inner\(index), count\(index), \(aligned)"
            return "const Eight e\(index) = load_spread<Index>(x\(index), i, left, \(spread));"
        }
    }

    private func stores(aligned: String) -> [String] {
        results.enumerated().filter { $0.element.form == .whole }.map { index, _ in
            "store_eight(y\(index) + i, r\(index), left, \(aligned));"
        }
    }

    private var steps: [String] {
        var lines = ["Eight \(results.indices.map { "r\($0)" }.joined(separator: ", "));", "#pragma unroll"]
        lines.append("for (int k = 0; k < 8; k++) {")
        func name(_ value: Int) -> String { value < inputs.count ? "e\(value)[k]" : "v\(value)" }
        var constant = 0
        for (index, step) in program.steps.enumerated() {
            let value = step.operation.text(name(step.first), name(step.second), "c\(constant)")
            if step.operation.hasConstant { constant += 1 }
            lines.append("    const float v\(inputs.count + index) = \(value);")
        }
        lines += program.results.enumerated().map { "    r\($0)[k] = \(name($1));" }
        return lines + ["}"]
    }
}

extension PointwiseProgram {
    /// The constants of the steps that have one, in their order.
    var constants: [Float] { steps.filter(\.operation.hasConstant).map(\.constant) }
}

extension PointwiseOperation {
    /// The operation in CUDA C++, as in pointwise.cuh.
    fileprivate func text(_ a: String, _ b: String, _ c: String) -> String {
        switch self {
        case .add: "\(a) + \(b)"
        case .subtract: "\(a) - \(b)"
        case .multiply: "\(a) * \(b)"
        case .divide: "\(a) / \(b)"
        case .shift: "\(a) + \(c)"
        case .scale: "\(a) * \(c)"
        case .from: "\(c) - \(a)"
        case .over: "\(c) / \(a)"
        case .atLeast: "at_least(\(a), \(c))"
        case .atMost: "at_most(\(a), \(c))"
        case .square: "\(a) * \(a)"
        case .squareRoot: "sqrtf(\(a))"
        case .reciprocalSquareRoot: "1.0f / sqrtf(\(a))"
        case .exp: "expf(\(a))"
        case .log: "logf(\(a))"
        case .sigmoid: "exact_sigmoid(\(a))"
        case .complement: "exact_sigmoid(-\(a))"
        case .logSigmoid: "log_sigmoid(\(a))"
        case .softplus: "softplus(\(a))"
        case .tanh: "tanhf(\(a))"
        case .silu: "act<Silu>(\(a))"
        case .gelu: "act<Gelu>(\(a))"
        case .geluTanh: "act<GeluTanh>(\(a))"
        case .sigmoidSlope: "sigmoid_slope(\(a))"
        case .siluSlope: "act_slope<Silu>(\(a))"
        case .geluSlope: "act_slope<Gelu>(\(a))"
        case .geluTanhSlope: "act_slope<GeluTanh>(\(a))"
        case .whereAbove: "where(\(b) > \(c), \(a), \(b))"
        case .whereBelow: "where(\(b) < \(c), \(a), \(b))"
        }
    }
}
