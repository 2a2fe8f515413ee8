import Evaluation
import Foundation
import Models
import TestSupport
import Tokenizers

/// A small byte-level tokenizer that was trained on English.
func englishTokenizer() throws -> Tokenizer {
    try Tokenizer.load(directory: testsFolder.appendingPathComponent("TrainingTests/Fixtures/teacher"))
}

/// Finds in a context the number that stands where the question's words stood before: what every model should learn.
struct LookUp: ContinuationScorer, NoContinuer {
    let tokenizer: Tokenizer

    func scores(_ prompts: [Prompt], progress: () throws -> Void) throws -> [[ContinuationScore]] {
        try prompts.map { prompt in
            let context = try tokenizer.decode(prompt.context, skipSpecialTokens: false)
            return try prompt.continuations.map {
                let text = try tokenizer.decode($0.tokens, skipSpecialTokens: false)
                let statement = text.split(separator: "\n").last.map { $0.split(separator: "? ").last ?? $0 } ?? ""
                let isTrue = context.contains(statement)
                return ContinuationScore(logLikelihood: isTrue ? 0 : -1, isGreedy: isTrue)
            }
        }
    }
}

/// What scores, but generates nothing.
protocol NoContinuer: TextContinuer {}

extension NoContinuer {
    func continuation(
        of prompt: [Int32], limit: Int, tokenizer: Tokenizer, until isEnough: (String) -> Bool,
        progress: () throws -> Void
    ) throws -> String { "" }
}
