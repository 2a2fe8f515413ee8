import Conversion
import Models

/// What follows from the phases of a run alone: how long it is, what its stages have had in a state, and whether it can be in one.
struct TrainingCourse {
    let phases: [TrainingPhase]
    /// The student before the run.
    let start: ModelConfiguration
    /// Updates that may be skipped in a row.
    let patience: Int

    /// Steps of the whole run, less what stages were cut short by.
    func totalSteps(in state: TrainingState) -> Int { phases.indices.reduce(0) { $0 + steps(of: $1, in: state) } }

    /// Steps of a stage, of which a plateau may have taken some.
    private func steps(of index: Int, in state: TrainingState) -> Int {
        state.shortened.first { $0.stage == index }?.steps ?? phases[index].steps
    }

    /// What each stage has had.
    func stages(in state: TrainingState) -> [ModelRecord.Training.Stage] {
        phases.prefix(state.stage + 1).enumerated().reduce(into: []) { stages, entry in
            let (index, phase) = entry
            let steps = index < state.stage ? self.steps(of: index, in: state) : state.stageStep
            guard steps > 0 || phase.stage.kind == .select && index < state.stage else { return }
            let tokens = steps * phase.tokensPerStep
            // The parts of a stage that trains some layers after others are one.
            if !phase.isFirst, let last = stages.indices.last {
                stages[last].tokens += tokens
                stages[last].steps += steps
            } else {
                stages.append(
                    .init(
                        name: phase.stage.kind.rawValue, tokens: tokens, steps: steps, rowLength: phase.stage.length,
                        adapterRank: phase.stage.lowRank.rank > 0 ? phase.stage.lowRank.rank : nil))
            }
        }
    }

    /// Whether the run can be in `state`: everything in it but what gradients and losses made of it follows from the stage.
    func isPossible(_ state: TrainingState) -> Bool {
        guard (0...phases.count).contains(state.stage) else { return false }
        let limit = state.stage < phases.count ? phases[state.stage].steps : 0
        let places = state.shortened.map(\.stage)
        guard places == Set(places).sorted(),
            state.shortened.allSatisfy({ stage, steps in
                (0..<state.stage).contains(stage) && (1...max(1, phases[stage].steps)).contains(steps)
            })
        else { return false }
        guard (0...limit).contains(state.stageStep) else { return false }
        let done = zip((0..<state.stage).map { steps(of: $0, in: state) } + [state.stageStep], phases)
        let rows = done.reduce(0) { $0 + $1.0 * $1.1.rowsPerStep }
        let tokens = done.reduce(0) { $0 + $1.0 * $1.1.tokensPerStep }
        return state.step == done.reduce(0) { $0 + $1.0 } && state.rows == rows
            && state.tokens == tokens && state.skipped <= state.step
            && state.skippedInARow <= min(state.skipped, patience) && state.bestLoss?.isFinite ?? true
            && canKeep(state.kept)
    }

    /// Whether `heads` are heads of the student without softmax attention, each once, and no more than stages ask for.
    private func canKeep(_ heads: [KeptHead]) -> Bool {
        let asked = phases.filter { $0.stage.kind == .select }.reduce(0) { $0 + $1.stage.tokens }
        return heads.count <= asked && Set(heads).count == heads.count
            && heads.allSatisfy {
                (0..<start.decoder.layerCount).contains($0.layer)
                    && (0..<start.decoder.keyValueHeadCount).contains($0.head)
                    && (try? start.keptHeads($0.layer).contains($0.head)) == false
            }
    }
}
