import Checkpoints
import Foundation
import Models
import Support

/// The README.md of a model's folder: what it is, what was done to it and how it was measured, how to run it. It is written
/// from the record and never read.
struct ModelCard {
    let record: ModelRecord
    let configuration: ModelConfiguration
    /// The model's name, which is that of its folder.
    let name: String
    /// Cards that others wrote, which lie beside this one.
    let others: [String]

    /// The longest card that is looked at, bytes.
    static let limit = 1 << 24

    var text: String {
        var parts = [frontMatter, "# \(Self.plain(name))", summary, facts]
        for (index, step) in record.steps.enumerated() {
            switch step {
            case .conversion(let step): parts.append(section(step, isLast: !isTrained(after: index)))
            case .training(let step): parts.append(section(step))
            case .quantisation(let step): parts.append(section(step, followsTraining: isTrained(before: index)))
            }
        }
        let recall =
            "What the model recalls of a long context has not been measured here, and perplexity does not show it: "
            + "`moult evaluate --tasks recall` does."
        if configuration.hasRecurrentLayers { parts.append(recall) }
        if !others.isEmpty {
            let list = others.map(Self.code).joined(separator: ", ")
            parts.append("Earlier cards, as they were: \(list).")
        }
        let word = ShellWord.quoted(name)
        parts.append(
            """
            ## Use

                moult generate \(word) --prompt "Once upon a time"
                moult perplexity \(word) --data text.txt
            """)
        return parts.joined(separator: "\n\n") + "\n"
    }

    // MARK: Head

    /// YAML, every text of it quoted.
    private var frontMatter: String {
        let source = record.source
        var lines = ["library_name: moult", "pipeline_tag: text-generation"]
        if let repository = source.repository {
            lines.append("base_model: \(Self.quoted(repository))")
        } else if let name = ModelSource.checked(source.name) {
            lines.append("# The name of its folder or file: what the Hub calls it is not known.")
            lines.append("base_model: \(Self.quoted(name))")
        }
        lines.append("license: \(Self.quoted(source.license?.id ?? "unknown"))")
        if let name = source.license?.name { lines.append("license_name: \(Self.quoted(name))") }
        if let link = source.license?.link { lines.append("license_link: \(Self.quoted(link))") }
        var tags = configuration.hasRecurrentLayers ? ["linear-attention", "recurrent"] : []
        if configuration.mixers.contains(GatedSlotAttention.name) { tags.insert("gated-slot-attention", at: 0) }
        if let conversion = record.conversion { tags.append(conversion.profile) }
        if !tags.isEmpty { lines.append("tags: [\(tags.map(Self.quoted).joined(separator: ", "))]") }
        return (["---"] + lines + ["---"]).joined(separator: "\n")
    }

    private var summary: String {
        let steps = record.steps.map { step in
            switch step {
            case .conversion: "converted to a recurrent model"
            case .training(let training): "trained on \(ConversionReport.grouped(training.tokens)) tokens"
            case .quantisation(let quantisation): "rounded to \(quantisation.bits) bits"
            }
        }
        let done = steps.isEmpty ? "written" : steps.joined(separator: ", ")
        return "\(sourceName) (\(Self.plain(record.source.modelType))), \(done) by Moult. \(memory)"
    }

    private var sourceName: String { Self.plain(record.source.repository ?? record.source.name) }

    private var memory: String {
        let kept = configuration.softmaxLayers
        if kept.isEmpty { return "The memory of a sequence does not grow with its length." }
        return configuration.hasRecurrentLayers
            ? "The memory of a sequence grows with its length in the layers that keep softmax attention alone."
            : "The memory of a sequence grows with its length."
    }

    private var facts: String {
        let decoder = configuration.decoder
        let kept = configuration.softmaxLayers
        let isHybrid = configuration.hasRecurrentLayers && !kept.isEmpty
        let layers = isHybrid ? ", softmax attention kept in \(kept.map(String.init).joined(separator: ", "))" : ""
        let rules = (try? DecoderModel.rules(configuration)) ?? []
        let parameters = rules.reduce(0) { $0 + $1.count }
        let license = record.source.license.map { license in
            [license.id, license.name, license.link].compactMap { $0.map(Self.plain) }.joined(separator: ", ")
                + " (the source's, by its \(license.origin))"
        }
        return Self.table([
            ("base model", sourceName),
            ("licence", license ?? "unknown: the source's files do not say it"),
            ("layers", "\(decoder.layerCount)\(layers)"),
            (
                "hidden size, heads, key/value heads, head dim",
                "\(decoder.hiddenSize), \(decoder.headCount), \(decoder.keyValueHeadCount), \(decoder.headDim)"
            ),
            ("parameters", ConversionReport.grouped(parameters)),
        ])
    }

    private func isTrained(after index: Int) -> Bool { record.steps[(index + 1)...].contains(where: Self.isTraining) }
    private func isTrained(before index: Int) -> Bool { record.steps[..<index].contains(where: Self.isTraining) }
    private static func isTraining(_ step: ModelRecord.Step) -> Bool {
        if case .training = step { true } else { false }
    }

    // MARK: Text

    static func table(_ rows: [(String, String)]) -> String {
        (["| | |", "|---|---|"] + rows.map { "| \($0.0) | \($0.1) |" }).joined(separator: "\n")
    }

    /// A text from elsewhere as words of a line: what Markdown takes for more is escaped.
    static func plain(_ text: String) -> String {
        printable(text).reduce(into: "") { result, character in
            switch character {
            case "\\", "`", "*", "|", "[", "]", "#": result += "\\\(character)"
            case "<": result += "&lt;"
            case "&": result += "&amp;"
            default: result.append(character)
            }
        }
    }

    /// A text from elsewhere as a word of code.
    static func code(_ text: String) -> String {
        "`" + printable(text).replacing("`", with: "'").replacing("|", with: "\\|") + "`"
    }

    private static func printable(_ text: String) -> String {
        String(text.unicodeScalars.prefix(200).map { $0.properties.isPrintable ? Character($0) : " " })
    }

    /// A text as a quoted scalar of YAML, which JSON's strings are.
    static func quoted(_ text: String) -> String {
        JSONValue.string(printable(text)).text()
    }
}

extension Unicode.Scalar.Properties {
    /// Neither a control character nor one of the marks that turn the direction of text or join lines.
    fileprivate var isPrintable: Bool {
        switch generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .unassigned: false
        default: true
        }
    }
}

extension ModelConfiguration {
    var softmaxLayers: [Int] { mixers.indices.filter { mixers[$0] == SoftmaxAttention.name } }
    var hasRecurrentLayers: Bool { softmaxLayers.count < mixers.count }
}
