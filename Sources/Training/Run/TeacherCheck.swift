import Checkpoints
import Conversion
import Foundation
import Models
import Tokenizers

/// Whether a teacher fits a student, as far as their headers, tokenizers and a few weights tell: asked before anything is
/// made or computed.
struct TeacherCheck {
    let student: ModelFiles
    let teacher: ModelFiles
    let record: ModelRecord
    let stages: [StageConfiguration]

    /// - Returns: how far the teacher's weights are from those that the student was made from; nil when there is nothing to
    ///   compare. See ``WeightSamples/difference(to:)``.
    /// - Throws: ``TrainingError/teacher(path:expected:found:)``.
    func run(tokenizer: Tokenizer) throws -> Double? {
        try checkKind()
        try checkShape()
        try checkTokenizer(tokenizer)
        return try checkWeights()
    }

    private func refusal(_ expected: String, _ found: String) -> TrainingError {
        .teacher(path: teacher.path, expected: expected, found: found)
    }

    /// Whether a stage goes by the teacher's mixers, and not by its predictions alone.
    private var takesOver: Bool { stages.contains { $0.kind == .align || $0.kind == .select } }

    private func checkKind() throws {
        let mixers = try ModelConfiguration(teacher.configuration).mixers
        let converted = mixers.filter { $0 != SoftmaxAttention.name }
        guard let mixer = converted.first else { return }
        throw refusal(
            "a teacher with softmax attention in every layer: the Transformer that the model was made from",
            "a converted model, \(converted.count) of its \(mixers.count) layers '\(mixer)'")
    }

    private func checkShape() throws {
        let (own, other) = (student.configuration, teacher.configuration)
        let sizes: [(String, Int, Int)] = [
            ("layers", own.layerCount, other.layerCount), ("hidden size", own.hiddenSize, other.hiddenSize),
            ("MLP width", own.intermediateSize, other.intermediateSize),
            ("experts", own.experts?.count ?? 0, other.experts?.count ?? 0),
            ("experts of a token", own.experts?.active ?? 0, other.experts?.active ?? 0),
            ("expert width", own.experts?.width ?? 0, other.experts?.width ?? 0),
            ("layers with experts", own.expertLayers.count, other.expertLayers.count),
            ("heads", own.headCount, other.headCount),
            ("key/value heads", own.keyValueHeadCount, other.keyValueHeadCount),
            ("head dim", own.headDim, other.headDim), ("vocabulary", own.vocabularySize, other.vocabularySize),
        ]
        for (name, expected, found) in sizes where expected != found {
            throw refusal("\(name) \(expected), as the model has", "\(name) \(found)")
        }
        // Positions of alignment are the teacher's; the fla profile has none of its own.
        guard ParameterNames(modelType: own.modelType) != .flashLinearAttention, takesOver else { return }
        let (expected, found) = (DecoderRotary(own).frequencies, DecoderRotary(other).frequencies)
        let isSame = zip(expected, found).allSatisfy { abs($0 - $1) <= 1e-3 * abs($0) }
        guard isSame else {
            throw refusal(
                "the model's rotary positions, theta \(Self.text(own)), which stage align learns by",
                "theta \(Self.text(other))")
        }
    }

    private static func text(_ configuration: DecoderConfiguration) -> String {
        String(format: "%g", configuration.ropeTheta) + (configuration.ropeScaling == nil ? "" : " with scaling")
    }

    /// Characters of all sorts, which other tokenizers than equal ones cut differently.
    private static let sample =
        "The quick brown fox \u{201C}na\u{EF}ve\u{201D} caf\u{E9}, \u{65E5}\u{672C}\u{8A9E} \u{1F98A}!\n\n"
        + "\tif (a[0] != b) { return 42; }  // It's 2026-01-31, isn't it? x1 = 3.14159e-26\n"
        + "unbelievably UNBELIEVABLY, Donaudampfschifffahrt; \u{43F}\u{440}\u{438}\u{432}\u{435}\u{442}\n"

    private func checkTokenizer(_ tokenizer: Tokenizer) throws {
        guard let other = try Tokenizer.load(teacher) else { return }
        let expected = try tokenizer.encode(Self.sample, addSpecialTokens: false)
        let found = try other.encode(Self.sample, addSpecialTokens: false)
        guard expected != found else { return }
        let same = zip(expected, found).prefix { $0 == $1 }.count
        throw refusal(
            "the model's tokenizer", "another, which gives a sample text other tokens from its token \(same + 1) on")
    }

    private func checkWeights() throws -> Double? {
        let layers = student.configuration.layerCount
        let samples = try record.conversion?.samples ?? WeightSamples(of: student.checkpoint, layers: layers)
        let difference = samples.difference(to: try WeightSamples(of: teacher.checkpoint, layers: layers))
        guard let difference, difference > WeightSamples.relationLimit,
            takesOver
        else { return difference }
        throw refusal(
            "the Transformer that the model was made from, or a relative of it, for stage align",
            "another model's weights: those of the MLPs differ by \(WeightSamples.percent(difference))")
    }
}
