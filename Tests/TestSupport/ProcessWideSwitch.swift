import Testing

/// Runs suites that switch what the whole process computes with, its kernels, threads or oneDNN, one after the other, in
/// whatever way tests are run: they compare to the bit.
package struct ProcessWideSwitch: SuiteTrait, TestScoping {
    package func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
    ) async throws {
        await Turn.shared.take()
        do {
            try await function()
            await Turn.shared.pass()
        } catch {
            await Turn.shared.pass()
            throw error
        }
    }

    /// Whose turn it is to switch.
    private actor Turn {
        static let shared = Turn()
        private var isTaken = false
        private var waiting: [CheckedContinuation<Void, Never>] = []

        func take() async {
            guard isTaken else {
                isTaken = true
                return
            }
            await withCheckedContinuation { waiting.append($0) }
        }

        func pass() {
            if waiting.isEmpty { isTaken = false } else { waiting.removeFirst().resume() }
        }
    }
}

extension Trait where Self == ProcessWideSwitch {
    /// Of a suite that switches kernels, threads or oneDNN of the whole process.
    package static var switchesProcess: Self { ProcessWideSwitch() }
}
