import Models
import Tensors
import Tokenizers

/// What runs on a scheduler's thread: which prompt is read next, when a step takes place, who may begin.
final class SchedulingEngine {
    let model: DecoderModel
    let tokenizer: Tokenizer
    let options: SchedulerOptions
    let step: any DecodingStep
    private let inbox: Inbox

    /// Prompts that have not begun, or are being read, in the order of their arrival.
    private var jobs: [PromptJob] = []
    /// Continuations, in the order in which they take part in steps.
    var running: [RunningSequence] = []
    var states: PrefixStates
    var likelihoods = LikelihoodReader()
    var statistics = SchedulerStatistics()
    /// What the last sequence of each slot has left.
    var slots: [SlotContents?]
    private var isEnded = false
    /// Those of a step that was begun, whose tokens are not picked yet.
    private var begun: [RunningSequence] = []
    /// When the last step ended, and what it took.
    private var lastStep = (end: ContinuousClock.now, duration: Duration.zero)

    /// Tokens that a prompt is thought shorter by for each second that it has waited: about as many as are read in one.
    private static let tokensPerSecond = 500.0
    /// Tokens that a prompt is thought longer by for each place that its owner has.
    private static let tokensOfPlace = 2048

    init(_ model: DecoderModel, _ tokenizer: Tokenizer, _ options: SchedulerOptions, _ inbox: Inbox) throws {
        (self.model, self.tokenizer, self.options, self.inbox) = (model, tokenizer, options, inbox)
        step = try model.makeStep(capacity: options.batch)
        states = PrefixStates(
            budget: options.reuse == .none ? 0 : options.stateBytes,
            folder: options.reuse == .none ? nil : options.folder)
        slots = [SlotContents?](repeating: nil, count: options.batch)
        if model.device.traits.recordsWork { try warmUp() }
    }

    /// Does once what a device compiles and records the first time, so that no request waits for it: a segment longer than a chunk,
    /// a short one, and steps of 1, 2, 4, ... sequences.
    private func warmUp() throws {
        let state = try model.makeState()
        for count in [65, 1] { _ = try model.nextLogits([Int32](repeating: 0, count: count), state: state) }
        var rows = 1
        while true {
            let states = try (0..<rows).map { _ in try model.makeState() }
            for _ in 0..<3 {
                try step.read(.init(repeating: 0, count: rows), states: states)
                _ = try step.pick(.init(repeating: TokenChoice(), count: rows))
            }
            guard rows < step.capacity else { return }
            rows = min(2 * rows, step.capacity)
        }
    }

    /// Makes this thread look again, from any other.
    var wake: @Sendable () -> Void { { [inbox] in inbox.wake() } }

    func run() {
        while true {
            listen()
            if isEnded { return end() }
            dropEnded()
            let job = nextJob()
            if let job { read(job) }
            if job == nil || isStepDue { decode() }
            let isIdle = jobs.isEmpty && running.isEmpty && states.folder?.isIdle != false
            publish(isIdle: isIdle)
            if job == nil, !running.contains(where: \.isReady) { inbox.wait(until: nextDeadline) }
        }
    }

    /// Takes what was asked meanwhile.
    private func listen() {
        let (orders, errands, isEnded) = inbox.take()
        self.isEnded = isEnded
        for errand in errands { errand(isEnded ? nil : self) }
        for group in orders {
            let (packed, single) = PromptJob.packs(group)
            jobs += packed + single
        }
    }

    private func publish(isIdle: Bool) {
        statistics.running = running.count + jobs.count { $0.hasBegun }
        (statistics.states, statistics.stateBytes) = (states.count, states.byteCount)
        if let folder = states.folder { (statistics.diskStates, statistics.diskStateBytes) = folder.contents }
        inbox.publish(statistics, isIdle: isIdle)
    }

    private func end() {
        for job in jobs { job.fail(SchedulerError.stopping) }
        for sequence in running { sequence.channel.finish(SchedulerError.stopping) }
        inbox.began(jobs.reduce(0) { $0 + ($1.hasBegun ? 0 : $1.orders.count) })
        (jobs, running) = ([], [])
        publish(isIdle: true)
    }

    // MARK: Who comes next

    /// Lets go of what nobody waits for any longer.
    private func dropEnded() {
        let now = ContinuousClock.now
        jobs.removeAll { job in
            for order in job.orders where order.request.deadline.map({ $0 <= now }) == true {
                order.channel.finish(SchedulerError.late)
            }
            guard job.orders.allSatisfy(\.isOver) else { return false }
            if !job.hasBegun { inbox.began(job.orders.count) }
            return true
        }
        for sequence in running where sequence.deadline.map({ $0 <= now }) == true {
            try? keepPrompt(sequence)
            finish(sequence, .deadline)
        }
        running.removeAll(where: \.isOver)
    }

    /// When a request that pauses or waits is late.
    private var nextDeadline: ContinuousClock.Instant? {
        (running.map(\.deadline) + jobs.flatMap { $0.orders.map(\.request.deadline) }).compactMap(\.self).min()
    }

    /// The prompt to read now: one that has begun, or may begin because a place is free.
    private func nextJob() -> PromptJob? {
        let taken = running.count { !$0.isPaused } + jobs.count { $0.hasBegun && $0.needsPlace }
        // Nobody begins while more ends wait for the disk than there are places.
        let hasPlace = taken < options.batch && states.folder?.isBehind(2 * options.batch) != true
        let now = ContinuousClock.now
        var places: [String: Int] = [:]
        for sequence in running where !sequence.isPaused { places[sequence.owner, default: 0] += 1 }
        for job in jobs where job.hasBegun && job.needsPlace { places[job.owner, default: 0] += 1 }
        func rank(_ job: PromptJob) -> Double {
            let waited = job.arrival.duration(to: now) / .seconds(1)
            // What has begun has its place already.
            let held = job.hasBegun || !job.needsPlace ? 0 : places[job.owner] ?? 0
            return Double(job.tokensLeft + held * Self.tokensOfPlace) - waited * Self.tokensPerSecond
        }
        let next = jobs.filter { !$0.isWaiting && ($0.hasBegun || !$0.needsPlace || hasPlace) }.min {
            rank($0) < rank($1)
        }
        if let next, !next.hasBegun {
            next.begin()
            inbox.began(next.orders.count)
        }
        return next
    }

    /// Whether the running sequences have had less than half of the time since their last step began.
    private var isStepDue: Bool {
        running.contains(where: \.isReady) && lastStep.end.duration(to: .now) >= lastStep.duration
    }

    // MARK: Working

    /// Reads a segment of a prompt, with steps of the others in between.
    private func read(_ job: PromptJob) {
        var isWhole = true
        do {
            isWhole = try job.read(self) { [self] in
                listen()
                if isEnded { throw SchedulerError.stopping }
                if job.orders.allSatisfy(\.isOver) { throw CancellationError() }
                if isStepDue {
                    decode()
                    publish(isIdle: false)
                }
            }
        } catch {
            job.fail(error)
        }
        if isWhole { jobs.removeAll { $0 === job } }
    }

    /// Generates a token of as many running sequences as there is room for. A device that works aside is given the next step
    /// before the tokens of this one are told.
    private func decode() {
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
    private func keepPrompt(_ sequence: RunningSequence) throws {
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

extension PromptOrder {
    /// Whether nobody waits for it any longer.
    var isOver: Bool { channel.isOver }
}
