import Foundation
import Models
import Records

/// Writes what happens in a run to its folder: metrics.jsonl and event files for TensorBoard.
final class RunRecorder {
    private let log: MetricsLog
    private let board: TensorBoardWriter
    private let layers: Int
    private var memory: MetricsEvent.Memory
    private let teacher: HeldRows.Result?
    private let teacherRecall: [HeldRecall.Result]
    private var step = 0

    /// - Parameters:
    ///   - start: the first line; a run that is resumed loses what came after the step that it resumes from.
    ///   - layers: of the model.
    ///   - teacher: what the teacher makes of the rows on which the student is measured.
    ///   - recall: what it answers of the questions that the student is asked.
    init(
        _ folder: RunFolder, start: MetricsEvent.Start, memory: MetricsEvent.Memory, layers: Int,
        teacher: HeldRows.Result?, recall: [HeldRecall.Result]
    ) throws {
        log = try MetricsLog(path: folder.metricsPath, keepingStepsUpTo: start.resumedFrom)
        // From its beginning a run measures again.
        board = try TensorBoardWriter(
            folder: folder.tensorBoardFolder, purgingFrom: start.resumedFrom.map { $0 > 0 ? $0 + 1 : 0 })
        (self.memory, teacherRecall) = (memory, recall)
        (self.layers, self.teacher, step) = (layers, teacher, start.resumedFrom ?? 0)
        try write(.start(start))
        try write(.memory(memory))
    }

    func record(_ event: TrainingEvent) throws {
        switch event {
        case .step(let it):
            step = it.step
            try write(
                .step(
                    MetricsEvent.Step(
                        step: it.step, stage: it.stage.rawValue, stageStep: it.stageStep, tokens: it.tokens,
                        loss: it.loss, learningRate: it.learningRate, gradientNorm: it.gradientNorm,
                        tokensPerSecond: it.tokensPerSecond, skipped: it.skipped, seconds: it.seconds,
                        deviceBytes: it.deviceBytes)))
        case .alignment(let step, let errors):
            try write(.alignment(MetricsEvent.Alignment(step: step, layers: (0..<layers).map { errors[$0] })))
        case .measured(let it):
            try write(
                .validation(
                    MetricsEvent.Validation(
                        step: it.step, stage: it.stage.rawValue, tokens: it.tokens, loss: it.loss, isBest: it.isBest)))
            if !it.recall.isEmpty { try write(.recall(recall(it))) }
            // At once, and not at the run's end: a run that is killed between the two has no step left to measure.
            guard it.isLast else { return }
            try write(
                .positions(
                    MetricsEvent.Positions(
                        step: it.step, ranges: it.result.ranges, teacher: teacher?.lossByRange.map { exp($0) },
                        student: it.result.lossByRange.map { exp($0) })))
        case .noticed(let notice): try write(.notice(MetricsEvent.Notice(notice)))
        case .selected(let result, let step, let cost):
            try write(.selection(MetricsEvent.Selection(result, step: step)))
            memory.student = cost
            try write(.memory(memory))
        case .planned(let plans): for plan in plans { try write(.plan(MetricsEvent.Plan(plan))) }
        case .stageEnded(let kind, let step):
            try write(.stageEnd(MetricsEvent.StageEnd(step: step, stage: kind.rawValue)))
        case .ended(let complete):
            try write(.end(MetricsEvent.End(step: step, reason: complete ? "complete" : "stopped")))
        case .started, .asking, .selecting, .saved, .warning: break
        }
    }

    private func recall(_ it: TrainingEvent.Measurement) -> MetricsEvent.Recall {
        MetricsEvent.Recall(
            step: it.step, chance: HeldRecall.chance,
            answers: it.recall.map { own in
                .init(
                    length: own.length, questions: own.questions, student: own.accuracy,
                    teacher: teacherRecall.first { $0.length == own.length }?.accuracy)
            })
    }

    /// The last line of a run that an error ended.
    func failed(_ error: any Error) { try? write(.end(MetricsEvent.End(step: step, reason: "\(error)"))) }

    private func write(_ event: MetricsEvent) throws {
        try log.append(event)
        try board.append(event)
    }
}

extension MetricsEvent.Plan {
    fileprivate init(_ plan: StagePlan) {
        self.init(
            stage: plan.stage.rawValue, deviceBytes: plan.device.total, hostBytes: plan.host.total,
            recomputedLayers: plan.recomputedLayers, tokensPerSecond: plan.tokensPerSecond)
    }
}
