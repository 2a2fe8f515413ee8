import Tensors

/// What stands in a step for the keys and values of each sequence.
final class CapturedKeyValueCache: AttentionCache {
    let cache: CapturedCache

    init(cache: CapturedCache) { self.cache = cache }

    func attend(_ heads: AttentionHeads, context: MixerContext) throws -> Tensor {
        try heads.q.attention(
            over: cache, k: heads.k, v: heads.v, scale: heads.scale, cap: heads.cap, sinkQueries: heads.sinkQueries)
    }

    // It holds nothing of its own.
    var byteCount: Int { 0 }
    func copy() -> MixerState { self }
    func undo() -> () -> Void { {} }
    func store(in snapshot: inout StateSnapshot, prefix: String) {}
    func restore(_ snapshot: StateSnapshot, prefix: String) {}
}
