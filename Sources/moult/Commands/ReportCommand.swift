import ArgumentParser
import Training

struct ReportCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "report", abstract: "Show a training run as one page for the browser.",
        discussion: """
            The page is one file that fetches nothing. It may be made while the run goes on, and an earlier report is
            replaced.
            """)

    @Argument(help: ArgumentHelp("The folder of a run, as 'moult train' wrote it.", valueName: "run"))
    var folder: String
    @Option(help: "The page to write. (default: report.html in the run's folder)") var output: String?

    func run() throws {
        let path = output ?? "\(folder)/report.html"
        let bytes = try RunReport(folder: folder).write(to: path)
        try Output.line("wrote \(path), \(megabytes(bytes))")
    }
}
