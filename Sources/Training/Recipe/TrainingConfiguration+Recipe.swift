import Models
import Tensors

extension TrainingConfiguration {
    /// The recipe when none is given: a quarter of an hour of a processor, or two and a half minutes of a fast GPU, for a model
    /// of 135M parameters. See docs/recipe.md.
    /// - Parameters:
    ///   - model: that is trained. Where heads can be told apart and none has been chosen yet, the recipe chooses some.
    ///   - keepsSettings: whether the length of rows, the share of recall rows, and how often to measure and save were given.
    public mutating func fillStages(
        for model: ModelConfiguration, on device: Device, keepsSettings: (length: Bool, recall: Bool, frequency: Bool)
    ) throws {
        // Layers that have a window of their own in the source were not chosen, and count for nothing here.
        let layers = model.mixers.indices.filter { !model.decoder.isLocal($0) }
        let isChosen =
            try layers.contains { model.mixers[$0] == SoftmaxAttention.name } || !model.attention.heads.isEmpty
        // Of few heads not all: those of three layers of one are the whole model.
        let heads = min(3, max(1, layers.count * model.decoder.keyValueHeadCount / 3))
        let select = model.decoder.modelType == "moult" && !isChosen ? "select=\(heads)," : ""
        if !keepsSettings.recall { data.recall = 0.15 }
        guard device.traits.isAccelerator else {
            stages = try StageConfiguration.list("align=100k,\(select)distil=300k", length: length)
            return
        }
        if !keepsSettings.length { length = 1024 }
        // Rows that carry the state on, at last, bring back what stands further off than a row: docs/recipe.md, "The study".
        let carry = min(8, model.decoder.maximumPositions / length)
        let distil = carry > 1 ? "distil=9M,distil=2.5M@\(length)x\(carry)" : "distil=11.5M"
        stages = try StageConfiguration.list("align=4.9M,\(select)\(distil)", length: length)
        for place in stages.indices where stages[place].kind == .distil {
            stages[place].schedule.peak = stages[place].carry == 1 ? 1.5e-4 : 5e-5
            if stages[place].carry > 1 { stages[place].sequences = 4 }
        }
        // Measuring and keeping the best student every 50 steps took as long as training.
        if !keepsSettings.frequency { (validation.every, checkpoints.every) = (500, 1000) }
    }
}
