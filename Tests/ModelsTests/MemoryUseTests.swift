import Models
import Tensors
import TestSupport
import Testing

@Suite("What memories do with a token")
struct MemoryUseTests {
    private static let text = (0..<90).map { Int32(($0 * 7 + 3) % 60) }

    /// What the memories do with a token behind the text, and the tensors of a name before and after it, a layer each.
    private static func look(
        _ name: String, at tensor: String
    ) throws -> (uses: [MemoryUse], before: [Tensor], after: [Tensor], model: DecoderModel) {
        let model = try tinyModel(name)
        let state = try model.makeState()
        _ = try model.nextLogits(text, state: state)
        let before = try state.snapshot()
        let uses = try model.memoryUses(of: 5, state: state)
        // The token is read as ever.
        let usual = try model.makeState(from: before)
        _ = try model.nextLogits([5], state: usual)
        let (after, expected) = (try state.snapshot(), try usual.snapshot())
        #expect(after.position == text.count + 1)
        for (own, other) in zip(after.tensors, expected.tensors) {
            #expect(own.name == other.name)
            #expect(try own.value.array() == other.value.array())
        }
        func found(_ snapshot: StateSnapshot) -> [Tensor] {
            snapshot.tensors.filter { $0.name.hasSuffix(tensor) }.map(\.value)
        }
        return (uses, found(before), found(after), model)
    }

    @Test(arguments: ["moult-gsa", "moult-gsa-window", "fla-gsa-tied"])
    func slots(_ name: String) throws {
        for tensor in ["slots.keys", "slots.values"] {
            let (uses, before, after, model) = try Self.look(name, at: tensor)
            #expect(
                uses.map(\.layer) == Array(0..<model.configuration.decoder.layerCount) && before.count == uses.count)
            for (use, (before, after)) in zip(uses, zip(before, after)) {
                let slots = try #require(use.slots)
                let (heads, count, width) = (use.heads.count, slots.slots, before.shape[3])
                #expect(use.mixer == "gsa" && before.shape == [1, heads, count, width])
                #expect(slots.kept.count == heads * count && slots.kept.allSatisfy { $0 > 0 && $0 < 1 })
                #expect(use.windowShares.count == (name == "moult-gsa-window" ? heads : 0))
                #expect(use.windowShares.allSatisfy { $0 > 0 && $0 < 1 })
                let (old, new) = (try before.array(), try after.array())
                for head in 0..<heads {
                    let read = slots.read[head * count..<(head + 1) * count]
                    #expect(abs(read.reduce(0, +) - 1) < 1e-5 && Set(read).count > 1)
                    // S = kept · S + (1 - kept) · x with the same x for all slots: what is written in each is that.
                    let forgetful =
                        (0..<count).min { slots.kept[head * count + $0] < slots.kept[head * count + $1] } ?? 0
                    func written(_ slot: Int, _ channel: Int) -> Float {
                        let place = head * count + slot
                        return new[place * width + channel] - slots.kept[place] * old[place * width + channel]
                    }
                    for slot in 0..<count {
                        for channel in 0..<width {
                            let share =
                                (1 - slots.kept[head * count + slot]) / (1 - slots.kept[head * count + forgetful])
                            #expect(abs(written(slot, channel) - share * written(forgetful, channel)) < 1e-4)
                        }
                    }
                }
            }
        }
    }

    @Test(arguments: ["moult-gla", "moult-gated_deltanet", "moult-retention", "moult-hybrid"])
    func statesWithoutSlots(_ name: String) throws {
        let (uses, before, after, _) = try Self.look(name, at: name == "moult-hybrid" ? "slots.keys" : "state")
        #expect(!uses.isEmpty)
        guard name != "moult-hybrid" else {
            // Layers with softmax attention have no memory.
            #expect(uses.allSatisfy { $0.slots != nil })
            return
        }
        #expect(before.count == uses.count)
        for (use, (before, after)) in zip(uses, zip(before, after)) {
            #expect(use.slots == nil)
            let (old, new) = (try before.array(), try after.array())
            let width = old.count / use.heads.count
            for head in use.heads.indices {
                let places = head * width..<(head + 1) * width
                let (own, past) = (new[places], old[places])
                let size = past.reduce(0) { $0 + $1 * $1 }
                #expect(abs(use.norms[head] - own.reduce(0) { $0 + $1 * $1 }.squareRoot()) < 1e-4 * use.norms[head])
                let kept = zip(own, past).reduce(0) { $0 + $1.0 * $1.1 } / size
                #expect(abs(use.kept[head] - kept) < 1e-4)
                if name == "moult-retention" { #expect(use.kept[head] > 0.3 && use.kept[head] < 1.2) }
            }
        }
    }
}
