import Tensors

/// A checkpoint whose tensors have other names than in the files: what a program has put around a model when it was saved is
/// left out.
struct RenamedCheckpoint: Checkpoint {
    private let base: any Checkpoint
    let tensors: [TensorDescription]
    /// The names in the files, by those here.
    private let stored: [String: String]
    private let places: [String: Int]

    var path: String { base.path }
    func description(of name: String) -> TensorDescription? { places[name].map { tensors[$0] } }

    func load(_ name: String, as dtype: DType?) throws -> Tensor { try base.load(stored[name] ?? name, as: dtype) }

    func load(_ name: String, number: Int, as dtype: DType?) throws -> Tensor {
        try base.load(stored[name] ?? name, number: number, as: dtype)
    }

    /// Nil when two tensors get one name.
    private init?(_ base: any Checkpoint, _ rename: (String) -> String) {
        var (tensors, stored, places) = ([TensorDescription](), [String: String](), [String: Int]())
        for tensor in base.tensors {
            let name = rename(tensor.name)
            guard stored.updateValue(tensor.name, forKey: name) == nil else { return nil }
            places[name] = tensors.count
            tensors.append(
                TensorDescription(
                    name: name, shape: tensor.shape, format: tensor.format, byteCount: tensor.byteCount,
                    file: tensor.file))
        }
        (self.base, self.tensors, self.stored, self.places) = (base, tensors, stored, places)
    }

    /// What is found where an adapter stands in the place of a model, `which` one, and what to do with it.
    static func adapter(_ which: String) -> String {
        "an adapter (LoRA)\(which); merge it into its model with peft's merge_and_unload() and save that"
    }

    /// What torch.compile and DataParallel put into names.
    private static let wrappers: Set<Substring> = ["_orig_mod", "module"]

    /// The checkpoint with the names that a model has which is saved alone, and a remark about what was left out; nil when
    /// `base` has the tensor `embedding`, or when it is not clear which one that is.
    /// - Throws: ``CheckpointError/notAModel(path:expected:found:)`` for an adapter.
    static func unwrapping(_ base: any Checkpoint, embedding: String) throws -> (RenamedCheckpoint, remark: String)? {
        if let part = base.tensors.first(where: { $0.name.contains(".lora_A") || $0.name.contains(".base_layer.") }) {
            throw CheckpointError.notAModel(
                path: base.path, expected: "a model's own weights",
                found: adapter(", \(part.name)"))
        }
        guard base.description(of: embedding) == nil else { return nil }
        func inner(_ name: String) -> String {
            name.split(separator: ".", omittingEmptySubsequences: false).filter { !wrappers.contains($0) }
                .joined(separator: ".")
        }
        let names = base.tensors.map { inner($0.name) }
        let isWrapped = names != base.tensors.map(\.name)
        let hadWrappers = isWrapped ? "_orig_mod. and module. are left out of tensors' names" : nil
        if names.contains(embedding) {
            return RenamedCheckpoint(base, inner).flatMap { checkpoint in hadWrappers.map { (checkpoint, $0) } }
        }
        let found = names.filter { $0.hasSuffix("." + embedding) }
        let bare = embedding.split(separator: ".", maxSplits: 1).last.map(String.init) ?? embedding
        if found.count == 1 {
            let prefix = found[0].dropLast(embedding.count)
            return RenamedCheckpoint(base) { name in
                let name = inner(name)
                return name.hasPrefix(prefix) ? String(name.dropFirst(prefix.count)) : name
            }.map { ($0, "tensors are read without \(prefix) before their names") }
        }
        guard found.isEmpty, names.contains(bare) else { return nil }
        let outer = embedding.dropLast(bare.count)
        return RenamedCheckpoint(base) { name in
            let name = inner(name)
            return ["lm_head.", "embed_out.", outer].contains { name.hasPrefix($0) } ? name : outer + name
        }.map { ($0, "tensors are read with \(outer) before their names") }
    }
}
