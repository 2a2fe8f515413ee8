import Foundation
import Models
import Tensors
import Testing
import Text
import Tokenizers
import Training

@Suite("Answers of recall rows that weigh more in the loss")
struct AnswerWeightTests {
    private func makeRun(_ stages: String) throws -> TinyRun {
        let run = try TinyRun(stages)
        (run.configuration.length, run.configuration.data.recall) = (128, 0.75)
        run.configuration.data.validationShare = 0.2
        run.eachStage { ($0.sequences, $0.accumulation, $0.teacherShare) = (2, 2, 0.75) }
        return run
    }

    /// Sums of weights and of weighted losses.
    private struct Mean {
        var (sum, weight) = (0.0, 0.0)

        mutating func add(_ loss: Float, _ weight: Double) {
            sum += Double(loss) * weight
            self.weight += weight
        }

        var value: Double { sum / weight }
    }

    /// The means over a batch of divergence from the teacher and cross-entropy, a document at a time, by their definition.
    private func means(
        _ rows: [PackedRow], _ student: DecoderModel, _ teacher: DecoderModel, answerWeight: Double
    ) throws -> (divergence: Double, entropy: Double) {
        var (divergence, entropy) = (Mean(), Mean())
        for row in rows {
            let answers = Set(row.answers.joined())
            for (start, end) in zip(row.documents, row.documents.dropFirst() + [row.tokens.count - 1]) {
                let tokens = [Array(row.tokens[start..<end])]
                let (hidden, other) = (try student.hidden(tokens), try teacher.hidden(tokens))
                let distances = try hidden.klDivergence(
                    head: student.headWeight, teacher: other, teacherHead: teacher.headWeight, scale: 1
                ).array()
                let losses = try hidden.crossEntropy(
                    head: student.headWeight, targets: Array(row.tokens[start + 1..<end + 1]), scale: 1)
                for (place, target) in (start + 1..<end + 1).enumerated() {
                    let weight = answers.contains(target) ? answerWeight : 1
                    divergence.add(distances[place], weight)
                    if target < end || end == row.tokens.count - 1 { entropy.add(losses[place], weight) }
                }
            }
        }
        return (divergence.value, entropy.value)
    }

    @Test("the loss is the weighted mean", arguments: ["distil", "finetune"], [1.0, 4, 50])
    func loss(_ stage: String, _ weight: Double) throws {
        let run = try makeRun("\(stage)=512")
        run.configuration.data.answerWeight = weight
        let record = try run.train()
        let data = try TokenDataset(
            sources: [DataSource(path: run.path("text.jsonl"))], validation: .share(0.2),
            tokenizer: Tokenizer(files: TokenizerFiles(directory: URL(fileURLWithPath: run.path("model")))),
            length: 128, seed: 0, recall: 0.75, cache: run.path("tokens"))
        let rows = (0..<4).map { data.row($0) }
        #expect(rows.flatMap(\.answers).count > 3)
        let (student, teacher) = (try DecoderModel.load(run.path("model")), try DecoderModel.load(run.path("teacher")))
        let expected = try [rows[..<2], rows[2...]].reduce(0.0) { sum, batch in
            let means = try means(Array(batch), student, teacher, answerWeight: weight)
            return sum + (stage == "distil" ? 0.75 * means.divergence + 0.25 * means.entropy : means.entropy) / 2
        }
        #expect(record.losses.count == 1)
        #expect(abs(record.losses[0] - expected) < 1e-5 * expected, "\(record.losses), expected \(expected)")
        #expect(record.steps[0].tokens == 512)
        let plain = try makeRun("\(stage)=512").train()
        #expect((plain.losses == record.losses) == (weight == 1))
        #expect((plain.steps[0].gradientNorm == record.steps[0].gradientNorm) == (weight == 1))
    }

    @Test("what does nothing is said, what cannot be is refused")
    func refusals() throws {
        let run = try makeRun("finetune=256")
        (run.configuration.data.recall, run.configuration.data.answerWeight) = (0, 2)
        #expect(
            try run.train().warnings == [
                "data.answerWeight: there are no answers to weigh without recall rows; see data.recall"
            ])
        for weight in [0, 0.99, 1001, -1, .nan, .infinity] {
            run.configuration.data.answerWeight = weight
            #expect(
                throws: TrainingError.option(name: "data.answerWeight", expected: "1.0 to 1000.0", found: "\(weight)")
            ) { try run.train("refused") }
        }
    }
}
