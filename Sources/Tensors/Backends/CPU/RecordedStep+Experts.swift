import CKernels

/// Mixtures of experts in a step.
extension RecordedStep {
    /// sum += Σ w · expert(x) over the experts that each row takes by its `router` logits (rows, E); x is to be read by the
    /// weights of their gates and ups.
    public func experts(_ x: Rows, router: Rows, _ experts: Experts, addedTo sum: Rows) throws {
        try experts.require("experts", width: x.width)
        guard router.width == experts.all.count, sum.width == x.width else {
            throw TensorError.shape(
                operation: "experts", argument: "router", expected: "rows of \(experts.all.count)",
                found: [capacity, router.width])
        }
        let inner = try rows(
            width: experts.active * experts.all[0].gate.shape[0], readers: experts.all.map(\.down))
        let all = try experts.all.map {
            moult_expert(
                gate: try product($0.gate, bias: nil, out: nil), up: try product($0.up, bias: nil, out: nil),
                down: try product($0.down, bias: nil, out: nil))
        }
        // A run reads as many as a row takes at least.
        weights += experts.all.prefix(experts.active).flatMap(\.weights)
        guard
            let routes = moult_step_route(handle, router.pointer, Int64(experts.active), experts.isNormalised)
        else { throw outOfMemory(router.width) }
        try check(
            moult_step_experts(
                handle, x.pointer, routes, all, Int64(all.count), experts.activation.kernel, inner.pointer,
                sum.pointer), inner.width)
    }
}
