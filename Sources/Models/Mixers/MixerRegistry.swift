import Checkpoints
import Support
import Synchronization

/// The mixers that Moult knows, and those that a program has added.
public enum MixerRegistry {
    /// Moult's own.
    private static let own: [any TokenMixer.Type] = [
        SoftmaxAttention.self,
        MemoryMixer<GatedSlotAttention>.self,
        MemoryMixer<GatedLinearAttention>.self,
        MemoryMixer<GatedDeltaNet>.self,
        MemoryMixer<KimiDeltaAttention>.self,
        MemoryMixer<Mamba2>.self,
        MemoryMixer<Retention>.self,
        MemoryMixer<HGRN2>.self,
        MemoryMixer<RWKV7>.self,
    ]

    /// Those of models of flash-linear-attention, which no conversion asks for by their names.
    private static let published: [any TokenMixer.Type] = [
        PublishedMixer<RetNetLayer>.self,
        PublishedMixer<GLALayer>.self,
        PublishedMixer<GatedDeltaNetLayer>.self,
        PublishedMixer<KimiDeltaLayer>.self,
        PublishedMixer<Mamba2Layer>.self,
        PublishedMixer<HGRN2Layer>.self,
    ]

    private static let added = Mutex<[any TokenMixer.Type]>([])

    /// All of them, in the order in which errors name them.
    public static var all: [any TokenMixer.Type] { own + added.withLock { $0 } }

    /// Adds a mixer of a program's own, which then serves wherever a mixer is named: conversion, training, quantisation, decoding.
    /// Adding the same one again changes nothing.
    /// - Throws: ``ModelError/configuration(key:expected:found:)`` when another mixer has its name.
    public static func register(_ mixer: any TokenMixer.Type) throws {
        let isFree = added.withLock { added in
            guard let known = (own + added).first(where: { $0.name == mixer.name }) else {
                added.append(mixer)
                return true
            }
            return known == mixer
        }
        guard isFree else {
            throw ModelError.configuration(
                key: "name", expected: "a name that no other mixer has", found: "'\(mixer.name)'")
        }
    }

    /// Adds a mixer with a memory of a program's own, as others are added.
    /// - Throws: ``ModelError/configuration(key:expected:found:)`` when another mixer has its name.
    public static func register<Memory: LongMemory>(_ memory: Memory.Type) throws {
        try register(MemoryMixer<Memory>.self)
    }

    /// The mixer called `name`.
    public static func mixer(named name: String) throws -> any TokenMixer.Type {
        let all = all
        guard let mixer = (all + published).first(where: { $0.name == name }) else {
            throw ModelError.configuration(
                key: "moult.layers", expected: all.map { "'\($0.name)'" }.joined(separator: " or "),
                found: "'\(name)'" + Suggestion.hint(name, among: all.map { $0.name }))
        }
        return mixer
    }

    /// The mixer of flash-linear-attention's models of this `model_type`.
    public static func mixer(flashLinearAttention type: String) throws -> any TokenMixer.Type {
        let known = published + all
        guard let mixer = known.first(where: { $0.flashLinearAttentionType == type }) else {
            let types = known.compactMap { $0.flashLinearAttentionType }
            throw ModelError.configuration(
                key: "model_type",
                expected: types.indices.filter { types.firstIndex(of: types[$0]) == $0 }.map { "'\(types[$0])'" }
                    .joined(separator: " or "),
                found: "'\(type)'")
        }
        return mixer
    }
}
