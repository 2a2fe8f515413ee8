import Models
import Tensors

/// How fast stages should go.
extension StagePlanner {
    /// The share of the speed of its matrix products alone that a step has: measured, see docs/scaling.md.
    private static let share = 0.6
    /// Bytes a second that a GPU copies from the host's memory, and that AdamW reads and writes there together: of PCI Express 5 with 16
    /// lanes.
    private static let (copied, updated) = (55e9, 83e9)

    /// Says of each plan how many tokens a second should be trained on, by the speed of a product of the model's own. Nothing is said
    /// of devices that do not work aside, whose time left is soon known.
    func addSpeeds(to plans: inout [StagePlan], of student: TrainableModel) throws {
        guard device.traits.worksAside, let speed = try productSpeed(student) else { return }
        for (index, phase) in try TrainingPhase.list(configuration, of: model).enumerated() {
            let plan = plans[index], tokens = Double(phase.tokensPerStep)
            guard plan.operationsPerToken > 0 else { continue }
            let batches = try RowShare(phase.stage, rank: 0, of: ranks).batches.count
            let seconds =
                tokens * plan.operationsPerToken / (Self.share * Double(ranks) * speed)
                + 2 * Double(plan.host.optimiser) / Self.updated
                + Double(batches * plan.host.teacher) / Self.copied
            plans[index].tokensPerSecond = tokens / seconds
        }
    }

    /// Multiplications and additions a second of rows of the model's width with its largest matrix of a layer.
    private func productSpeed(_ student: TrainableModel) throws -> Double? {
        let width = model.decoder.hiddenSize
        let matrices = rules.filter {
            $0.shape.count == 2 && $0.shape[1] == width && $0.shape[0] != model.decoder.vocabularySize
        }
        guard let rule = matrices.max(by: { $0.count < $1.count }) else { return nil }
        let weight = try student.weight(rule.name), table = try student.weight(model.names.embedding)
        let x = try table.rows(0..<min(table.shape[0], 8192))
        func seconds(_ passes: Int) throws -> Double {
            let start = ContinuousClock.now
            var y = x
            for _ in 0..<passes { y = try x.linear(weight) }
            // Read when all of it is done.
            _ = try y.rows(0..<1).to(.cpu)
            return start.duration(to: .now) / .seconds(1)
        }
        _ = try seconds(2)
        let passes = 10
        return 2 * Double(passes * x.shape[0] * rule.count) / (try seconds(passes))
    }
}
