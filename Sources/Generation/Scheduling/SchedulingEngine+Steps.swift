import Models
import Tensors
import Tokenizers

/// Steps of the sequences that run, and what becomes of these.
extension SchedulingEngine {
    /// Generates a token of as many running sequences as there is room for. A device that works aside is given the next step
    /// before the tokens of this one are told.
    func decode() {
        let start = ContinuousClock.now
        let rows = begun.isEmpty ? begin() : begun
        begun = []
        guard !rows.isEmpty else { return }
        let going = pick(rows)
        if model.device.traits.worksAside { begun = begin() }
        for sequence in going { tell(sequence) }
        statistics.sequenceBytes = rows.map(\.state.byteCount).max() ?? 0
        running.removeAll(where: \.isOver)
        lastStep = (.now, start.duration(to: .now))
    }

    /// Begins a step of those who are ready.
    private func begin() -> [RunningSequence] {
        let rows = Array(running.filter(\.isReady).prefix(step.capacity))
        guard !rows.isEmpty else { return [] }
        do { try step.read(rows.map(\.pending), states: rows.map(\.state)) } catch {
            for sequence in rows { sequence.fail(error) }
            return []
        }
        statistics.steps += 1
        statistics.stepTokens += rows.count
        for sequence in rows { sequence.hasRead() }
        if running.count > rows.count {
            // Those that take part come after those that had no room.
            let isLast = Set(rows.map(ObjectIdentifier.init))
            running = running.filter { !isLast.contains(ObjectIdentifier($0)) } + rows
        }
        return rows
    }

    /// Picks the tokens that follow those of the step of `rows`.
    /// - Returns: those that have one.
    private func pick(_ rows: [RunningSequence]) -> [RunningSequence] {
        do {
            let choices = rows.map(\.choice)
            let picked =
                choices.contains { $0 != nil } ? try step.pick(choices.map { $0 ?? TokenChoice() }) : nil
            for (row, sequence) in rows.enumerated() where !sequence.isOver {
                if let picked, choices[row] != nil {
                    take(sequence, logits: { try step.withLogits(of: row) { Array($0) } }) {
                        (try $0.accept(picked[row]), nil)
                    }
                } else {
                    try step.withLogits(of: row) { pick(sequence, from: $0) }
                }
            }
        } catch {
            for sequence in rows { sequence.fail(error) }
        }
        return rows.filter { !$0.isOver }
    }

    /// Picks the first token of `sequence`, and tells it.
    func start(_ sequence: RunningSequence, from logits: UnsafeBufferPointer<Float>) {
        pick(sequence, from: logits)
        if !sequence.isOver { tell(sequence) }
    }

    private func pick(_ sequence: RunningSequence, from logits: UnsafeBufferPointer<Float>) {
        take(sequence, logits: { Array(logits) }) { [self] sequence in
            let token = try sequence.sample(logits)
            let likelihood = try sequence.alternatives.map {
                try likelihoods.likelihood(of: token, in: logits, top: $0)
            }
            return (token, likelihood)
        }
    }

    /// `sequence` goes on with a token, or ends.
    /// - Parameter logits: those from which it is picked.
    private func take(
        _ sequence: RunningSequence, logits: () throws -> [Float],
        picking: (RunningSequence) throws -> (Int32, TokenLikelihood?)
    ) {
        do {
            let (token, likelihood) = try picking(sequence)
            if sequence.stops.contains(token) {
                try keep(sequence, logits)
                return finish(sequence, .stopToken, stop: likelihood)
            }
            statistics.generatedTokens += 1
            try sequence.append(token, likelihood)
            if sequence.isWhole { try keep(sequence, logits) }
        } catch GenerationError.nonFiniteLogits {
            finish(sequence, .nonFinite)
        } catch {
            sequence.fail(error)
        }
    }

    /// Tells the last token of `sequence`.
    private func tell(_ sequence: RunningSequence) {
        do {
            let isStopped = try sequence.tell()
            if isStopped {
                try keepPrompt(sequence)
                finish(sequence, .stopString)
            } else if sequence.isWhole {
                finish(sequence, sequence.isComplete ? .complete : .limit)
            }
        } catch {
            sequence.fail(error)
        }
    }

    /// Ends a sequence. Its reader hears of it once its state, if it has one in the folder, is on the disk: what was finished is
    /// there again, whenever the program is killed. Nobody else waits for that.
    func finish(
        _ sequence: RunningSequence, _ reason: SequenceEvent.Ending.Reason, stop: TokenLikelihood? = nil
    ) {
        sequence.finish(.init(reason: reason, stop: stop)) { tell in
            guard let folder = states.folder, sequence.reusesStates, sequence.isDurable else { return tell() }
            folder.writeNow(nil, done: tell, settled: wake)
        }
    }

    /// Stores the state of a sequence that ends, from which the next turn of a conversation goes on.
    private func keep(_ sequence: RunningSequence, _ logits: () throws -> [Float]) throws {
        guard sequence.reusesStates, let prompt = sequence.prompt, options.reuse != .none else { return }
        try keepPrompt(sequence)
        let tokens = prompt + sequence.generated.prefix(sequence.read)
        let entry = PrefixStates.Entry(
            tokens: tokens, state: sequence.state, logits: try logits(), isExact: false)
        states.adopt(entry, scope: sequence.scope)
        slots[sequence.slot] = SlotContents(scope: sequence.scope, tokens: tokens)
        try writeNow(entry, sequence)
    }

    /// Stores the state before the text of a sequence that ends: the next turn goes on from there where the sequence has read more
    /// than is in its text, or a template writes that otherwise.
    func keepPrompt(_ sequence: RunningSequence) throws {
        guard sequence.reusesStates, let prompt = sequence.prompt,
            let entry = states.entry(after: prompt, scope: sequence.scope)
        else { return }
        slots[sequence.slot] = SlotContents(scope: sequence.scope, tokens: prompt)
        try writeNow(entry, sequence)
    }

    /// Writes a state that must be on the disk before its sequence's end is told.
    private func writeNow(_ entry: PrefixStates.Entry, _ sequence: RunningSequence) throws {
        guard sequence.isDurable, let folder = states.folder,
            let key = states.folderKey(entry.tokens, sequence.scope, isExact: entry.isExact)
        else { return }
        folder.writeNow(folder.needs(key) ? (try entry.stored(), key) : nil, done: {}, settled: {})
    }

    /// The slot for a sequence: the one that is asked for, or the first that no running sequence has.
    func freeSlot(_ request: SequenceRequest) -> Int {
        if let slot = request.slot, slots.indices.contains(slot) { return slot }
        let taken = Set(running.filter { !$0.isOver }.map(\.slot))
        return slots.indices.first { !taken.contains($0) } ?? 0
    }
}
