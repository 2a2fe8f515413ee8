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
    var begun: [RunningSequence] = []
    /// When the last step ended, and what it took.
    var lastStep = (end: ContinuousClock.now, duration: Duration.zero)

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
        if options.warmsUp, model.device.traits.recordsWork { try warmUp() }
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
}

extension PromptOrder {
    /// Whether nobody waits for it any longer.
    var isOver: Bool { channel.isOver }
}
