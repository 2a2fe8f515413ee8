import Checkpoints
import Conversion
import Foundation
import Models
import Tensors
import TestSupport
import Testing
import Text
import Tokenizers
import Training

@Suite("A stage whose rows carry the state")
struct CarriedStageTests {
    private func makeRun(_ stages: String, _ change: (inout StageConfiguration) -> Void = { _ in }) throws -> TinyRun {
        let run = try TinyRun(stages)
        run.eachStage { stage in
            (stage.sequences, stage.accumulation, stage.schedule.peak) = (1, 1, 2e-3)
            change(&stage)
        }
        return run
    }

    @Test("rows are cut from long ones, with their documents and answers")
    func pieces() throws {
        let run = try TinyRun("finetune=16")
        let data = try TokenDataset(
            sources: [DataSource(path: run.path("text.jsonl"))], validation: .share(0.2),
            tokenizer: Tokenizer(files: TokenizerFiles(directory: URL(fileURLWithPath: run.path("model")))),
            length: 128, seed: 0, recall: 0.75, cache: run.path("tokens"))
        var (continued, fresh, answers) = (0, 0, 0)
        for row in (0..<40).map({ data.row($0) }) {
            let pieces = (0..<8).map { row.piece($0, length: 16) }
            let joined: [Int32] = pieces.flatMap { $0.tokens.dropLast() } + row.tokens.suffix(1)
            #expect(joined == row.tokens)
            for (index, piece) in pieces.enumerated() {
                let first = index * 16
                #expect(piece.tokens == Array(row.tokens[first...first + 16]))
                #expect(piece.documents.first == 0)
                let begun: [Int] = row.documents.filter { first + 1...first + 16 ~= $0 }
                #expect(piece.documents.dropFirst().map { $0 + first } == begun)
                let start: Int = row.documents.last { $0 <= first } ?? -1
                #expect(piece.before == first - start)
                if piece.before > 0 { continued += 1 } else { fresh += 1 }
                #expect(piece.answers.allSatisfy { $0.lowerBound > 0 && $0.upperBound <= 17 && !$0.isEmpty })
                let own: [Int] = row.answers.joined().filter { first < $0 && $0 <= first + 16 }
                let found: [Int] = piece.answers.joined().map { $0 + first }
                #expect(found == own)
                answers += own.count
            }
        }
        #expect(continued > 100 && fresh >= 40 && answers > 40)
    }

    @Test("with parameters at rest as one long row", arguments: ["distil", "finetune"])
    func longRow(_ kind: String) throws {
        let short = try makeRun("\(kind)=256@16x4") { $0.schedule.peak = 0 }
        let long = try makeRun("\(kind)=256@64") { $0.schedule.peak = 0 }
        let alone = try makeRun("\(kind)=256@16") { $0.schedule.peak = 0 }
        for run in [short, long, alone] { run.configuration.data.recall = 0.25 }
        let (pieces, wholes) = (try short.train().losses, try long.train().losses)
        #expect(pieces.count == 16 && wholes.count == 4)
        for index in wholes.indices {
            // Fewer targets count where a row holds the end of a document.
            let mean = pieces[index * 4..<index * 4 + 4].reduce(0, +) / 4
            let tolerance = kind == "distil" ? 1e-5 : 0.01
            #expect(abs(mean - wholes[index]) < tolerance * wholes[index], "\(mean), expected \(wholes[index])")
        }
        #expect(try alone.train().losses != pieces)
    }

    @Test("ordinary rows beside them are as by themselves")
    func share() throws {
        // All but the first of 1024.
        let mixed = try makeRun("distil=256@16x4") { ($0.schedule.peak, $0.carryShare) = (0, 0.001) }
        let alone = try makeRun("distil=256@16") { $0.schedule.peak = 0 }
        for run in [mixed, alone] { run.configuration.data.recall = 0.25 }
        let (found, expected) = (try mixed.train().losses, try alone.train().losses)
        for index in 0..<12 {
            #expect(abs(found[index + 4] - expected[index]) < 1e-4 * expected[index], "\(index)")
        }
        mixed.eachStage { $0.carryShare = 0.5 }
        let half = try mixed.train("half").losses
        #expect(half.count == 16 && half != found)
        mixed.eachStage { $0.carryShare = 0 }
        #expect(throws: TrainingError.self) { try mixed.train("none") }
    }

    @Test("the loss falls, and other carried rows are another run")
    func learns() throws {
        let run = try makeRun("distil=2560@16x4") { ($0.sequences, $0.accumulation) = (2, 2) }
        let losses = try run.train().losses
        #expect(losses.count == 40)
        let (first, last): (Double, Double) = (losses.prefix(8).reduce(0, +), losses.suffix(8).reduce(0, +))
        #expect(last < 0.9 * first, "\(losses)")
        // The last long row is cut off where the budget ends.
        let cut = try makeRun("distil=96@16x4").train()
        #expect(cut.steps.map(\.tokens) == [16, 32, 48, 64, 80, 96])
    }

    @Test("goes on after a stop at any event, to the bit")
    func resume() throws {
        let run = try makeRun("align=64,distil=160@16x4,finetune=96@16x3") {
            ($0.accumulation, $0.carryShare) = (2, 0.5)
        }
        (run.configuration.validation.every, run.configuration.checkpoints.every) = (2, 3)
        run.configuration.data.recall = 0.25
        let whole = try run.train("whole")
        let expected = whole.losses
        #expect(expected.count == 10)
        for index in whole.events.indices {
            let name = "stopped-\(index)"
            let first = try run.train(name, stop: index)
            let second = try run.train(name, resuming: true)
            #expect(first.losses + second.losses == expected, "event \(index)")
            #expect(second.warnings.allSatisfy { _ in first.steps.isEmpty }, "\(second.warnings)")
            let same =
                try run.bytes("\(name)/student/model.safetensors") == run.bytes("whole/student/model.safetensors")
            #expect(same, "event \(index)")
        }
    }

    @Test("settings that cannot be are refused before anything is made")
    func refusals() throws {
        let stages = try StageConfiguration.list("distil=2M@1024x8,finetune=1k@64")
        #expect(stages.map(\.carry) == [8, 1] && stages.map(\.length) == [1024, 64])
        for text in [
            "distil=1k@64x", "distil=1k@x8", "distil=1k@64x0", "distil=1k@64x8x2", "distil=1kx8", "distil=1k@64x4097",
        ] {
            #expect(throws: TrainingError.self, "\(text)") { try StageConfiguration.list(text) }
        }
        for kind in ["align", "select"] {
            let run = try makeRun("\(kind)=2@16x2")
            let error = #expect(throws: TrainingError.self) { try run.train() }
            #expect(
                error?.description.contains("stage \(kind): carry: expected 1; only distil and finetune carry") == true,
                "\(String(describing: error))")
            #expect(!FileManager.default.fileExists(atPath: run.path("run/config.yaml")))
        }
        // How queries grow with what they see is not carried.
        let scaled = try makeRun("distil=1k@64x8")
        var options = ConversionOptions()
        (options.slots, options.window, options.keptAttention) = (4, 4, KeptAttention("0") ?? [])
        options.attentionPositions.hasLogScale = true
        scaled.configuration.model = scaled.path("scaled")
        _ = try Converter(ModelFiles.open(scaled.path("teacher")), options: options).run(output: scaled.path("scaled"))
        let error = #expect(throws: TrainingError.self) { try scaled.train() }
        #expect(error?.description.contains("carry: expected rows of at most 256 tokens together") == true)
        #expect(!FileManager.default.fileExists(atPath: scaled.path("run/config.yaml")))
        // A long row has to be found in the text.
        let run = try makeRun("distil=1k@64x64")
        #expect(throws: DataError.self) { try run.train() }
        #expect(!FileManager.default.fileExists(atPath: run.path("run/config.yaml")))
    }
}
