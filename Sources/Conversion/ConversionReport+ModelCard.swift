import Foundation
import Models

extension ConversionReport {
    /// The folder's README.md: what the model is, where every parameter came from, how to run it.
    public func modelCard(name: String) -> String {
        let decoder = plan.target.decoder
        let kept = plan.target.mixers.indices.filter { plan.target.mixers[$0] == SoftmaxAttention.name }
        let options = plan.options
        var card = """
            ---
            library_name: moult
            pipeline_tag: text-generation
            tags: [gated-slot-attention, linear-attention, recurrent, \(options.profile.rawValue)]
            ---

            # \(name)

            \(URL(fileURLWithPath: plan.sourcePath).lastPathComponent) (\(plan.source.modelType)), converted by Moult to a
            recurrent model: Gated Slot Attention (arXiv 2409.07146), profile `\(options.profile.rawValue)`, \(options.slots)
            slots per key/value head, \(windowText). The memory of a sequence does not grow with its length.
            **Not trained since the conversion.**

            | | |
            |---|---|
            | layers | \(decoder.layerCount)\(kept.isEmpty ? "" : ", softmax attention kept in \(kept.map(String.init).joined(separator: ", "))") |
            | hidden size, heads, key/value heads, head dim | \(decoder.hiddenSize), \(decoder.headCount), \(decoder.keyValueHeadCount), \(decoder.headDim) |
            | parameters | \(Self.grouped(targetParameters)) |
            | seed of new parameters | \(options.seed) |

            ## Where the parameters come from

            | | tensors | parameters | share |
            |---|---:|---:|---:|
            \(row("reused from the source", reused, "of this model"))
            \(row("initialised", initialised, "of this model"))
            \(row("dropped from the source", dropped, "of the source"))

            """
        if !initialisedKinds.isEmpty {
            card += "\n| new parameter | tensors | parameters | initialised as |\n|---|---:|---:|---|\n"
            for kind in initialisedKinds {
                card += "| `\(kind.pattern)` | \(kind.tensors) | \(Self.grouped(kind.parameters)) | \(kind.how) |\n"
            }
        }
        if !plan.dropped.isEmpty {
            card += "\n| dropped | why |\n|---|---|\n"
            for tensor in plan.dropped { card += "| `\(tensor.name)` | \(tensor.reason) |\n" }
        }
        card += """

            Every tensor is listed in `conversion.json`.

            ## Use

                moult generate \(name) --prompt "Once upon a time"
                moult perplexity \(name) --data text.txt

            """
        return card
    }

    private var windowText: String {
        let window = (plan.options.window ?? (plan.options.profile == .fla ? 0 : 64))
        return window > 0 ? "beside softmax attention over the last \(window) tokens" : "without a local window"
    }

    private func row(_ label: String, _ share: Share, _ of: String) -> String {
        "| \(label) | \(share.tensors) | \(Self.grouped(share.parameters)) | \(String(format: "%.2f", share.percent))% \(of) |"
    }
}
