import Foundation
import TestSupport
import Testing
import Training

@Suite("A run's configuration as YAML")
struct ConfigurationTests {
    /// Every value other than its default.
    private func unusual() throws -> TrainingConfiguration {
        var settings = TrainingConfiguration()
        (settings.model, settings.teacher, settings.seed, settings.length) = ("models/a b", "~", 7, 33)
        (settings.activationMemory, settings.patience) = (123_456_789, 3)
        settings.data.train = ["a.txt=0.25", "null", "- x: #y", ""]
        settings.data.validation = ["日本 \"quoted\" 'too'", "1e5", "true"]
        (settings.data.validationShare, settings.data.textKey, settings.data.separator) = (0.125, "a.b", "\n\n---\n")
        (settings.data.onError, settings.data.cache, settings.data.recall) = (.skip, "null", 0.15)
        settings.data.answerWeight = 3.5
        (settings.plateau.action, settings.plateau.patience, settings.plateau.factor) = (.stop, 7, 0.25)
        (settings.validation.every, settings.validation.rows, settings.validation.recallQuestions) = (11, 12, 13)
        (settings.checkpoints.every, settings.checkpoints.keep) = (13, 14)
        settings.stages = StageConfiguration.Kind.allCases.enumerated().map { index, kind in
            var stage = StageConfiguration(kind, tokens: 1_234_567 + index)
            (stage.sequences, stage.accumulation, stage.newParameterRate, stage.layersAtOnce) = (3, 5, 2.5, 1)
            (stage.teacherShare, stage.freeze) = (0.1 + 0.2, ["model.embed*", "*.bias"])
            (stage.length, stage.carry, stage.carryShare) = (index == 0 ? nil : 4096 + index, 2 + index, 0.25)
            (stage.lowRank.rank, stage.lowRank.alpha) = (16, index == 0 ? nil : 24.5)
            (stage.lowRank.targets, stage.lowRank.rate) = (["*.q_proj", "*"], 2.5)
            stage.schedule.course = Schedule.Course.allCases[index % Schedule.Course.allCases.count]
            (stage.schedule.peak, stage.schedule.warmUpSteps) = (1.1e-5, 17)
            (stage.schedule.final, stage.schedule.decay) = (0.3, 0.7)
            (stage.optimiser.beta1, stage.optimiser.beta2, stage.optimiser.epsilon) = (0.85, 0.99, 1e-7)
            (stage.optimiser.weightDecay, stage.optimiser.clip) = (0.1, index == 0 ? nil : 0.3)
            return stage
        }
        return settings
    }

    @Test("what is written is read back, every default included")
    func roundTrip() throws {
        var plain = TrainingConfiguration()
        for settings in [plain, try unusual()] {
            let text = try settings.yaml()
            #expect(try TrainingConfiguration(yaml: text, path: "x") == settings, "\(text)")
        }
        plain.stages = try StageConfiguration.list("align=1,distil=2,finetune=3")
        let text = try plain.yaml()
        #expect(try TrainingConfiguration(yaml: text, path: "x") == plain)
        for key in [
            "model", "teacher", "seed", "length", "activation_memory", "patience", "data", "train", "validation",
            "validation_share", "recall", "answer_weight", "text_key", "separator", "on_error", "cache",
            "max_line_bytes", "every",
            "rows", "checkpoints",
            "keep",
            "stages", "stage", "tokens", "carry", "carry_share", "sequences", "accumulation", "learning_rate",
            "schedule",
            "warm_up_steps",
            "final_rate", "decay_share", "new_parameter_rate", "rates", "beta1", "beta2", "epsilon", "weight_decay",
            "clip",
            "freeze", "lora_rank", "lora_alpha", "lora_targets", "lora_rate", "teacher_share", "layers_at_once",
        ] {
            #expect(text.contains("\(key):"), "\(key) is missing")
        }
    }

    @Test("what is left out has its default")
    func defaults() throws {
        #expect(try TrainingConfiguration(yaml: "", path: "x") == TrainingConfiguration())
        #expect(try TrainingConfiguration(yaml: "# nothing\n", path: "x") == TrainingConfiguration())
        let some = try TrainingConfiguration(
            yaml: """
                length: 1k
                data: {train: one.txt, validation: null}
                stages:
                  - {stage: distil, tokens: 4.9M, clip: null}
                """, path: "x")
        var expected = TrainingConfiguration()
        expected.length = 1000
        expected.data.train = ["one.txt"]
        expected.stages = [StageConfiguration(.distil, tokens: 4_900_000)]
        expected.stages[0].optimiser.clip = nil
        #expect(some == expected)
    }

    private static let stages = "stages:\n  - stage: align\n    tokens: 1k\n"

    @Test(
        "an error names its line and key",
        arguments: [
            ("model: a\nlenght: 3\n", 2, ["'lenght' is not known", "length"]),
            ("data:\n  train: [a]\n  trian: [b]\n", 3, ["'trian' is not known", "train"]),
            ("validation: {every: 1}\ncheckpoints:\n  evry: 1\n", 3, ["'evry'"]),
            ("model: a\nlength: long\n", 2, ["length: expected a whole number from 2", "'long'"]),
            ("seed: -1\n", 1, ["seed"]), ("seed: 1.5\n", 1, ["seed", "whole"]), ("length: 1e30\n", 1, ["length"]),
            ("seed: nan\n", 1, ["seed"]), ("length:\n  - 1\n", 1, ["length", "something else"]),
            ("teacher: [a]\n", 1, ["teacher: expected a text"]),
            ("data:\n  on_error: ignore\n", 2, ["on_error", "'refuse' or 'skip'", "'ignore'"]),
            ("data:\n  validation_share: 0.9\n", 2, ["0.0 to 0.5"]),
            ("data:\n  recall: 1\n", 2, ["recall: expected a number from 0.0 to 0.999", "'1'"]),
            ("data:\n  answer_weight: 0.5\n", 2, ["answer_weight: expected a number from 1.0 to 1000.0", "'0.5'"]),
            ("data:\n  train:\n    - {a: b}\n", 2, ["train: expected a list of texts"]),
            ("data: 3\n", 1, ["expected keys with values"]), ("- a\n- b\n", 1, ["expected keys with values"]),
            ("seed: 1\nstages: 3\n", 2, ["stages: expected a list"]),
            ("stages:\n  - align\n", 2, ["stage: ", "align, select, distil, finetune"]),
            ("stages:\n  - tokens: 3\n    stage: pretrain\n", 2, ["align, select, distil, finetune"]),
            ("stages:\n  - stage: align\n", 2, ["stage align", "'tokens' is missing"]),
            (stages + "    clip: big\n", 4, ["clip: expected a number", "or null"]),
            (stages + "    lora_rank: -1\n", 4, ["lora_rank: expected a whole number from 0 to 65536"]),
            (stages + "    lora_alpha: 0\n", 4, ["lora_alpha: expected a number from 1e-06", "or null"]),
            (stages + "    carry: 0\n", 4, ["carry: expected a whole number from 1 to 4096"]),
            (stages + "    length: 1\n", 4, ["length: expected a whole number from 2", "or null"]),
            (stages + "    learning_rate: inf\n", 4, ["learning_rate"]),
            (stages + "    learning-rate: 1\n", 4, ["'learning-rate' is not known"]),
            (stages + "    schedule: linear\n", 4, ["'cosine' or 'wsd' or 'constant'"]),
            ("stages:\n  - stage: align\n    tokens: 0\n", 3, ["tokens", "1 to"]),
            ("model: a\nseed: 1\nmodel: b\n", 1, ["twice", "model"]),
            ("model: [a\nseed: 3\n", 2, ["not YAML"]), ("a: b: c\n", 1, ["not YAML"]),
            ("model: a\n\tseed: 1\n", 2, ["not YAML"]), ("model: *x\n", 1, ["not YAML"]),
        ])
    func refusals(yaml: String, line: Int, parts: [String]) {
        let error = #expect(throws: TrainingError.self) { try TrainingConfiguration(yaml: yaml, path: "run.yaml") }
        let text = error.map { "\($0)" } ?? ""
        #expect(text.hasPrefix("run.yaml:\(line): "), "\(text)")
        #expect(!text.contains("\n"))
        for part in parts { #expect(text.contains(part), "\(text)") }
    }

    @Test func unreadable() throws {
        let folder = try TemporaryFolder()
        for path in ["\(folder.path)/missing.yaml", folder.path, try folder.write("latin1.yaml", [0x61, 0x3A, 0xE9])] {
            let error = #expect(throws: TrainingError.self) { try TrainingConfiguration(path: path) }
            #expect(error.map { "\($0)" }?.hasPrefix(path) == true)
        }
        let path = try folder.write("run.yaml", "seed: 5\n")
        #expect(try TrainingConfiguration(path: path).seed == 5)
    }

    // MARK: Stages in one line

    @Test func stageList() throws {
        let stages = try StageConfiguration.list("align=4.9M, distil=11.5m,finetune=0,align=64k,distil=1B,finetune=7")
        #expect(stages.map(\.kind) == [.align, .distil, .align, .distil, .finetune])
        #expect(stages.map(\.tokens) == [4_900_000, 11_500_000, 64_000, 1_000_000_000, 7])
        #expect(stages[0] == StageConfiguration(.align, tokens: 4_900_000))
        #expect(stages[0].schedule.peak == 2e-3 && stages[0].newParameterRate == 10 && stages[0].optimiser.clip == 5)
        #expect(
            stages[1].schedule.peak == 1e-4 && stages[1].optimiser.clip == 1
                && stages[4].schedule.peak == 3e-5 && stages[4].schedule.warmUpSteps == 1000)
    }

    @Test func stageLengths() throws {
        let stages = try StageConfiguration.list("align=4.9M,distil=11.5M@4096,finetune=64k@4k,distil=0@2")
        #expect(stages.map(\.length) == [nil, 4096, 4000] && stages.map(\.tokens) == [4_900_000, 11_500_000, 64_000])
        #expect(try StageConfiguration.list("distil=1M@1024")[0].steps(length: 1024) == 489)
    }

    @Test(arguments: [
        "align=1k@", "align=@5", "align=1k@4k@4k", "align=1k@x", "align@5=1k", "align=1k @5", "align=1k@-5", "@",
        "", ",", "align", "align=", "align=k", "align=-1", "align=nan", "align=inf", "align=1e16", "align=2000000G",
        "align=1.5", "align=1 k", "align=1k,", "pretrain=1k", "Align=1k", "align=1=2", "align=0", "align=１",
    ])
    func badStageList(_ text: String) {
        let error = #expect(throws: TrainingError.self) { try StageConfiguration.list(text) }
        #expect(error.map { "\($0)" }?.hasPrefix("stages: expected ") == true)
    }

    @Test func steps() {
        var stage = StageConfiguration(.align, tokens: 1)
        (stage.sequences, stage.accumulation) = (2, 3)
        for (tokens, steps) in [(1, 1), (60, 1), (61, 2), (120, 2), (121, 3)] {
            stage.tokens = tokens
            #expect(stage.steps(length: 10) == steps)
        }
    }

    @Test func sizesWithUnits() throws {
        let settings = try TrainingConfiguration(yaml: "data: {max_line_bytes: 64M}", path: "c.yaml")
        #expect(settings.data.maximumLineBytes == 64_000_000)
    }
}
