import Conversion
import Generation
import Text
import Training

/// The command line's words for what libraries call by their own names: a property is a flag here.
enum FlagWords {
    /// Properties whose flags are not their own words.
    private static let flags = [
        "model": "MODEL", "data.train": "--data", "data.recall": "--recall", "data.answerWeight": "--answer-weight",
        "keptAttention": "--keep-attention", "stopStrings": "--stop",
        "maximumBody": "--max-body", "maximumPrompt": "--max-prompt-tokens", "maximumTokens": "--max-tokens",
        "requestSeconds": "--request-timeout", "graceSeconds": "--grace", "stateBytes": "--state-cache-size",
        "stateDiskBytes": "--state-disk-size", "modelBytes": "--model-memory",
    ]
    /// Properties whose flags are their own words.
    private static let properties: Set = [
        "attentionLogScale", "attentionPositions", "attentionWindow", "batch", "bits", "connections", "dtype",
        "embeddingBits", "groupSize",
        "length", "logitBias", "loraAlpha", "loraRank", "loraTargets", "minP", "mixer", "name", "port", "profile",
        "promptCache", "queue", "repetitionPenalty",
        "repetitionWindow",
        "seed", "sinks",
        "slots", "stages", "stateFolder", "teacher", "temperature", "topK", "topP", "window",
    ]
    /// What libraries advise, and what is done about it here.
    private static let advice = [
        ("set allowNonFinite", "pass --allow-non-finite"), ("choose another output", "choose another --output"),
        ("begin a new run in another folder", "begin a new run in another --output"),
        ("or resuming to go on", "or --resume to go on"),
        ("or leave to replace a state", "or --force to replace a state"),
        ("at least one token of text", "at least one token of text with --prompt"),
        ("give a file that Moult saved", "give a file made with --save-state"),
        ("the model and the dtype it was", "the model and --dtype it was"),
        ("give the folder of a run", "give the folder that 'moult train' wrote with --output"),
        ("(maximumLineBytes)", "(--max-line-bytes)"), ("with profile fla", "with --profile fla"),
        ("the optimiser in the host's memory", "--optimizer-memory host"),
        ("the teacher in the host's memory", "--teacher-memory host"),
        ("both in the host's memory", "--optimizer-memory host --teacher-memory host"),
        ("adapters (lora_rank)", "adapters (--lora-rank)"), ("see data.recall", "see --recall"),
        ("with it (loraRank)", "with it (--lora-rank)"),
    ]

    /// What is said of `error`.
    static func text(of error: any Error) -> String {
        let isOption =
            switch error {
            case ConversionError.option, GenerationError.option, TrainingError.option, DataError.option: true
            default: false
            }
        return isOption ? named("\(error)") : advised("\(error)")
    }

    /// A text that begins with a property and a colon.
    static func named(_ text: String) -> String {
        guard let end = text.firstIndex(of: ":"), let flag = flag(String(text[..<end])) else { return advised(text) }
        return flag + advised(String(text[end...]))
    }

    private static func flag(_ property: String) -> String? {
        if let flag = flags[property] { return flag }
        let option = property.trimmingPrefix("mixerOptions.")
        if option.count < property.count { return "--mixer-option \(option)" }
        guard properties.contains(property) else { return nil }
        return "--" + property.map { $0.isUppercase ? "-\($0.lowercased())" : String($0) }.joined()
    }

    private static func advised(_ text: String) -> String {
        advice.reduce(text) { $0.replacing($1.0, with: $1.1) }
    }
}
