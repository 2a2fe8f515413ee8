import Foundation
import TestSupport
import Testing

/// `moult report --watch` beside a run, from the outside.
@Suite("moult report --watch", .serialized, .timeLimit(.minutes(5)))
struct ReportWatchTests {
    private let place: TinyModel
    private let model: String

    init() throws {
        place = try TinyModel()
        model = try place.converted()
    }

    private func refreshes() -> Bool? { place.text("run/report.html")?.contains("http-equiv=\"refresh\"") }

    @Test("waits for the run, keeps the page fresh and ends with it, and the run is as ever")
    func whole() throws {
        #expect(try MoultProcess(arguments: place.longRun(model, "whole")).status == 0)
        let watch = try RunningMoult(["report", "\(place.path)/run", "--watch"])
        let run = try RunningMoult(place.longRun(model, "run"))
        let trained = run.finish()
        #expect(trained.status == 0, "\(trained.error)")
        let result = watch.finish()
        #expect(result.status == 0, "\(result.error)")
        #expect(result.output.hasSuffix("wrote \(place.path)/run/report.html: the run has ended: complete\n"))
        #expect(refreshes() == false)
        #expect(try place.bytes("run/student/model.safetensors") == place.bytes("whole/student/model.safetensors"))
    }

    @Test("Ctrl-C leaves a page that stays, and a run that was killed is told", arguments: [SIGINT, SIGTERM])
    func interrupted(_ signal: Int32) throws {
        let run = try RunningMoult(place.longRun(model, "run"))
        run.wait { place.text("run/metrics.jsonl")?.contains("\"step\"") == true }
        run.signal(SIGKILL)
        _ = run.finish()
        let waiting = try RunningMoult(["report", "\(place.path)/none", "--watch"])
        let watch = try RunningMoult(["report", "\(place.path)/run", "--watch"])
        watch.wait { refreshes() == true }
        watch.signal(signal)
        let stopped = watch.finish()
        #expect(stopped.status == 128 + signal && refreshes() == false, "\(stopped.error)")
        let result = try MoultProcess("report", "\(place.path)/run", "--watch")
        #expect(result.status == 0 && result.error.contains("nobody trains in"), "\(result.error)")
        #expect(result.error.contains("moult train --resume --output") && refreshes() == false)
        waiting.signal(signal)
        let none = waiting.finish()
        #expect(none.status == 128 + signal && none.error.contains("waiting for a run"), "\(none.error)")
        #expect(!place.exists("none"))
    }
}
