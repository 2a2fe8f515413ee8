import Checkpoints
import Conversion
import Foundation
import Records
import TestSupport
import Testing
import Training

@Suite("Cards of trained models")
struct StudentCardTests {
    private func card(_ run: TinyRun, _ name: String) throws -> String {
        try String(contentsOfFile: run.path("\(name)/README.md"), encoding: .utf8)
    }

    @Test("say how many rows were recall rows, and so do metrics")
    func recall() throws {
        let run = try TinyRun("finetune=32")
        run.configuration.data.recall = 0.15
        try run.train()
        #expect(try card(run, "run/student").contains("| tokens of a row | 16 |\n| recall rows | 15% of the rows |\n"))
        guard case .start(let start)? = try MetricsLog.events(path: run.path("run/metrics.jsonl")).first else {
            Issue.record("no start")
            return
        }
        #expect(start.recallShare == 0.15)
    }

    @Test("say stages, text, teacher and what was measured, and no more that the model is untrained")
    func trained() throws {
        let run = try TinyRun("align=64,finetune=96")
        run.configuration.validation.every = 2
        run.configuration.stages[1].schedule.peak = 1e-2
        let record = try run.train()
        let events = try MetricsLog.events(path: run.path("run/metrics.jsonl"))
        let validations: [MetricsEvent.Validation] = events.compactMap {
            if case .validation(let validation) = $0 { validation } else { nil }
        }
        guard case .start(let start)? = events.first else {
            Issue.record("no start")
            return
        }
        func text(_ value: Double?) -> String { value.map { String(format: "%.2f", $0) } ?? "none" }
        let best = try #require(validations.dropFirst().min { $0.loss < $1.loss })
        for name in ["best", "student"] {
            let measured = try #require(name == "best" ? best : validations.last)
            let card = try card(run, "run/\(name)")
            let tuned = (measured.step - 2) * 32
            let kind =
                name == "best"
                ? "the run's model with the lowest perplexity on the text held apart" : "the run's last model"
            let stages =
                "| stage | tokens | steps |\n|---|---:|---:|\n| align | 64 | 2 |\n"
                + (tuned > 0 ? "| finetune | \(tuned) | \(tuned / 32) |\n" : "")
            #expect(
                card.contains(
                    """
                    ## Trained

                    By Moult 0.1.0; \(kind), at step \(measured.step) of 5.

                    \(stages)
                    | | |
                    |---|---|
                    | text | `text.jsonl` |
                    | tokens of a row | 16 |
                    | held apart | 10% of the text |
                    | teacher | teacher |

                    Perplexity on 4 rows of the text held apart:

                    | | |
                    |---|---|
                    | the teacher | \(text(start.teacher?.perplexity)) |
                    | this model before the training | \(text(validations.first?.perplexity)) |
                    | this model | \(text(measured.perplexity)) |

                    What the model recalls of a long context has not been measured here
                    """), "\(card)")
            #expect(!card.contains("Not trained since"))
            #expect(
                card.contains(
                    "\nteacher (llama), converted to a recurrent model, trained on \(measured.tokens) tokens by Moult. "
                ),
                "\(card)")
            #expect(!card.contains(run.folder.path))
            let record = try String(contentsOfFile: run.path("run/\(name)/moult.json"), encoding: .utf8)
            #expect(!record.contains(run.folder.path))
        }
        #expect(record.isComplete)
    }

    @Test("a rounded model's says that what was measured came before")
    func rounded() throws {
        let run = try TinyRun("align=64")
        try run.train()
        var options = QuantisationOptions()
        options.bits = 8
        _ = try ModelQuantiser(ModelFiles.open(run.path("run/student")), options: options).run(output: run.path("q8"))
        let card = try card(run, "q8")
        #expect(
            card.contains(
                "\nteacher (llama), converted to a recurrent model, trained on 64 tokens, rounded to 8 bits by Moult. ")
        )
        #expect(card.contains("## Trained\n") && card.contains("| the teacher | "))
        #expect(
            card.contains(
                "By Moult 0.1.0, not calibrated: the weight matrices of the layers to 8 bits, embedding and head to 8"))
        #expect(card.contains(" The perplexity above is from before the rounding.\n"))
        #expect(!card.contains("Not trained since"))
    }

    @Test("layers that are aligned in turn are one stage")
    func parts() throws {
        let run = try TinyRun("align=64,finetune=32,finetune=64")
        run.configuration.stages[0].layersAtOnce = 1
        try run.train()
        #expect(
            try run.trained("run/student")?.stages == [
                .init(name: "align", tokens: 128, steps: 4), .init(name: "finetune", tokens: 32, steps: 1),
                .init(name: "finetune", tokens: 64, steps: 2),
            ])
    }

    @Test("say nothing that was not measured, and name text that is held apart")
    func unmeasured() throws {
        let run = try TinyRun("finetune=32")
        run.configuration.data.validationShare = 0
        try run.train("none")
        var card = try card(run, "none/student")
        #expect(card.contains("| held apart | nothing |\n\nIts perplexity was not measured.\n"), "\(card)")
        #expect(!card.contains("\n| teacher |"))
        let held = seededDocuments(4, seed: 9).map { "{\"text\": \"\($0.replacing("\n", with: " "))\"}\n" }.joined()
        run.configuration.data.validation = [try run.folder.write("held/apart.jsonl", held)]
        try run.train("apart")
        card = try self.card(run, "apart/student")
        #expect(card.contains("| held apart | `apart.jsonl` |"), "\(card)")
    }

    @Test("keep what people have written on them")
    func edits() throws {
        let run = try TinyRun("finetune=32")
        try run.folder.write("model/README.md", "# Of the model\n")
        try run.train()
        try run.folder.write("run/student/README.md", "# Of the student\n")
        try run.train(resuming: true)
        let names = try FileManager.default.contentsOfDirectory(atPath: run.path("run/student"))
        #expect(
            names.filter { $0.hasPrefix("README") }.sorted() == ["README.edited-2.md", "README.edited.md", "README.md"])
        #expect(try run.bytes("run/student/README.edited.md") == Data("# Of the model\n".utf8))
        #expect(try run.bytes("run/student/README.edited-2.md") == Data("# Of the student\n".utf8))
        #expect(
            try card(run, "run/student").contains(
                "Earlier cards, as they were: `README.edited-2.md`, `README.edited.md`."))
    }
}

extension TinyRun {
    /// What the record of a model says of its last training.
    func trained(_ name: String) throws -> ModelRecord.Training? {
        for case .training(let training) in try ModelRecord(folder: path(name))?.steps.reversed() ?? [] {
            return training
        }
        return nil
    }
}
