import Models
import Support
import Tensors
import TestSupport
import Testing

/// Rows in training that go on with those before them.
@Suite("Rows that carry the state")
struct CarriedRowsTests {
    private let shape = ModelShape(
        "tiny", hidden: 48, mlp: 64, heads: 6, keyValueHeads: 3, headDim: 16, vocabulary: 96)

    private static let (length, count) = (12, 4)

    private let tokens: [Int32] = (0...48).map { (index: Int) in Int32((index * 31 + index / 7) % 96) }

    enum Kind: String, CaseIterable {
        case attention, sliding, slots, window, sinks, wide, heads, ring, divided, unturned

        var window: Int? {
            switch self {
            case .attention, .slots: nil
            case .sliding: 7
            case .wide: 30
            default: 8
            }
        }

        var kept: SoftmaxAttention.Options? {
            switch self {
            case .sinks: .init(sinks: 3)
            case .wide: .init(sinks: 4)
            case .heads: .init(sinks: 4, heads: [0: HeadSet([0, 2])])
            case .ring: .init(window: 17, sinks: 5, heads: [0: HeadSet([1])])
            case .divided: .init(window: 17, sinks: 5, heads: [0: HeadSet([1])], positions: .init(divisor: 2))
            case .unturned: .init(sinks: 5, heads: [0: HeadSet([1])], positions: .init(divisor: nil))
            default: nil
            }
        }
    }

    /// In float32, so that what is the same but for its order differs by little.
    private func model(_ kind: Kind) throws -> DecoderModel {
        let isAttention = kind == .attention || kind == .sliding
        let model = try shape.model(isAttention ? .attention : .slots, window: kind.window, kept: kind.kept)
        var parameters: [String: Tensor] = [:]
        for rule in try DecoderModel.rules(model.configuration) {
            parameters[rule.name] = try model.parameter(rule.name).converted(to: .float32)
        }
        return try DecoderModel(model.configuration, parameters: Parameters(parameters))
    }

    /// A row: its tokens and the one after, its documents, and what its first one had before.
    private struct Row {
        var tokens: [Int32]
        var documents: [Int]
        var before: Int
        var position: Int
    }

    /// The long row cut up, with documents that begin at `starts`.
    private func rows(_ starts: [Int]) -> [Row] {
        (0..<Self.count).map { index in
            let first = index * Self.length, end = first + Self.length
            let own = starts.filter { first..<end ~= $0 }.map { $0 - first }
            return Row(
                tokens: Array(tokens[first...end]), documents: own.first == 0 ? own : [0] + own,
                before: first - (starts.last { $0 <= first } ?? 0), position: first)
        }
    }

    private func hidden(_ model: DecoderModel, _ row: Row, _ carried: CarriedRows) throws -> Tensor {
        try carried.begin(before: [row.before], position: row.position)
        let ids = try Tensor(Array(row.tokens.dropLast()), shape: [1, Self.length])
        return try model.hidden(ids: ids, documents: Documents(row.documents), carried: carried)
    }

    private static let documents = [[0], [0, 5, 30], [0, 12, 13, 36], [0, 1, 23, 25, 47]]

    @Test("are as one long row", arguments: Kind.allCases, documents)
    func longRow(_ kind: Kind, _ starts: [Int]) throws {
        let model = try model(kind)
        let whole = try model.hidden([Array(tokens.dropLast())], documents: Documents(starts)).array()
        let carried = try model.makeCarriedRows(rows: 1, length: Self.length, count: Self.count)
        // A second time: what the first has left must not be seen.
        for _ in 0..<2 {
            let found = try rows(starts).flatMap { row in
                // A layer may be computed again, and once more, before the row is done.
                _ = try hidden(model, row, carried)
                let hidden = try hidden(model, row, carried).array()
                try carried.advance()
                return hidden
            }
            #expect(relativeError(found, whole) < 1e-5)
            #expect(relativeNorm(found, whole) < 1e-5)
        }
    }

    @Test("go on from what was stored, to the bit", arguments: Kind.allCases)
    func stored(_ kind: Kind) throws {
        let (model, rows) = (try model(kind), rows([0, 5, 30]))
        let first = try model.makeCarriedRows(rows: 1, length: Self.length, count: Self.count)
        for row in rows[..<2] {
            _ = try hidden(model, row, first)
            try first.advance()
        }
        let second = try model.makeCarriedRows(rows: 1, length: Self.length, count: Self.count)
        try second.restore(first.snapshot())
        for row in rows[2...] {
            #expect(try hidden(model, row, first).array() == hidden(model, row, second).array())
            try first.advance()
            try second.advance()
        }
        let other = try model.makeCarriedRows(rows: 1, length: Self.length, count: 1)
        guard kind != .slots else { return }
        #expect(throws: ModelError.self) { try other.restore(first.snapshot()) }
    }

    @Test("the last one's gradient is that of its own part, what came before a constant", arguments: Kind.allCases)
    func gradient(_ kind: Kind) throws {
        let base = try self.model(kind), rows = rows([0, 5])
        let names = try DecoderModel.rules(base.configuration).map(\.name)
        var parameters: [String: Tensor] = [:]
        for name in names { parameters[name] = try base.parameter(name) }
        func model(_ tensors: [String: Tensor]) throws -> DecoderModel {
            try DecoderModel(base.configuration, parameters: Parameters(tensors))
        }
        let fixed = try model(parameters)
        let carried = try fixed.makeCarriedRows(rows: 1, length: Self.length, count: Self.count)
        for row in rows.dropLast() {
            _ = try hidden(fixed, row, carried)
            try carried.advance()
        }
        let before = try carried.snapshot(), last = rows[rows.count - 1]
        func loss(_ model: DecoderModel, _ recomputation: Recomputation? = nil) throws -> Double {
            let carried = try model.makeCarriedRows(rows: 1, length: Self.length, count: Self.count)
            try carried.restore(before)
            try carried.begin(before: [last.before], position: last.position)
            let ids = try Tensor(Array(last.tokens.dropLast()), shape: [1, Self.length])
            let hidden = try model.hidden(
                ids: ids, documents: Documents(last.documents), recomputation: recomputation, carried: carried)
            return try hidden.crossEntropy(
                head: model.headWeight, targets: Array(last.tokens.dropFirst()), scale: 1 / Float(Self.length)
            ).reduce(0.0) { $0 + Double($1) } / Double(Self.length)
        }
        func gradients(_ layers: Int) throws -> [String: [Float]] {
            let tape = GradientTape()
            let watched = parameters.mapValues { tape.watch($0) }
            _ = try loss(model(watched), layers > 0 ? Recomputation(tape, layers: layers) : nil)
            try tape.playBack()
            return try watched.mapValues { try $0.gradient?.array() ?? [] }
        }
        let found = try gradients(0)
        #expect(try gradients(1) == found, "with the layer computed again")
        var generator = SplitMix64(seed: 7)
        for _ in 0..<3 {
            let direction: [String: [Float]] = parameters.mapValues { tensor in
                (0..<tensor.count).map { _ in Float.random(in: -1...1, using: &generator) }
            }
            var slope = 0.0
            for (name, values) in direction {
                for (value, gradient) in zip(values, found[name] ?? []) { slope += Double(value) * Double(gradient) }
            }
            func moved(_ step: Float) throws -> Double {
                var tensors = parameters
                for (name, values) in direction {
                    guard let tensor = parameters[name] else { continue }
                    let sum = try zip(tensor.array(Float.self), values).map { $0 + step * $1 }
                    tensors[name] = try Tensor(sum, shape: tensor.shape)
                }
                return try loss(model(tensors))
            }
            let step: Float = 1e-3
            let (near, far) = (try moved(step) - moved(-step), try moved(2 * step) - moved(-2 * step))
            let difference = (8 * near - far) / (12 * Double(step))
            #expect(abs(slope - difference) < 2e-3 + 2e-3 * abs(slope), "\(slope) and \(difference)")
            #expect(abs(slope) > 1e-3)
        }
    }

    @Test("several at once need a GPU")
    func refusals() throws {
        let model = try model(.window)
        #expect(throws: ModelError.self) { try model.makeCarriedRows(rows: 2, length: 4, count: 2) }
        let carried = try model.makeCarriedRows(rows: 1, length: 4, count: 2)
        let ids = try Tensor([Int32(1), 2, 3, 4], shape: [1, 4])
        #expect(throws: ModelError.self) { try model.hidden(ids: ids, carried: carried) }
    }
}
