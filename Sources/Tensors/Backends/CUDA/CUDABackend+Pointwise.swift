extension CUDABackend {
    public func pointwise(_ call: PointwiseCall) throws -> [Tensor] {
        let sums = PointwiseSums(call)
        if let sums, sums.columns > Int32.max {
            throw TensorError.device("sums of expressions take up to 2³¹ - 1 elements at once; found \(sums.columns)")
        }
        let results = try call.results.map { try empty($0.shape, $0.type) }
        guard call.count > 0 else {
            for result in results { try result.clear() }
            return results
        }
        func place(_ tensor: Tensor, _ form: PointwiseText.Form) -> PointwiseText.Place {
            PointwiseText.Place(tensor.dtype, form, isAligned: tensor.isVectorAligned)
        }
        // What is added up in more than one part has memory for the parts first.
        let targets = try zip(call.results, results).map { result, tensor -> Tensor in
            switch sums?.form(result) {
            case .rowSum? where sums?.isDirect(result) == false:
                return try empty([result.shape.reduce(1, *), sums?.parts(result) ?? 1], .float32)
            case .spread?: return try empty([sums?.blocks ?? 1, sums?.columns ?? 1], .float32)
            default: return tensor
            }
        }
        let text = PointwiseText(
            program: call.program.withoutConstants(),
            inputs: call.inputs.map { place($0.tensor, $0.broadcast.isWhole(of: call.count) ? .whole : .spread) },
            results: zip(call.results, targets).map { place($1, sums?.form($0) ?? .whole) },
            isLong: call.count > Int(Int32.max))
        var arguments = call.inputs.map { Argument.tensor($0.tensor) } + targets.map { .tensor($0) }
        arguments += call.program.constants.map { .float($0) }
        for (input, place) in zip(call.inputs, text.inputs) where place.form == .spread {
            arguments += [.long(input.broadcast.inner), .long(input.broadcast.count)]
        }
        guard let sums else {
            try device.launch(text, grid: ((call.count + 2047) / 2048, 1, 1), arguments + [.long(call.count)])
            return results
        }
        try device.launch(
            text, grid: (sums.blocks, sums.strips, 1), block: (sums.lanes, 256 / sums.lanes),
            arguments + [.long(sums.rows), .int(sums.columns), .int(sums.unit), .int(sums.each)])
        for (index, result) in call.results.enumerated() {
            switch sums.form(result) {
            case .whole: continue
            case .rowSum:
                guard !sums.isDirect(result) else { continue }
                try fold(targets[index], inner: sums.parts(result), into: results[index])
            case .spread:
                let totals = try zeros([sums.columns])
                try addColumnSums(targets[index], into: totals)
                try fold(totals, inner: result.broadcast.inner, into: results[index])
            }
        }
        return results
    }

    /// `sums` (count) = the sums of the elements e of `parts`, float32, with e / inner mod count the same.
    private func fold(_ parts: Tensor, inner: Int, into sums: Tensor) throws {
        try device.launch(
            "sums.cu", "fold<\(sums.dtype == .float32 ? "float" : "bf16")>", grid: ((sums.count + 7) / 8, 1, 1),
            block: (32, 8), [.tensor(parts), .tensor(sums), .long(parts.count), .int(inner), .long(sums.count)])
    }
}

/// How a call with sums is shared out: see `Strip` of pointwise.cuh. All of it follows from the shapes, and so does the
/// order of the sums.
private struct PointwiseSums {
    let count: Int
    /// Elements that the sums over rows, and those within them, repeat after.
    let columns: Int
    /// Elements that the smallest sum within rows takes.
    let unit: Int
    /// Rows that a block takes.
    let each: Int

    var rows: Int { count / columns }
    var blocks: Int { (rows + each - 1) / each }
    /// Strips in a unit, and in a row.
    var unitParts: Int { (unit + 255) / 256 }
    var strips: Int { columns / unit * unitParts }
    let lanes: Int

    /// nil for a call without sums.
    init?(_ call: PointwiseCall) {
        let sums = call.results.map(\.broadcast).filter { !$0.isWhole(of: call.count) }
        guard !sums.isEmpty, call.count > 0 else { return nil }
        let within = sums.filter { $0.isWithinRows(of: call.count) }.map(\.inner)
        let over = sums.filter { !$0.isWithinRows(of: call.count) }.map { $0.inner * $0.count }
        count = call.count
        columns = (within + over).max() ?? 1
        unit = within.min() ?? columns
        var lanes = 1
        while lanes < (min(unit, 256) + 7) / 8 { lanes *= 2 }
        self.lanes = lanes
        let (rows, together) = (count / columns, 256 / lanes)
        let strips = columns / unit * ((unit + 255) / 256)
        // As many blocks as keep a card busy: each leaves a row of parts for the sums over rows.
        let blocks = over.isEmpty ? rows : max(1, 1024 / strips)
        each = max(together, (rows + blocks - 1) / blocks)
    }

    func form(_ result: PointwiseCall.Result) -> PointwiseText.Form {
        if result.broadcast.isWhole(of: count) { return .whole }
        return result.broadcast.isWithinRows(of: count) ? .rowSum : .spread
    }

    /// The parts that a sum within rows comes in.
    func parts(_ result: PointwiseCall.Result) -> Int { result.broadcast.inner / unit * unitParts }
    func isDirect(_ result: PointwiseCall.Result) -> Bool { parts(result) == 1 }
}

extension CUDABackend {
    public func l2Normed(_ x: Tensor, epsilon: Float) throws -> Tensor {
        let (result, geometry) = (try empty(x.shape), try rowGeometry(x, "l2Normed", most: 2048))
        try device.launch(
            "norm.cu", "l2_normalise<\(geometry.isNarrow)>", grid: (geometry.blocks, 1, 1), block: geometry.block,
            [.tensor(x), .float(epsilon), .tensor(result), .int(geometry.rows), .int(geometry.dim)])
        return result
    }

    public func l2NormedBackward(_ gradient: Tensor, x: Tensor, epsilon: Float) throws -> Tensor {
        let (result, geometry) = (try empty(x.shape), try rowGeometry(x, "l2Normed", most: 2048))
        try device.launch(
            "norm.cu", "l2_normalise_backward<\(geometry.isNarrow)>", grid: (geometry.blocks, 1, 1),
            block: geometry.block,
            [
                .tensor(gradient), .tensor(x), .float(epsilon), .tensor(result), .int(geometry.rows),
                .int(geometry.dim),
            ])
        return result
    }
}
