import ArgumentParser
import Foundation
import Reports
import Support
import Training

struct ReportCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "report", abstract: "Show a training run as one page for the browser.",
        discussion: """
            The page is one file that fetches nothing. It may be made while the run goes on, and an earlier report is
            replaced. With --watch it is kept fresh until the run ends, and the browser reads it again by itself.
            """)

    @Argument(help: ArgumentHelp("The folder of a run, as 'moult train' wrote it.", valueName: "run"))
    var folder: String
    @Option(help: "The page to write. (default: report.html in the run's folder)") var output: String?
    @Flag(help: "Keep the page fresh until the run ends; Ctrl-C stops.") var watch = false

    func run() throws {
        let path = output ?? "\(folder)/report.html"
        guard !watch else { return try keepFresh(path) }
        let bytes = try RunReport(folder: folder).write(to: path)
        try Output.line("wrote \(path), \(Figures.bytes(Double(bytes)))")
    }

    private func keepFresh(_ path: String) throws {
        Interrupt.hold()
        var watch = ReportWatch(folder: folder, path: path)
        var (isWaiting, isShown) = (false, false)
        while true {
            switch try watch.look() {
            case .waiting:
                if !isWaiting { Terminal.note("waiting for a run in \(folder) to begin; Ctrl-C stops") }
                isWaiting = true
            case .running(let bytes):
                if let bytes, !isShown {
                    try Output.line("keeping \(path) fresh, \(Figures.bytes(Double(bytes))); Ctrl-C stops")
                    isShown = true
                }
            case .ended(let reason): return try Output.line("wrote \(path): the run has ended: \(reason)")
            case .gone:
                Terminal.note(
                    "nobody trains in \(folder) any more; go on with: moult train --resume --output \(ShellWord.quoted(folder))"
                )
                return try Output.line("wrote \(path): the run has not ended")
            }
            do { try pause() } catch {
                // The page that stays does not read itself again.
                try watch.finish()
                throw error
            }
        }
    }

    /// Waits until the next look.
    /// - Throws: as ``Interrupt/check()``.
    private func pause() throws {
        for _ in 0..<5 * ReportWatch.interval {
            try Interrupt.check()
            usleep(200_000)
        }
        try Interrupt.check()
    }
}
