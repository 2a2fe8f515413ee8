import Models
import Records
import Tensors

/// Finds the key/value heads, or layers, of a student that should keep softmax attention: those that bring the recall of what
/// was read back, given one after the other, the best first (greedily). Heads that retrieve are few (Wu et al. 2024,
/// arXiv 2404.15574), and they show in the student: the teacher without them tells little.
public struct HeadSelection {
    /// How much is selected.
    public struct Options: Sendable, Equatable {
        /// How many heads, or layers, at most.
        public var count = 3
        /// Whether whole layers are selected rather than heads.
        public var wholeLayers = false
        /// All layers are tried on so many of the probe's lists; so many of the best then on all of them.
        var (firstLists, layersWithAllLists) = (4, 8)
        /// Of the layers that help most, in how many the heads are tried one by one.
        var layersWithHeads = 3

        /// What ``count`` may be.
        public static let counts = 1...1024

        /// At most `count` heads, or layers.
        public init(count: Int = 3, wholeLayers: Bool = false) {
            (self.count, self.wholeLayers) = (count, wholeLayers)
        }
    }

    /// Heads of a layer that were tried.
    public typealias Trial = HeadTrial

    /// What a selection gave.
    public struct Result: Sendable, Equatable {
        /// The teacher's score.
        public var teacher: SelectionProbe.Score
        /// The student's score before anything was chosen.
        public var student: SelectionProbe.Score
        /// What was chosen, in order, each with those before it.
        public var chosen: [Trial] = []
        /// All trials of each choice.
        public var rounds: [[Trial]] = []
    }

    private let options: Options
    private let teacher: DecoderModel
    private let probe: SelectionProbe
    private let team: RunTeam
    /// The student with what was chosen.
    private var student: DecoderModel
    private var inputs: [LayerInputs] = []
    private var textInputs: [LayerInputs] = []
    private let teacherTexts: [Tensor]
    private var result: Result
    private let progress: (Int, Int) throws -> Void
    private var done = 0

    /// - Parameters:
    ///   - student: on the teacher's device, with plain weights.
    ///   - team: who selects together, each trying some of the layers and heads; all choose the same.
    ///   - progress: called with trials done and in all; throwing stops all.
    public init(
        _ options: Options, student: DecoderModel, teacher: DecoderModel, probe: SelectionProbe,
        team: RunTeam = RunTeam(), progress: @escaping (Int, Int) throws -> Void
    ) throws {
        (self.options, self.student, self.teacher, self.probe) = (options, student, teacher, probe)
        (self.team, self.progress) = (team, progress)
        func ended(_ tokens: [Int32]) throws -> Tensor {
            try teacher.hidden([tokens]).reshaped([tokens.count, teacher.configuration.decoder.hiddenSize])
        }
        teacherTexts = try probe.texts.map(ended)
        let recall = try team.first(probe.recall(probe.lists.map { try ended($0.tokens) }, of: teacher))
        result = Result(
            teacher: .init(recall: recall, divergence: nil), student: .init(recall: .infinity, divergence: nil))
        try readInputs()
        result.student = try score(student, from: lastLayer)
        result.student.recall = try team.first(result.student.recall)
    }

    /// Below it all of ``student`` has been computed.
    private var lastLayer: Int { student.configuration.decoder.layerCount - 1 }

    /// What reaches the layers of ``student``.
    private mutating func readInputs() throws {
        inputs = try probe.lists.map { try student.layerInputs($0.tokens) }
        textInputs = try probe.texts.map { try student.layerInputs($0) }
    }

    /// Refuses a student in which no head can be told apart.
    /// - Throws: ``TrainingError/option(name:expected:found:)``.
    static func check(_ student: ModelConfiguration) throws {
        let heads = student.decoder.keyValueHeadCount
        let found: String? =
            student.decoder.modelType != "moult"
            ? "one in the fla profile" : heads > HeadSet.mostHeads ? "\(heads) key/value heads" : nil
        guard let found else { return }
        throw TrainingError.option(
            name: "select",
            expected: "a model in Moult's own form with at most \(HeadSet.mostHeads) key/value heads", found: found)
    }

    /// Chooses until recall is the teacher's, nothing helps any more, or ``Options/count`` is reached.
    public mutating func run() throws -> Result {
        var best = result.student.recall
        while result.chosen.count < options.count, best > result.teacher.recall {
            if !result.chosen.isEmpty { try readInputs() }
            let read = try score(student, from: lastLayer, lists: options.firstLists).recall
            // As if the lists that are not read first said the same of a layer.
            let rest = try best - team.first(read)
            let first = try attempts(
                student.configuration.convertedLayers.map { ($0, nil) }, lists: options.firstLists, rest: rest
            ).sorted { $0.score.recall < $1.score.recall }
            let layers = try attempts(first.prefix(options.layersWithAllLists).map { ($0.layer, nil) })
                .sorted { $0.score.recall < $1.score.recall }
            let places = layers.prefix(options.wholeLayers ? 0 : options.layersWithHeads).map(\.layer)
            let singles = try attempts(places.flatMap { layer in try heads(layer).map { (layer, $0) } })
            let all = (layers + first.dropFirst(layers.count)).sorted { $0.layer < $1.layer }
            result.rounds.append(all + singles)
            let candidates = options.wholeLayers ? layers : singles
            guard let choice = candidates.min(by: { $0.score.recall < $1.score.recall }), choice.score.recall < best
            else { break }
            best = choice.score.recall
            result.chosen.append(choice)
            student = try restored(choice)
        }
        try progress(trialsInAll, trialsInAll)
        return result
    }

    /// Trials when as many are chosen as may be.
    private var trialsInAll: Int {
        let converted = student.configuration.convertedLayers.count
        let layers = converted + min(options.layersWithAllLists, converted)
        let heads = options.wholeLayers ? 0 : options.layersWithHeads * student.configuration.decoder.keyValueHeadCount
        return max(done, options.count * (layers + heads))
    }

    private func heads(_ layer: Int) throws -> [Int] {
        try student.configuration.keptHeads(layer).complement(of: student.configuration.decoder.keyValueHeadCount).heads
    }

    /// Tries layers, or single heads of them: each rank some.
    /// - Parameters:
    ///   - lists: how many of the probe's lists are read; nil for all.
    ///   - rest: what is added to the recall.
    private mutating func attempts(
        _ candidates: [(layer: Int, head: Int?)], lists: Int? = nil, rest: Double = 0
    ) throws -> [Trial] {
        var trials = candidates.map {
            Trial(layer: $0.layer, head: $0.head, score: .init(recall: 0, divergence: textInputs.isEmpty ? nil : 0))
        }
        var stop: (any Error)?
        for (number, index) in team.some(of: Array(trials.indices)).enumerated() {
            do { try progress(done + number * team.ranks, trialsInAll) } catch {
                stop = error
                break
            }
            trials[index].score = try score(restored(trials[index]), from: trials[index].layer, lists: lists)
        }
        // All stop where one does.
        let all = try team.sum([stop == nil ? 0 : 1] + trials.flatMap { [$0.score.recall, $0.score.divergence ?? 0] })
        if all[0] > 0 { throw stop ?? RunStopped() }
        for index in trials.indices {
            trials[index].score.recall = all[1 + 2 * index] + rest
            if trials[index].score.divergence != nil { trials[index].score.divergence = all[2 + 2 * index] }
        }
        done += trials.count
        return trials
    }

    private func restored(_ trial: Trial) throws -> DecoderModel {
        let heads = try HeadSet(trial.head.map { [$0] } ?? self.heads(trial.layer))
        let restoration = try HeadRestoration(
            heads, layer: trial.layer, of: student.configuration, student: student.parameter, teacher: teacher.parameter
        )
        return try student.replacing(restoration.configuration, restoration.tensors)
    }

    /// The score of a model that differs from ``student`` in layers from `layer` on.
    private func score(_ model: DecoderModel, from layer: Int, lists: Int? = nil) throws -> SelectionProbe.Score {
        let read = inputs.prefix(lists ?? inputs.count)
        let recall = try probe.recall(read.map { try model.hidden($0, from: layer) }, of: model)
        guard !textInputs.isEmpty else { return .init(recall: recall, divergence: nil) }
        var (sum, count) = (0.0, 0)
        for (inputs, target) in zip(textInputs, teacherTexts) {
            let losses = try model.hidden(inputs, from: layer).klDivergence(
                head: model.headWeight, teacher: target, teacherHead: teacher.headWeight, scale: 1, cap: model.logitCap,
                teacherCap: teacher.logitCap)
            sum += try losses.sum().scalar()
            count += target.shape[0]
        }
        return .init(recall: recall, divergence: sum / Double(count))
    }
}
