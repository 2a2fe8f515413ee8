import Checkpoints
import Foundation
import Support
import Testing
import Training

@Suite("What a run's losses show")
struct RunWatchTests {
    /// The findings of measurements after steps 100, 200, …
    private func measured(_ losses: [Double], from loss: Double? = nil, patience: Int = 3) -> [[RunWatch.Finding]] {
        var watch = RunWatch(loss: loss)
        return losses.enumerated().map { watch.measured($1, step: 100 * ($0 + 1), patience: patience) }
    }

    @Test("a plateau is said once, when the perplexity has not fallen for as many measurements, and again after a fall")
    func plateau() {
        let plateau = RunWatch.Finding.plateau(measurements: 3, best: 2, bestStep: 100)
        #expect(measured([2, 2, 2, 2, 2, 2]) == [[], [], [], [plateau], [], []])
        // Less than a thousandth of the perplexity is no fall.
        #expect(measured([2, 1.9995, 1.9999, 2]) == [[], [], [], [plateau]])
        #expect(measured([2, 1.99, 1.98, 1.97, 1.96]) == [[], [], [], [], []])
        let later = RunWatch.Finding.plateau(measurements: 3, best: 1.5, bestStep: 500)
        #expect(measured([2, 2, 2, 2, 1.5, 1.5, 1.5, 1.5]) == [[], [], [], [plateau], [], [], [], [later]])
        #expect(measured([2]) == [[]] && measured([]) == [])
        // What was measured at the end of the stage before counts.
        #expect(measured([2, 2, 2], from: 2).last == [.plateau(measurements: 3, best: 2, bestStep: 0)])
        #expect(measured([2, 2], patience: 1) == [[], [.plateau(measurements: 1, best: 2, bestStep: 100)]])
    }

    @Test("a rise of 5% is said once, until the perplexity was near its best again")
    func rise() {
        let rise = RunWatch.Finding.rise(loss: 2.1, best: 2, bestStep: 100)
        #expect(measured([2, 2.04, 2.1, 2.2, 1.9], patience: 9) == [[], [], [rise], [], []])
        #expect(measured([2, 2.1, 2, 2.1], patience: 9) == [[], [rise], [], [rise]])
        #expect(
            measured([2, 2.1], patience: 1) == [[], [rise, .plateau(measurements: 1, best: 2, bestStep: 100)]])
    }

    @Test("a loss that is not a number has not fallen")
    func notFinite() {
        #expect(measured([.nan, .infinity, 2, .nan], patience: 9) == [[.notFinite], [], [], [.notFinite]])
        #expect(
            measured([.nan, .nan], patience: 2)
                == [[.notFinite], [.plateau(measurements: 2, best: nil, bestStep: 0)]])
        #expect(measured([3, 2], from: .nan) == [[], []])
    }

    @Test("a spike is more than twice the mean of 20 steps, and 6 standard deviations above it")
    func spike() {
        func found(_ before: [Double], _ loss: Double) -> [RunWatch.Finding] {
            var watch = RunWatch()
            for loss in before { #expect(watch.stepped(loss) == []) }
            return watch.stepped(loss) + watch.stepped(100 * loss)
        }
        let even = [Double](repeating: 1, count: 20)
        #expect(found(even, 2.01) == [.spike(loss: 2.01, mean: 1)])
        // Said once, and not of what is within the spread: 1 ± 0.5.
        let spread = (0..<20).map { $0 % 2 == 0 ? 0.5 : 1.5 }
        #expect(found(spread, 4.01) == [.spike(loss: 4.01, mean: 1)])
        var watch = RunWatch()
        for loss in spread + [3.9] { #expect(watch.stepped(loss) == []) }
        watch = RunWatch()
        for loss in even.dropLast() + [.nan, .infinity] { #expect(watch.stepped(loss) == []) }
        #expect(watch.stepped(9) == [])
    }

    @Test("a step that was left out is said once")
    func skipped() {
        var watch = RunWatch()
        #expect(watch.skipped("a") == [.skipped(parameter: "a")])
        #expect(watch.skipped(nil) == [])
    }

    @Test("a lower rate begins to count again")
    func lower() {
        var watch = RunWatch(loss: 2)
        _ = watch.measured(2, step: 1, patience: 2)
        #expect(watch.measured(2, step: 2, patience: 2).count == 1)
        watch.lower(by: 0.5)
        #expect(watch.measured(2, step: 3, patience: 2) == [])
        #expect(watch.measured(2, step: 4, patience: 2) == [.plateau(measurements: 2, best: 2, bestStep: 0)])
        watch.lower(by: 0.5)
        #expect(watch.rateShare == 0.25)
    }

    @Test("a checkpoint keeps all of it, to the last bit")
    func checkpoint() throws {
        var watch = RunWatch(loss: 1 / 3.0, step: 7)
        for step in 0..<30 { _ = watch.stepped(1 / Double(step + 3)) }
        _ = watch.measured(0.5, step: 9, patience: 1)
        _ = watch.skipped(nil)
        watch.lower(by: 0.3)
        let text = JSONValue.object(watch.json).text()
        #expect(RunWatch(try JSONValue(parsing: Data(text.utf8), file: "x")) == watch)
        #expect(RunWatch(nil) == RunWatch())
        for (key, value) in [
            ("rate_share", JSONValue.number(2)), ("waiting", .integer(-1)), ("recent", .array([.null])),
            ("best_step", .null),
        ] {
            var json = watch.json
            json[key] = value
            #expect(RunWatch(.object(json)) == nil, "\(key)")
        }
    }
}
