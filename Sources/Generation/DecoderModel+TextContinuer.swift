import Evaluation
import Models
import Tokenizers

extension DecoderModel: TextContinuer {
    /// What the model generates after a prompt, always picking the most likely token.
    public func continuation(
        of prompt: [Int32], limit: Int, tokenizer: Tokenizer, until isEnough: (String) -> Bool,
        progress: () throws -> Void
    ) throws -> String {
        let session = try GenerationSession(self)
        try session.read(prompt) { _, _ in try progress() }
        var (sampler, text) = (Sampler(try SamplingOptions()), "")
        _ = try session.continueText(
            limit: limit, sampler: &sampler, tokenizer: tokenizer,
            stops: tokenizer.stops(configuration.decoder.eosTokens), strings: StopStrings()
        ) {
            text += $0
            try progress()
            return !isEnough(text)
        }
        return text
    }
}
