import Foundation
import Models

/// What each step did.
extension ModelCard {
    // MARK: Conversion

    /// - Parameter isLast: whether the model has not been trained since.
    func section(_ step: ModelRecord.Conversion, isLast: Bool) -> String {
        let sinks = step.sinks.map { $0 > 0 ? "the first \($0) and " : "" } ?? ""
        let window =
            step.window > 0
            ? "beside softmax attention over \(sinks)the last \(step.window) tokens" : "without a local window"
        var parts = [
            "## Converted",
            "By Moult \(Self.plain(step.moult)): \(mixers(step)), \(window). "
                + "Seed of new parameters: \(Self.plain(step.seed)).",
        ]
        let kept =
            (step.keptLayers ?? []).map { "layer \($0)" } + (step.keptHeads ?? []).map { "head \(Self.plain($0))" }
        if !kept.isEmpty {
            let seen = step.attentionWindow.map { "\(sinks)the last \($0) tokens" } ?? "all tokens"
            let positions = step.attentionPositions.map { ", \(Self.plain($0))" } ?? ""
            parts.append(
                "Softmax attention over \(seen)\(positions) is kept in \(kept.joined(separator: ", ")) (LAYER:HEAD).")
        }
        if isLast { parts.append("**Not trained since the conversion.**") }
        func row(_ label: String, _ share: ConversionReport.Share, _ whole: String) -> String {
            "| \(label) | \(share.tensors) | \(ConversionReport.grouped(share.parameters)) | "
                + String(format: "%.2f", share.percent) + "% \(whole) |"
        }
        parts.append(
            [
                "| | tensors | parameters | share |", "|---|---:|---:|---:|",
                row("reused from the source", step.reused, "of this model"),
                row("initialised", step.initialised, "of this model"),
                row("dropped from the source", step.dropped, "of the source"),
            ].joined(separator: "\n"))
        parts += [("new parameter", "initialised as", step.new), ("dropped", "why", step.left)].compactMap(list)
        parts.append("Every tensor is listed in `conversion.json`.")
        return parts.joined(separator: "\n\n")
    }

    /// "Gated Slot Attention (arXiv 2409.07146), profile `fla`, 64 slots per key/value head".
    private func mixers(_ step: ModelRecord.Conversion) -> String {
        let profile = "profile `\(Self.plain(step.profile))`"
        let mixers =
            step.mixers
            ?? [
                .init(
                    name: step.mixer, title: (try? MixerRegistry.mixer(named: step.mixer))?.title ?? step.mixer,
                    options: step.slots.map { "\($0) slots per key/value head" }, layers: [])
            ]
        if mixers.count == 1 {
            return [Self.plain(mixers[0].title), profile, mixers[0].options.map(Self.plain)].compactMap { $0 }
                .joined(separator: ", ")
        }
        let parts = mixers.map { mixer in
            let layers = mixer.layers.map(String.init).joined(separator: ", ")
            return Self.plain(mixer.title) + (mixer.options.map { ", \(Self.plain($0))," } ?? "")
                + " in layers \(layers)"
        }
        return (parts.isEmpty ? ["softmax attention alone"] : parts).joined(separator: "; ") + ", \(profile)"
    }

    private func list(_ what: String, _ how: String, _ kinds: [ModelRecord.Conversion.Kind]) -> String? {
        guard !kinds.isEmpty else { return nil }
        let rows = kinds.map {
            "| \(Self.code($0.name)) | \($0.tensors) | \(ConversionReport.grouped($0.parameters)) | "
                + "\(Self.plain($0.how)) |"
        }
        return (["| \(what) | tensors | parameters | \(how) |", "|---|---:|---:|---|"] + rows).joined(separator: "\n")
    }

    // MARK: Training

    func section(_ step: ModelRecord.Training) -> String {
        let place = "step \(ConversionReport.grouped(step.step)) of \(ConversionReport.grouped(step.steps))"
        let kind =
            step.isBest ? "the run's model with the lowest perplexity on the text held apart" : "the run's last model"
        var parts = ["## Trained", "By Moult \(Self.plain(step.moult)); \(kind), at \(place)."]
        let stages = step.stages.map {
            let rows = $0.rowLength.map { ", rows of \(ConversionReport.grouped($0)) tokens" } ?? ""
            let adapters = $0.adapterRank.map { ", adapters of rank \($0)" } ?? ""
            return "| \(Self.plain($0.name))\(rows)\(adapters) | \(ConversionReport.grouped($0.tokens)) | "
                + "\(ConversionReport.grouped($0.steps)) |"
        }
        parts.append((["| stage | tokens | steps |", "|---|---:|---:|"] + stages).joined(separator: "\n"))
        var rows = [("text", Self.files(step.text, of: step.textFiles)), ("tokens of a row", "\(step.rowLength)")]
        if let recall = step.recallShare {
            rows.append(("recall rows", String(format: "%g%% of the rows", 100 * recall)))
        }
        let share = step.heldShare > 0 ? String(format: "%g%% of the text", 100 * step.heldShare) : "nothing"
        rows.append(("held apart", step.heldText.isEmpty ? share : Self.files(step.heldText, of: step.heldText.count)))
        if let teacher = step.teacher {
            let difference = teacher.difference.map { $0 > WeightSamples.roundingLimit ? $0 : 0 } ?? 0
            let text = ", whose weights differ from the source's by " + WeightSamples.percent(difference)
            rows.append(("teacher", Self.plain(teacher.name) + (difference > 0 ? text : "")))
        }
        parts.append(Self.table(rows))
        let perplexities = [
            ("the teacher", step.perplexity.teacher), ("this model before the training", step.perplexity.before),
            ("this model", step.perplexity.after),
        ].compactMap { row in row.1.map { (row.0, String(format: "%.2f", $0)) } }
        parts.append(
            perplexities.isEmpty
                ? "Its perplexity was not measured."
                : "Perplexity on \(step.perplexity.rows) rows of the text held apart:\n\n" + Self.table(perplexities))
        return parts.joined(separator: "\n\n")
    }

    private static func files(_ names: [String], of count: Int) -> String {
        let more = count > names.count ? " and \(ConversionReport.grouped(count - names.count)) more files" : ""
        return names.map(code).joined(separator: ", ") + more
    }

    // MARK: Quantisation

    func section(_ step: ModelRecord.Quantisation, followsTraining: Bool) -> String {
        let text = step.calibrationText.map { " of \(Self.code($0))" } ?? ""
        let how =
            step.calibrationTokens > 0
            ? "calibrated on \(ConversionReport.grouped(step.calibrationTokens)) tokens\(text)" : "not calibrated"
        var sentence =
            "By Moult \(Self.plain(step.moult)), \(how): the weight matrices of the layers to \(step.bits) bits, embedding and "
            + "head to \(step.embeddingBits), in groups of \(step.groupSize). \(step.rounded) tensors are rounded, "
            + "\(step.kept) are as they were (vectors, and matrices without whole groups); "
            + String(format: "%.2f", step.bitsPerParameter)
            + " bits per parameter in all. Every tensor's error is in `quantisation.json`."
        if followsTraining { sentence += " The perplexity above is from before the rounding." }
        return "## Quantised\n\n" + sentence
    }
}
