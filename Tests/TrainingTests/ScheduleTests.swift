import Foundation
import Testing
import Training

@Suite("Learning rates")
struct ScheduleTests {
    private func schedule(_ course: Schedule.Course, warmUp: Int, final: Double = 0.1) -> Schedule {
        var schedule = Schedule()
        (schedule.course, schedule.peak, schedule.warmUpSteps, schedule.final) = (course, 2, warmUp, final)
        return schedule
    }

    private func rates(_ schedule: Schedule, _ steps: Int) -> [Double] {
        (1...steps).map { schedule.rate(step: $0, of: steps) }
    }

    private func expect(_ found: [Double], _ expected: [Double], location: SourceLocation = #_sourceLocation) {
        #expect(found.count == expected.count, sourceLocation: location)
        for (a, b) in zip(found, expected) { #expect(abs(a - b) < 1e-12, "\(found)", sourceLocation: location) }
    }

    @Test func constant() {
        expect(rates(schedule(.constant, warmUp: 4), 10), [0.5, 1, 1.5] + [Double](repeating: 2, count: 7))
        expect(rates(schedule(.constant, warmUp: 0), 3), [2, 2, 2])
    }

    @Test func cosine() {
        let found = rates(schedule(.cosine, warmUp: 4, final: 0.5), 12)
        let falling = (0...8).map { 1 + 0.5 * (1 + cos(.pi * Double($0) / 8)) }
        expect(found, [0.5, 1, 1.5] + falling)
        #expect(found.last == 1)
        expect(rates(schedule(.cosine, warmUp: 0, final: 0), 2), [1 + cos(.pi / 2), 0].map { $0 })
    }

    @Test func stableThenDecay() {
        var schedule = schedule(.wsd, warmUp: 2, final: 0)
        schedule.decay = 0.4
        expect(rates(schedule, 10), [1, 2, 2, 2, 2, 2, 1.5, 1, 0.5, 0])
        schedule.decay = 0
        expect(Array(rates(schedule, 10).dropLast()), [1] + [Double](repeating: 2, count: 8))
    }

    @Test("a stage shorter than its warm-up reaches its peak half-way", arguments: Schedule.Course.allCases)
    func short(_ course: Schedule.Course) {
        for steps in 1...9 {
            let found = rates(schedule(course, warmUp: 1000), steps)
            #expect(found.allSatisfy { $0.isFinite && $0 > 0 && $0 <= 2 }, "\(found)")
            #expect(steps < 2 || found[max(1, steps / 2) - 1] == 2, "\(found)")
        }
    }

    @Test("rates never leave the range, whatever the settings")
    func bounds() {
        for course in Schedule.Course.allCases {
            for (warmUp, steps, decay) in [(0, 1, 0.0), (1, 1, 1), (5, 100, 1), (100, 100, 0.01), (99, 100, 0.5)] {
                var schedule = schedule(course, warmUp: warmUp)
                schedule.decay = decay
                for rate in rates(schedule, steps) { #expect(rate > 0 && rate <= 2 + 1e-12) }
            }
        }
    }
}
