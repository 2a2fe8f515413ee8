import Foundation
import Generation
import Models
import Support
import Tensors

/// What is said before a conversation.
struct ChatGreeting {
    let path: String
    let model: DecoderModel
    let sampler: Sampler
    /// nil when the random numbers are those of a state.
    let seed: UInt64?

    /// Lines: the model, what it remembers with, how it chooses words, and how to stop.
    var text: String {
        get throws {
            let options = sampler.options
            var lines = ["\(ForeignText.line(name, limit: 60)): \(mixers); memory of the conversation \(try memory)"]
            if options.temperature > 0 {
                let topK = options.topK.map { ", top-k \($0)" } ?? ""
                let topP = options.topP < 1 ? ", top-p \(options.topP)" : ""
                let minP = options.minP > 0 ? ", min-p \(options.minP)" : ""
                lines.append(
                    "sampled with temperature \(options.temperature)\(topK)\(topP)\(minP)"
                        + (seed.map { ", --seed \($0)" } ?? ""))
            }
            return (lines + ["/help shows what can be typed, /exit or Ctrl-D ends, Ctrl-C stops an answer", ""])
                .joined(separator: "\n")
        }
    }

    private var name: String { URL(fileURLWithPath: path).lastPathComponent }

    /// "27 layers of gsa, 3 of attention".
    private var mixers: String {
        let kinds = Dictionary(grouping: model.configuration.mixers) { $0 }.sorted {
            ($1.value.count, $0.key) < ($0.value.count, $1.key)
        }
        return kinds.enumerated().map { "\($1.value.count) \($0 == 0 ? "layers of " : "of ")\($1.key)" }
            .joined(separator: ", ")
    }

    private var memory: String {
        get throws {
            let configuration = model.configuration
            let cost = try configuration.stateCost(on: model.device, cache: model.cacheType)
            let perToken = String(format: "%.1f kB", Double(cost.perToken) / 1000)
            guard cost.perToken > 0 else { return "\(ByteCount.text(cost.constant)), constant" }
            return cost.constant > 0
                ? "\(ByteCount.text(cost.constant)) and \(perToken) more with every token"
                : "grows by \(perToken) with every token"
        }
    }
}
